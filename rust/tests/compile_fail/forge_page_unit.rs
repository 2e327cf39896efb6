// SPDX-License-Identifier: GPL-2.0

//! There are two units to count pages in, and a driver cannot add one that fits everywhere.

use odp::page::{PageUnit, UmemPage};

pub enum AnyPage {}

#[cfg(not(correct))]
impl PageUnit for AnyPage {} //~ ERROR E0277: Sealed is not satisfied

#[cfg(correct)]
pub fn unit(page: UmemPage) -> impl PageUnit {
    page
}
