// SPDX-License-Identifier: GPL-2.0

//! A walk counts in pages of `PAGE_SIZE`, the table of a umem in pages of the umem's size.

use odp::{
    page::{BasePage, UmemPage},
    DmaMap, HmmPfn, PageIndex,
};

pub fn entry(
    table: &DmaMap<'_>,
    (_in_table, _in_walk): (PageIndex<UmemPage>, PageIndex<BasePage>),
) -> HmmPfn {
    #[cfg(correct)]
    let index = _in_table;
    #[cfg(not(correct))]
    let index = _in_walk;

    table.get(index) //~ ERROR E0308: expected PageIndex<UmemPage>, found PageIndex<BasePage>
}
