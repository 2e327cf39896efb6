// SPDX-License-Identifier: GPL-2.0

//! The CPU does not copy on behalf of a device that does DMA: the pages of its regions may be out of
//! the CPU's reach, and what is written would not be marked dirty.

use kernel::prelude::*;
use odp::{Region, UserVa};

#[cfg(correct)]
type Pages = odp::CpuPages;
#[cfg(not(correct))]
type Pages = odp::DmaPages;

pub fn write(region: &Region<Pages>, bytes: &[u8]) -> Result {
    region.waiting().write(UserVa::new(0), bytes) //~ ERROR E0599: no method named waiting found
}
