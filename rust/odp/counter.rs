// SPDX-License-Identifier: GPL-2.0

//! Statistics that any number of tasks count at once.

use kernel::sync::atomic::{Atomic, Relaxed};

/// A counter. It wraps around.
#[repr(transparent)]
pub struct Counter(Atomic<u64>);

impl Counter {
    /// A counter at zero.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        if n != 0 {
            self.0.fetch_add(n, Relaxed);
        }
    }

    /// What was counted up to now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Where C may read the number.
    pub(crate) const fn as_ptr(&self) -> *mut u64 {
        self.0.as_ptr()
    }
}

#[cfg(odp_kunit)]
#[path = "tests/counter.rs"]
mod tests;
