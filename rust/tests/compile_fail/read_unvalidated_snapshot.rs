// SPDX-License-Identifier: GPL-2.0

//! What a walk saw may be out of date until it was checked under the lock.

use odp::{page::BasePage, HmmPfn, Locked, PageIndex, Snapshot};

pub fn first_page(
    snapshot: Snapshot<'_>,
    locked: &mut Locked<'_>,
    first: PageIndex<BasePage>,
) -> Option<HmmPfn> {
    #[cfg(correct)]
    let snapshot = snapshot.validate(locked.parts().0).ok()?;

    Some(snapshot.get(first)) //~ ERROR E0599: no method named get found for struct odp::Snapshot
}
