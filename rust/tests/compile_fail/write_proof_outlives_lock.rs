// SPDX-License-Identifier: GPL-2.0

//! The proof that a lock is held ends with the lock.

use odp::rwlock::{RwLock, WriteHeld};

pub fn uses(_proof: WriteHeld<'_>) {}

pub fn write(lock: &RwLock<u32>) {
    let mut guard = lock.write();
    let (proof, _) = guard.parts();

    #[cfg(not(correct))]
    drop(guard); //~ ERROR E0505: cannot move out of guard because it is borrowed
    uses(proof);
}
