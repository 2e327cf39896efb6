// SPDX-License-Identifier: GPL-2.0

//! Readers share what a lock protects, so they cannot change it.

use odp::rwlock::RwLock;

pub fn count(lock: &RwLock<u32>) {
    #[cfg(correct)]
    let mut guard = lock.write();
    #[cfg(correct)]
    let (_, data) = guard.parts();
    #[cfg(not(correct))]
    let data = &mut *lock.read(); //~ ERROR E0596: cannot borrow data in dereference of ReadGuard

    *data = 1;
}
