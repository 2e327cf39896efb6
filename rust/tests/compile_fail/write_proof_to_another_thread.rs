// SPDX-License-Identifier: GPL-2.0

//! That a lock is held is true of the task that holds it.

use odp::rwlock::WriteHeld;

#[cfg(not(correct))]
pub fn another_thread<T: Send>(_: T) {}
#[cfg(correct)]
pub fn another_thread<T>(_: T) {}

pub fn give_away(proof: WriteHeld<'_>) {
    another_thread(proof); //~ ERROR E0277: *mut () cannot be sent between threads safely
}
