// SPDX-License-Identifier: GPL-2.0

//! Bindings to the C half of rxe, and to what its Rust half calls in the RDMA core.
//!
//! Only rxe's `ffi.rs` uses this crate. What it takes from C is listed in `bindgen_parameters`; types
//! that the kernel's bindings or `odp_bindings` have are re-used from there.

#![crate_name = "rxe_bindings"]
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
    use odp_bindings::ib_umem;

    include!(concat!(
        env!("ODP_OBJTREE"),
        "/rust/bindings/rxe/bindings_generated.rs"
    ));
}

mod helpers {
    use super::raw::*;
    use kernel::bindings::*;
    use kernel::ffi;

    include!(concat!(
        env!("ODP_OBJTREE"),
        "/rust/helpers/rxe/helpers_generated.rs"
    ));
}

pub use helpers::*;
pub use raw::*;
