// SPDX-License-Identifier: GPL-2.0

//! The table may be used while the lock is held that protects it.

use odp::{page::UmemPage, HmmPfn, Locked, PageIndex};

pub fn first_entry(mut locked: Locked<'_>, first: PageIndex<UmemPage>) -> HmmPfn {
    let (_, table) = locked.parts();

    #[cfg(not(correct))]
    drop(locked); //~ ERROR E0505: cannot move out of locked because it is borrowed
    let entry = table.get(first);
    #[cfg(correct)]
    drop(locked);
    entry
}
