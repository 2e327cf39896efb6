// SPDX-License-Identifier: GPL-2.0

//! A number may be an IOVA, an offset or a length; a user address says what it is.

use kernel::prelude::*;
use odp::{PageRange, PageShift, UserVa};

pub fn pages(iova: u64, len: u64) -> Result<PageRange> {
    #[cfg(correct)]
    let iova = UserVa::new(iova);

    PageRange::covering(iova, len, PageShift::BASE) //~ ERROR E0308: expected UserVa, found u64
}
