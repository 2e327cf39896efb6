// SPDX-License-Identifier: GPL-2.0

//! An index comes from a range that it lies in, never from a bare number.

use kernel::prelude::*;
use odp::{page::UmemPage, PageIndex, PageRange};

pub fn first_index(range: &PageRange) -> Result<PageIndex<UmemPage>> {
    #[cfg(correct)]
    return range.indices(range)?.next().map(|it| it.0).ok_or(EINVAL);
    #[cfg(not(correct))]
    return Ok(PageIndex(0, core::marker::PhantomData)); //~ ERROR E0423: private fields
}
