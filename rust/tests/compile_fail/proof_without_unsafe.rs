// SPDX-License-Identifier: GPL-2.0

//! Whoever claims that a lock holds invalidations off answers for it: that takes `unsafe`.

use odp::{IntervalNotifier, InvalidateLocked};

pub struct Held<'a>(&'a IntervalNotifier);

#[cfg(correct)]
// SAFETY: This is compiled, not run.
unsafe impl InvalidateLocked for Held<'_> {
    fn notifier(&self) -> &IntervalNotifier {
        self.0
    }
}

#[cfg(not(correct))]
impl InvalidateLocked for Held<'_> {
    //~^ ERROR E0200: InvalidateLocked requires an unsafe impl
    fn notifier(&self) -> &IntervalNotifier {
        self.0
    }
}
