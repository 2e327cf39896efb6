// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The check of work requests that C took out of a ring (`rxe_ring.h`).

use crate::work_request::{self, Limits, Operation, Payload, Refusal, Request};
use rxe_bindings::{ib_wc_status, rxe_ring_request, rxe_sge};

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

impl From<&rxe_ring_request> for Request {
    fn from(request: &rxe_ring_request) -> Self {
        Self {
            operation: if request.receives {
                Some(Operation::Receive)
            } else {
                operation_of(request.mask)
            },
            inline: request.in_line,
            length: request.length,
            num_sge: request.num_sge,
        }
    }
}

/// What the user is told.
fn status_of(refusal: Refusal) -> ib_wc_status {
    match refusal {
        Refusal::Malformed => rxe_bindings::ib_wc_status_IB_WC_LOC_QP_OP_ERR,
        Refusal::Length => rxe_bindings::ib_wc_status_IB_WC_LOC_LEN_ERR,
    }
}

/// Checks a request, and says what else is to be copied of it.
///
/// # Safety
///
/// As C's contract: both are the caller's own.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_ring_check(request: *mut rxe_ring_request) -> ib_wc_status {
    // SAFETY: By C's contract.
    let request = unsafe { &mut *request };
    let limits = Limits {
        max_sge: request.max_sge,
        max_inline: request.max_inline,
    };

    let payload = match work_request::payload(&Request::from(&*request), &limits) {
        Ok(payload) => payload,
        Err(refusal) => return status_of(refusal),
    };
    request.has_sges = matches!(payload, Payload::Sges(_));
    (request.num_sge, request.bytes) = match payload {
        Payload::Data(bytes) => (0, bytes),
        Payload::Sges(count) => (count, 0),
    };
    rxe_bindings::ib_wc_status_IB_WC_SUCCESS
}

/// Checks the scatter list of a request against its length, or sets the length of one that receives.
///
/// # Safety
///
/// As C's contract: `request` is the caller's own, has been checked, and `sge` has as many elements as it
/// says, which nobody else writes to.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_ring_check_sges(
    request: *mut rxe_ring_request,
    sge: *const rxe_sge,
) -> ib_wc_status {
    // SAFETY: By C's contract. CAST: It fits.
    let (request, sges) = unsafe {
        let request = &mut *request;
        let count = request.num_sge as usize;
        (request, core::slice::from_raw_parts(sge, count))
    };

    match work_request::length(&Request::from(&*request), sges.iter().map(|sge| sge.length)) {
        Ok(length) => {
            request.length = length;
            rxe_bindings::ib_wc_status_IB_WC_SUCCESS
        }
        Err(refusal) => status_of(refusal),
    }
}
