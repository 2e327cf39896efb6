// SPDX-License-Identifier: GPL-2.0

//! Whoever is told of invalidations promises to lock what they are about, and not to sleep: that
//! takes `unsafe`.

use odp::{IntervalNotifier, Invalidate, InvalidateLocked, UserVa, Watch};

pub struct Owner;
pub struct Guard<'a>(&'a Watch<Owner>);

// SAFETY: This is compiled, not run.
unsafe impl InvalidateLocked for Guard<'_> {
    fn notifier(&self) -> &IntervalNotifier {
        self.0.notifier()
    }
}

#[cfg(correct)]
// SAFETY: This is compiled, not run.
unsafe impl Invalidate for Owner {
    type Guard<'a> = Guard<'a>;

    fn lock(watch: &Watch<Self>) -> Guard<'_> {
        Guard(watch)
    }

    fn would_wait(_guard: &Guard<'_>) -> bool {
        false
    }

    fn invalidated(_guard: Guard<'_>, _start: UserVa, _end: UserVa) {}
}

#[cfg(not(correct))]
impl Invalidate for Owner {
    //~^ ERROR E0200: Invalidate requires an unsafe impl
    type Guard<'a> = Guard<'a>;

    fn lock(watch: &Watch<Self>) -> Guard<'_> {
        Guard(watch)
    }

    fn would_wait(_guard: &Guard<'_>) -> bool {
        false
    }

    fn invalidated(_guard: Guard<'_>, _start: UserVa, _end: UserVa) {}
}
