// SPDX-License-Identifier: GPL-2.0

//! Without the umem_mutex an entry may be taken away by an invalidation meanwhile.

use kernel::prelude::*;
use odp::{dma::Unmapped, UmemOdp, UserVa};

pub fn unmap(umem: &UmemOdp, start: UserVa, end: UserVa) -> Result<Unmapped> {
    #[cfg(correct)]
    let mut umem = umem.lock()?;

    Ok(umem.unmap(start, end)) //~ ERROR E0599: no method named unmap found for reference &UmemOdp
}
