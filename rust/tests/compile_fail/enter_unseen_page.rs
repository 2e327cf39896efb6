// SPDX-License-Identifier: GPL-2.0

//! What is kept of the pages of a region is nobody's business but the region's: who could enter a page
//! that no walk has seen could map any memory for the device.

use kernel::prelude::*;
#[cfg(not(correct))]
use odp::region::Pages; //~ ERROR E0603: trait Pages is private
use odp::{Access, DmaPages, Region, UserVa};

pub fn bring_in(region: &Region<DmaPages>) -> Result {
    region.prefetch(UserVa::new(0), 1, Access::Read)
}
