// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What is behind work requests, which C takes out of a ring (`rxe_ring.h`): copied once, and checked.

use crate::work_request::{self, Limits, Operation, Payload, Refusal, Request};
use rxe_bindings::{ib_wc_status, rxe_dma_info, rxe_sge};

/// What the bits of an opcode in C's table say of it; the usual ones first.
fn operation_of(mask: u32) -> Option<Operation> {
    const SEND: u32 =
        rxe_bindings::rxe_wr_mask_WR_SEND_MASK | rxe_bindings::rxe_wr_mask_WR_WRITE_MASK;

    if mask & SEND != 0 {
        Some(Operation::Send)
    } else if mask & rxe_bindings::rxe_wr_mask_WR_READ_MASK != 0 {
        Some(Operation::Read)
    } else if mask & rxe_bindings::rxe_wr_mask_WR_ATOMIC_MASK != 0 {
        Some(Operation::Atomic)
    } else if mask & rxe_bindings::rxe_wr_mask_WR_ATOMIC_WRITE_MASK != 0 {
        Some(Operation::AtomicWrite)
    } else if mask & rxe_bindings::rxe_wr_mask_WR_FLUSH_MASK != 0 {
        Some(Operation::Flush)
    } else if mask & rxe_bindings::rxe_wr_mask_WR_LOCAL_OP_MASK != 0 {
        Some(Operation::Local)
    } else {
        None
    }
}

/// What the user is told.
fn status_of(refusal: Refusal) -> ib_wc_status {
    match refusal {
        Refusal::Malformed => rxe_bindings::ib_wc_status_IB_WC_LOC_QP_OP_ERR,
        Refusal::Length => rxe_bindings::ib_wc_status_IB_WC_LOC_LEN_ERR,
    }
}

/// Copies what is behind a request, and returns the length of its data and the number of elements of its
/// scatter list. What others write to meanwhile is read once: what is checked is what was copied.
///
/// # Safety
///
/// Behind `theirs`, and in `ours`, which is the caller's own, there is room for what `limits` allow.
unsafe fn take_payload(
    request: &Request,
    limits: &Limits,
    theirs: *const rxe_dma_info,
    ours: *mut rxe_dma_info,
) -> Result<(u32, u32), Refusal> {
    // SAFETY: By the caller's promise, it is right behind these.
    let (theirs, ours) = unsafe { (theirs.add(1), ours.add(1)) };

    match work_request::payload(request, limits)? {
        Payload::Data(bytes) => {
            // SAFETY: There is that much room. CAST: It fits.
            unsafe {
                core::ptr::copy_nonoverlapping::<u8>(theirs.cast(), ours.cast(), bytes as usize);
            }
            Ok((request.length, 0))
        }
        Payload::Sges(count) => {
            let (theirs, ours) = (theirs.cast::<rxe_sge>(), ours.cast::<rxe_sge>());
            // CAST: It fits.
            let lengths = (0..count as usize).map(|i| {
                // SAFETY: There is room for that many.
                unsafe {
                    let sge = theirs.add(i).read_volatile();
                    let length = sge.length;

                    ours.add(i).write(sge);
                    length
                }
            });

            Ok((work_request::length(request, lengths)?, count))
        }
    }
}

/// # Safety
///
/// As for [`take_payload`].
// Into both callers: each knows more of the request.
#[inline(always)]
unsafe fn take(
    operation: Option<Operation>,
    inline: bool,
    limits: &Limits,
    theirs: *const rxe_dma_info,
    ours: *mut rxe_dma_info,
) -> ib_wc_status {
    // SAFETY: By the caller's promise.
    let taken = unsafe {
        let request = Request {
            operation,
            inline,
            length: (&raw const (*theirs).length).read_volatile(),
            num_sge: (&raw const (*theirs).num_sge).read_volatile(),
        };
        take_payload(&request, limits, theirs, ours)
    };
    let (length, num_sge) = taken.unwrap_or_default();

    // SAFETY: By the caller's promise.
    unsafe {
        (*ours).length = length;
        (*ours).resid = length;
        (*ours).cur_sge = 0;
        (*ours).num_sge = num_sge;
        (*ours).sge_offset = 0;
    }
    taken.map_or_else(status_of, |_| rxe_bindings::ib_wc_status_IB_WC_SUCCESS)
}

/// Takes what is behind a request that sends, or does something else.
///
/// # Safety
///
/// As C's contract: in the ring at `theirs`, and at `ours`, there is room for what the limits allow, and
/// nobody else uses `ours`.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_ring_take_sent(
    mask: u32,
    in_line: bool,
    max_sge: u32,
    max_inline: u32,
    theirs: *const rxe_dma_info,
    ours: *mut rxe_dma_info,
) -> ib_wc_status {
    let limits = Limits {
        max_sge,
        max_inline,
    };

    // SAFETY: By C's contract.
    unsafe { take(operation_of(mask), in_line, &limits, theirs, ours) }
}

/// Takes what is behind a request that receives.
///
/// # Safety
///
/// As for [`rxe_ring_take_sent`].
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_ring_take_received(
    max_sge: u32,
    theirs: *const rxe_dma_info,
    ours: *mut rxe_dma_info,
) -> ib_wc_status {
    let limits = Limits {
        max_sge,
        max_inline: 0,
    };

    // SAFETY: By C's contract.
    unsafe { take(Some(Operation::Receive), false, &limits, theirs, ours) }
}
