// SPDX-License-Identifier: GPL-2.0

//! A walk counts in pages of `PAGE_SIZE`, the table of a umem in pages of the umem's size.

use odp::{
    page::{BasePage, UmemPage},
    HmmPfn, PageIndex, Validated,
};

pub fn entry(
    seen: &Validated<'_>,
    (_in_table, _in_walk): (PageIndex<UmemPage>, PageIndex<BasePage>),
) -> HmmPfn {
    #[cfg(correct)]
    let index = _in_walk;
    #[cfg(not(correct))]
    let index = _in_table;

    seen.get(index) //~ ERROR E0308: expected PageIndex<BasePage>, found PageIndex<UmemPage>
}
