// SPDX-License-Identifier: GPL-2.0

//! What user space and `edu_odp.ko` say to each other, from `edu_odp.h`.
//!
//! Structures, commands and flags only, so that the driver itself may use this crate. There is nothing
//! unsafe in it.

#![crate_name = "edu_odp_uapi"]
#![allow(
    clippy::all,
    clippy::cast_lossless,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unreachable_pub
)]

mod raw {
    use kernel::bindings::{__u32, __u64};
    use kernel::ffi;
    use kernel::prelude::{FromBytes, IntoBytes};

    include!(concat!(
        env!("ODP_OBJTREE"),
        "/rust/bindings/edu_odp/bindings_generated.rs"
    ));
}

pub use raw::*;
