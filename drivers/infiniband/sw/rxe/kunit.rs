// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! KUnit suites of the parts of soft-RoCE that do not know its C: a memory region, from the addresses that
//! peers use to memory, and what is right in a work request.

// Not all of it is about addresses.
#[allow(dead_code)]
mod mr;
mod reach;
mod work_request;

mod tests {
    mod mr;
    mod reach;
    mod records;
    mod work_request;
}
