// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The six functions as ib_core's callers see them.
//!
//! C header: [`include/rdma/ib_umem_odp.h`](srctree/include/rdma/ib_umem_odp.h)

use super::counters::COUNTERS;
use kernel::{bindings, prelude::*};
use odp::{
    notifier::NotifierOps,
    umem::{AccessFlags, IbDevice, OwnedUmemOdp, UmemOdp},
    Access, UserVa,
};
use odp_bindings::ib_umem_odp;

/// Fails to compile where a function does not have the type of the C function that it replaces.
macro_rules! replaces {
    ($($rust:ident => $c:ident,)*) => {
        $(const _: () = {
            let _ = if true { odp_bindings::$c } else { $rust };
        };)*
    };
}

replaces! {
    rust_ib_umem_odp_get => ib_umem_odp_get,
    rust_ib_umem_odp_alloc_implicit => ib_umem_odp_alloc_implicit,
    rust_ib_umem_odp_alloc_child => ib_umem_odp_alloc_child,
    rust_ib_umem_odp_release => ib_umem_odp_release,
    rust_ib_umem_odp_map_dma_and_lock => ib_umem_odp_map_dma_and_lock,
    rust_ib_umem_odp_unmap_dma_pages => ib_umem_odp_unmap_dma_pages,
}

extern "C" {
    fn rust_umem_odp_livepatch_enable() -> c_int;
}

/// Lets ib_core call this module. Returns 0 or a negative errno.
pub(crate) fn enable_livepatch() -> c_int {
    // SAFETY: The functions that the patch names are complete, and stay while it is enabled.
    unsafe { rust_umem_odp_livepatch_enable() }
}

/// What C expects of a function that makes a umem: the umem or an `ERR_PTR()`.
fn umem_or_err_ptr(umem: Result<OwnedUmemOdp>) -> *mut ib_umem_odp {
    umem.map_or_else(|error| error.to_ptr(), OwnedUmemOdp::into_raw)
}

/// Replaces `ib_umem_odp_get()`.
///
/// # Safety
///
/// As C's contract: `device` is live, outlives the umem, and so does `ops`.
#[no_mangle]
unsafe extern "C" fn rust_ib_umem_odp_get(
    device: *mut bindings::ib_device,
    addr: c_ulong,
    size: usize,
    access: c_int,
    ops: NotifierOps,
) -> *mut ib_umem_odp {
    COUNTERS.umem_get.add(1);
    let access = AccessFlags::from_raw(access);
    // SAFETY: By C's contract.
    umem_or_err_ptr(unsafe {
        let device = IbDevice::from_raw(device);
        OwnedUmemOdp::get(device, addr as u64, size as u64, access, ops)
    })
}

/// Replaces `ib_umem_odp_alloc_implicit()`.
///
/// # Safety
///
/// As C's contract: `device` is live and outlives the umem.
#[no_mangle]
unsafe extern "C" fn rust_ib_umem_odp_alloc_implicit(
    device: *mut bindings::ib_device,
    access: c_int,
) -> *mut ib_umem_odp {
    COUNTERS.umem_alloc_implicit.add(1);
    // SAFETY: By C's contract.
    let device = unsafe { IbDevice::from_raw(device) };
    umem_or_err_ptr(OwnedUmemOdp::implicit(
        device,
        AccessFlags::from_raw(access),
    ))
}

/// Replaces `ib_umem_odp_alloc_child()`.
///
/// # Safety
///
/// As C's contract: `root` is a live umem and `ops` outlives the new one.
#[no_mangle]
unsafe extern "C" fn rust_ib_umem_odp_alloc_child(
    root: *mut ib_umem_odp,
    addr: c_ulong,
    size: usize,
    ops: NotifierOps,
) -> *mut ib_umem_odp {
    COUNTERS.umem_alloc_child.add(1);
    // SAFETY: By C's contract.
    umem_or_err_ptr(unsafe {
        UmemOdp::from_raw(root)
            .and_then(|root| OwnedUmemOdp::child(root, addr as u64, size as u64, ops))
    })
}

/// Replaces `ib_umem_odp_release()`.
///
/// # Safety
///
/// As C's contract: `umem_odp` is a live umem that the caller gives up.
#[no_mangle]
unsafe extern "C" fn rust_ib_umem_odp_release(umem_odp: *mut ib_umem_odp) {
    COUNTERS.umem_release.add(1);
    // SAFETY: By C's contract.
    if let Ok(umem) = unsafe { OwnedUmemOdp::from_raw(umem_odp) } {
        COUNTERS.count_unmapped(umem.release());
    }
}

/// Replaces `ib_umem_odp_map_dma_and_lock()`: the number of pages, with the umem_mutex held, or a
/// negative errno.
///
/// # Safety
///
/// As C's contract: `umem_odp` is a live umem, not locked by the caller, for which no reference is
/// dropped meanwhile.
#[no_mangle]
unsafe extern "C" fn rust_ib_umem_odp_map_dma_and_lock(
    umem_odp: *mut ib_umem_odp,
    user_virt: u64,
    bcnt: u64,
    access_mask: u64,
    fault: bool,
) -> c_int {
    let access = match fault {
        false => Access::Snapshot,
        true if Access::mask_wants_write(access_mask) => Access::Write,
        true => Access::Read,
    };
    // SAFETY: By C's contract.
    let umem = unsafe { UmemOdp::from_raw(umem_odp) };
    let mut retries = 0;
    let outcome =
        umem.and_then(|umem| umem.map_and_lock(UserVa::new(user_virt), bcnt, access, &mut retries));

    COUNTERS.count_fault(access, &outcome, retries);
    match outcome {
        Ok(mapped) => {
            mapped.locked.leave_locked();
            // CAST: `map_and_lock` fails rather than exceed C's `int`.
            mapped.pages as c_int
        }
        Err(error) => error.to_errno(),
    }
}

/// Replaces `ib_umem_odp_unmap_dma_pages()`.
///
/// # Safety
///
/// As C's contract: `umem_odp` is a live umem whose umem_mutex the caller holds.
#[no_mangle]
unsafe extern "C" fn rust_ib_umem_odp_unmap_dma_pages(
    umem_odp: *mut ib_umem_odp,
    virt: u64,
    bound: u64,
) {
    COUNTERS.invalidations.add(1);
    // SAFETY: By C's contract.
    let unmapped = unsafe {
        UmemOdp::from_raw(umem_odp)
            .and_then(|umem| umem.unmap_held(UserVa::new(virt), UserVa::new(bound)))
    };
    COUNTERS.count_unmapped(unmapped.unwrap_or_default());
}
