// SPDX-License-Identifier: GPL-2.0

//! A lock that was left to C code is C's to drop: nothing here can know how long it is held.

use odp::{page::UmemPage, HmmPfn, Locked, PageIndex};

pub fn first_entry(mut locked: Locked<'_>, first: PageIndex<UmemPage>) -> HmmPfn {
    let (_, table) = locked.parts();

    #[cfg(not(correct))]
    locked.leave_locked(); //~ ERROR E0505: cannot move out of locked because it is borrowed
    let entry = table.get(first);
    #[cfg(correct)]
    locked.leave_locked();
    entry
}
