// SPDX-License-Identifier: GPL-2.0

//! What a walk saw is good as long as no page of it is taken away, by its reader neither.

use odp::{page::BasePage, HmmPfn, Locked, PageIndex, Snapshot, UserVa};

pub fn first_page(
    snapshot: Snapshot<'_>,
    locked: &mut Locked<'_>,
    first: PageIndex<BasePage>,
    (start, end): (UserVa, UserVa),
) -> Option<HmmPfn> {
    let seen = snapshot.validate(locked.parts().0).ok()?;

    #[cfg(not(correct))]
    locked.unmap(start, end); //~ ERROR E0499: cannot borrow *locked as mutable more than once
    let entry = seen.get(first);
    #[cfg(correct)]
    locked.unmap(start, end);
    Some(entry)
}
