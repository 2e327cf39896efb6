// SPDX-License-Identifier: GPL-2.0

//! Counting what is under way, for somebody who waits until nothing is.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h)

use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{Acquire, Atomic, Full, Relaxed},
};

/// How many operations are under way.
pub(crate) struct InFlight(Atomic<i32>);

impl InFlight {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// One begins. What keeps others from beginning meanwhile is the caller's business.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One has ended.
    pub(crate) fn end(&self) {
        // Full, as the waiter has to see this before the look for waiters.
        if self.0.fetch_sub(1, Full) == 1 {
            // SAFETY: The address is only a name.
            unsafe { bindings::wake_up_var(self.0.as_ptr().cast::<c_void>()) };
        }
    }

    /// Whether any is under way.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Acquire) != 0
    }

    /// Sleeps until none is. Others may begin at once.
    pub(crate) fn wait(&self) {
        // SAFETY: An `atomic_t` is an `int`, which is only accessed atomically.
        unsafe { odp_bindings::wait_var_event_zero(self.0.as_ptr().cast()) };
    }
}

#[cfg(odp_kunit)]
#[path = "tests/in_flight.rs"]
mod tests;
