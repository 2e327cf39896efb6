// SPDX-License-Identifier: GPL-2.0

//! Once the lock is dropped, an invalidation may make the entries stale.

use odp::{page::BasePage, HmmPfn, Locked, PageIndex, Snapshot};

pub fn first_page(
    snapshot: Snapshot<'_>,
    mut locked: Locked<'_>,
    first: PageIndex<BasePage>,
) -> Option<HmmPfn> {
    let seen = snapshot.validate(locked.parts().0).ok()?;

    #[cfg(not(correct))]
    drop(locked); //~ ERROR E0505: cannot move out of locked because it is borrowed
    let entry = seen.get(first);
    #[cfg(correct)]
    drop(locked);
    Some(entry)
}
