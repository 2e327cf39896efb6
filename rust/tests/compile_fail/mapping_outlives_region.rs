// SPDX-License-Identifier: GPL-2.0

//! What a device can reach of a region is gone with the region: an address for DMA that is left over
//! would be one of memory that belongs to somebody else.

use kernel::prelude::*;
use odp::{region::Mapping, Access, DmaPages, Region, UserVa};

pub fn address(region: Region<DmaPages>, device: impl FnOnce(&Mapping<'_>)) -> Result {
    let mapping = region.try_map(UserVa::new(0), 1, Access::Read)?;

    #[cfg(not(correct))]
    drop(region); //~ ERROR E0505: cannot move out of region because it is borrowed
    if let Some(mapping) = mapping {
        device(&mapping);
    }
    Ok(())
}
