// SPDX-License-Identifier: GPL-2.0

//! Bindings to the parts of the kernel that the kernel's own Rust bindings leave out.
//!
//! Only the `odp` crate and the drivers' `ffi.rs` use this crate. What it takes from C is listed in
//! `bindgen_parameters`; types that the kernel's bindings have are re-used from there.

#![crate_name = "odp_bindings"]
#![allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

mod raw {
    use kernel::bindings::*;
    use kernel::ffi;

    include!(concat!(
        env!("ODP_OBJTREE"),
        "/rust/bindings/bindings_generated.rs"
    ));
}

mod helpers {
    use kernel::bindings::*;
    use kernel::ffi;

    include!(concat!(
        env!("ODP_OBJTREE"),
        "/rust/helpers/helpers_generated.rs"
    ));
}

pub use helpers::*;
pub use raw::*;
