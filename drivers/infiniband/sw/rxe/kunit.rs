// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! KUnit suites of the part of soft-RoCE's on-demand paging that is not about soft-RoCE: a memory region,
//! from the addresses that peers use to memory.

// Not all of it is about addresses.
#[allow(dead_code)]
mod mr;
mod reach;

mod tests {
    mod mr;
    mod reach;
    mod records;
}
