// SPDX-License-Identifier: GPL-2.0

//! Counting what is under way, for somebody who waits until nothing is.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h)

use crate::deadline::{left_until, now};
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{Acquire, Atomic, Full, Relaxed},
    time::{msecs_to_jiffies, Jiffies, Msecs},
};

/// How long an operation may take. One that takes longer never ends, or nobody says that it has. It is
/// less than the time after which the kernel complains of a task that hangs.
const PATIENCE: Msecs = if cfg!(odp_kunit) { 10_000 } else { 60_000 };

/// More operations than there are at once.
const MOST: i32 = 1 << 30;

/// How many operations are under way.
///
/// It cannot be named outside of the crate.
pub struct InFlight {
    number: Atomic<i32>,
    /// When the newest began.
    begun: Atomic<Jiffies>,
}

impl InFlight {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            number: Atomic::new(0),
            begun: Atomic::new(0),
        }
    }

    /// One begins, unless there are so many that they must have been leaked: their number has to stay a
    /// number, and that of references to this too. The caller sees to it that it is one at a time.
    #[must_use = "what has not begun cannot end"]
    pub(crate) fn begin(&self) -> bool {
        let few = self.number.load(Relaxed) < MOST;

        if few {
            self.begun.store(now(), Relaxed);
            self.number.fetch_add(1, Relaxed);
        }
        few
    }

    /// One has ended.
    pub(crate) fn end(&self) {
        // Full, as the waiter has to see this before the look for waiters.
        if self.number.fetch_sub(1, Full) == 1 {
            // SAFETY: The address is only a name.
            unsafe { bindings::wake_up_var(self.number.as_ptr().cast::<c_void>()) };
        }
    }

    /// Whether any is under way.
    pub(crate) fn any(&self) -> bool {
        self.number.load(Acquire) != 0
    }

    /// Sleeps until none is, or the newest has taken too long. Returns whether none is. Others may begin
    /// at once, if the caller does not keep them from it.
    pub(crate) fn wait(&self) -> bool {
        let begun = self.begun.load(Relaxed);
        let limit = left_until(begun.wrapping_add(msecs_to_jiffies(PATIENCE))).max(0);

        // SAFETY: An `atomic_t` is an `int`, which is only accessed atomically.
        unsafe {
            odp_bindings::wait_var_event_zero_timeout(self.number.as_ptr().cast(), limit) != 0
        }
    }
}

#[cfg(odp_kunit)]
#[path = "tests/in_flight.rs"]
mod tests;
