// SPDX-License-Identifier: GPL-2.0

//! Only an address space that is in use can be watched: one that is grabbed may be gone already, and
//! nothing would be heard of it.

use kernel::{mm::Mm, prelude::*};
use odp::{Invalidate, PageRange, Watch};

pub fn watch<T: Invalidate>(mm: &Mm, range: &PageRange, owner: T) -> Result<Pin<KBox<Watch<T>>>> {
    #[cfg(correct)]
    let mm = mm.mmget_not_zero().ok_or(EINVAL)?;
    #[cfg(correct)]
    let mm = &*mm;

    KBox::pin_init(Watch::new(mm, range, owner), GFP_KERNEL) //~ ERROR E0308: expected &MmWithUser, found &Mm
}
