// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What a peer may reach, as C asks.

use crate::reach::{
    is_of_record, reach, Duplicate, Extent, Flush, Kind, Operation, Record, Refusal, Region,
    Request, Rights, Window,
};
use kernel::prelude::*;
use rxe_bindings::{
    rxe_mr, rxe_reach_answer, rxe_reach_bytes, rxe_reach_duplicate, rxe_reach_operation,
    rxe_reach_record, rxe_reach_request, rxe_reach_window,
};

/// Fails to compile where a right is another bit in C.
macro_rules! same_bits {
    ($($right:ident $flag:ident,)*) => {
        $(const _: () = assert!(Rights::$right.0 == rxe_bindings::$flag);)*
    };
}

same_bits! {
    LOCAL_WRITE ib_access_flags_IB_ACCESS_LOCAL_WRITE,
    REMOTE_WRITE ib_access_flags_IB_ACCESS_REMOTE_WRITE,
    REMOTE_READ ib_access_flags_IB_ACCESS_REMOTE_READ,
    REMOTE_ATOMIC ib_access_flags_IB_ACCESS_REMOTE_ATOMIC,
    MW_BIND ib_access_flags_IB_ACCESS_MW_BIND,
    ZERO_BASED ib_access_flags_IB_ZERO_BASED,
    FLUSH_GLOBAL ib_access_flags_IB_ACCESS_FLUSH_GLOBAL,
    FLUSH_PERSISTENT ib_access_flags_IB_ACCESS_FLUSH_PERSISTENT,
}

fn rights(access: c_int) -> Rights {
    // CAST: A set of bits.
    Rights(access as u32)
}

fn extent(bytes: &rxe_reach_bytes) -> Extent {
    Extent {
        start: bytes.start,
        length: bytes.length,
    }
}

/// Of a record, where there is no WRITE.
fn kind(operation: rxe_reach_operation) -> Option<Kind> {
    match operation {
        rxe_bindings::rxe_reach_operation_RXE_REACH_READ => Some(Kind::Read),
        rxe_bindings::rxe_reach_operation_RXE_REACH_ATOMIC => Some(Kind::Atomic),
        rxe_bindings::rxe_reach_operation_RXE_REACH_ATOMIC_WRITE => Some(Kind::AtomicWrite),
        rxe_bindings::rxe_reach_operation_RXE_REACH_FLUSH => Some(Kind::Flush),
        _ => None,
    }
}

fn operation(request: &rxe_reach_request) -> Operation {
    match kind(request.operation) {
        Some(Kind::Read) => Operation::Read,
        Some(Kind::Atomic) => Operation::Atomic,
        Some(Kind::AtomicWrite) => Operation::AtomicWrite,
        Some(Kind::Flush) => Operation::Flush(Flush {
            placement: request.placement,
            level: request.level,
        }),
        None => Operation::Write,
    }
}

impl From<&rxe_reach_request> for Request {
    fn from(request: &rxe_reach_request) -> Self {
        Self {
            key: request.key,
            bytes: extent(&request.bytes),
            // CAST: Only compared.
            pd: request.pd as usize,
            qp: request.qp as usize,
            qp_rights: rights(request.qp_access),
            // Last, so that who decides about it at once need not do so twice.
            operation: operation(request),
        }
    }
}

/// An MR, as it is now.
///
/// # Safety
///
/// `mr` must be a live MR.
unsafe fn region_of(mr: *const rxe_mr) -> Region {
    // SAFETY: By the caller's promise. Its owner may deregister it at any time. CAST: Only compared.
    unsafe {
        let state = (&raw const (*mr).state).read_volatile();
        let has_bounds = (*mr).ibmr.type_ != rxe_bindings::ib_mr_type_IB_MR_TYPE_DMA;

        Region {
            valid: state == rxe_bindings::rxe_mr_state_RXE_MR_STATE_VALID,
            key: (*mr).rkey,
            pd: (*mr).ibmr.pd as usize,
            rights: rights((*mr).access),
            bytes: has_bounds.then_some(Extent {
                start: (*mr).ibmr.iova,
                length: (*mr).ibmr.length,
            }),
        }
    }
}

impl From<&rxe_reach_window> for Window {
    fn from(window: &rxe_reach_window) -> Self {
        Self {
            valid: window.valid,
            key: window.key,
            // CAST: Only compared.
            pd: window.pd as usize,
            qp: (!window.qp.is_null()).then_some(window.qp as usize),
            is_type2: window.is_type2,
            rights: rights(window.access),
            bytes: extent(&window.bytes),
        }
    }
}

/// Tells C what was decided.
///
/// # Safety
///
/// `bytes` may be written.
unsafe fn answer(
    decided: Result<Extent, Refusal>,
    bytes: *mut rxe_reach_bytes,
) -> rxe_reach_answer {
    match decided {
        Ok(Extent { start, length }) => {
            // SAFETY: By the caller's promise.
            unsafe { bytes.write(rxe_reach_bytes { start, length }) };
            rxe_bindings::rxe_reach_answer_RXE_REACH_ALLOWED
        }
        Err(Refusal::Denied) => rxe_bindings::rxe_reach_answer_RXE_REACH_DENIED,
        Err(Refusal::Misaligned) => rxe_bindings::rxe_reach_answer_RXE_REACH_MISALIGNED,
    }
}

/// # Safety
///
/// As C's contract: `request` may be read, `bytes` written, and `mr` is live.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_reach_decide(
    request: *const rxe_reach_request,
    mr: *const rxe_mr,
    bytes: *mut rxe_reach_bytes,
) -> rxe_reach_answer {
    // SAFETY: By C's contract.
    unsafe {
        let region = region_of(mr);
        answer(reach(&(&*request).into(), &region, None), bytes)
    }
}

/// # Safety
///
/// As C's contract: `request` and `window` may be read, `bytes` written, and `mr` is live.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_reach_decide_by_window(
    request: *const rxe_reach_request,
    mr: *const rxe_mr,
    window: *const rxe_reach_window,
    bytes: *mut rxe_reach_bytes,
) -> rxe_reach_answer {
    // SAFETY: By C's contract.
    unsafe {
        let (region, window) = (region_of(mr), Window::from(&*window));
        answer(reach(&(&*request).into(), &region, Some(&window)), bytes)
    }
}

/// # Safety
///
/// As C's contract: `mr` is live, and `window` may be read.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_reach_may_bind(
    mr: *const rxe_mr,
    window: *const rxe_reach_window,
) -> bool {
    // SAFETY: By C's contract.
    let (region, window) = unsafe { (region_of(mr), &*window) };

    Window::from(window).may_be_of(&region)
}

/// # Safety
///
/// As C's contract: `window` may be read.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_reach_may_invalidate(
    window: *const rxe_reach_window,
    pd: *const c_void,
    qp: *const c_void,
) -> bool {
    // SAFETY: By C's contract. CAST: Only compared.
    Window::from(unsafe { &*window }).may_be_invalidated_by(pd as usize, qp as usize)
}

/// # Safety
///
/// As C's contract: both may be read.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_reach_is_of_record(
    duplicate: *const rxe_reach_duplicate,
    record: *const rxe_reach_record,
    mtu: u32,
) -> bool {
    // SAFETY: By C's contract.
    let (duplicate, record) = unsafe { (&*duplicate, &*record) };
    let (Some(of), Some(recorded)) = (kind(duplicate.operation), kind(record.operation)) else {
        return false;
    };

    is_of_record(
        &Duplicate {
            kind: of,
            psn: duplicate.psn,
            key: duplicate.key,
            bytes: extent(&duplicate.bytes),
        },
        &Record {
            kind: recorded,
            first_psn: record.first_psn,
            last_psn: record.last_psn,
            key: record.key,
            bytes: extent(&record.bytes),
        },
        mtu,
    )
}
