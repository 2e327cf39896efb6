// SPDX-License-Identifier: GPL-2.0

//! A mutex is released by the task that took it.

use odp::{Locked, UserVa};

fn hand_over<T: Send>(_: T) {}

pub fn finish(mut locked: Locked<'_>, start: UserVa, end: UserVa) {
    let _unmapped = locked.unmap(start, end);

    #[cfg(correct)]
    hand_over(_unmapped);
    #[cfg(not(correct))]
    hand_over(locked); //~ ERROR E0277: *mut () cannot be sent between threads
}
