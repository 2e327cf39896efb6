// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! rxe's on-demand paging as its C half calls it.
//!
//! An MR's `odp` is a reference of ours: set when the MR is registered, before anybody can find it,
//! and dropped when the last reference to the MR is gone.

mod netlink;
mod reach;
mod ring;
mod wait;

use super::{
    advise::{self, Target},
    mr::{AtomicOp, MrIo, OdpMr},
};
use core::ptr::NonNull;
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    error::from_err_ptr,
    prelude::*,
    sync::{Arc, ArcBorrow},
};
use netlink::{rxe_odp_fill_res_mr_entry, rxe_odp_fill_stat_mr_entry};
use odp::{region::Parks, umem::AccessFlags, Access};
use reach::{
    rxe_reach_decide, rxe_reach_decide_by_window, rxe_reach_is_of_record, rxe_reach_may_bind,
    rxe_reach_may_invalidate,
};
use ring::{rxe_ring_take_received, rxe_ring_take_sent};
use rxe_bindings::{ib_pd, ib_sge, resp_states, rxe_dev, rxe_mr, rxe_odp_wait};
use wait::{
    rxe_odp_exit, rxe_odp_init, rxe_odp_is_waiting, rxe_odp_leave, rxe_odp_stop_waiting,
    with_memory, workers,
};

/// Fails to compile where a function does not have the type that C gives it.
macro_rules! exports {
    ($($name:ident,)*) => {
        $(const _: () = {
            let _ = if true { rxe_bindings::$name } else { $name };
        };)*
    };
}

exports! {
    rxe_odp_mr_init_user,
    rxe_odp_mr_copy,
    rxe_odp_atomic_op,
    rxe_odp_do_atomic_write,
    rxe_odp_flush_pmem_iova,
    rxe_ib_advise_mr,
    rxe_odp_mr_stop,
    rxe_odp_mr_cleanup,
    rxe_odp_check_rereg,
    rxe_odp_fill_res_mr_entry,
    rxe_odp_fill_stat_mr_entry,
    rxe_odp_is_waiting,
    rxe_odp_leave,
    rxe_odp_init,
    rxe_odp_exit,
    rxe_odp_stop_waiting,
    rxe_reach_decide,
    rxe_reach_decide_by_window,
    rxe_reach_is_of_record,
    rxe_reach_may_bind,
    rxe_reach_may_invalidate,
    rxe_ring_take_received,
    rxe_ring_take_sent,
}

/// What C expects of a function that succeeds or fails.
fn errno(result: Result) -> c_int {
    result.map_or_else(Error::to_errno, |()| 0)
}

/// The ODP half of an MR, if it has one.
///
/// # Safety
///
/// `mr` must be a live MR that is not cleaned up during `'a`.
unsafe fn odp_of<'a>(mr: *const rxe_mr) -> Result<ArcBorrow<'a, OdpMr>> {
    // SAFETY: By the caller's promise; `odp` is null or what `rxe_odp_mr_init_user` stored.
    unsafe {
        let odp = (*mr).odp.cast::<OdpMr>();
        (!odp.is_null())
            .then(|| ArcBorrow::from_raw(odp))
            .ok_or(EINVAL)
    }
}

/// The state of a responder whose operation had this result.
fn responder_state(result: Result) -> resp_states {
    match result {
        Ok(()) => rxe_bindings::resp_states_RESPST_NONE,
        // The peer will try again.
        Err(EAGAIN) => rxe_bindings::resp_states_RESPST_ERR_RNR,
        // We shall.
        Err(EINPROGRESS) => rxe_bindings::resp_states_RESPST_EXIT,
        Err(EINVAL) => rxe_bindings::resp_states_RESPST_ERR_MISALIGNED_ATOMIC,
        Err(_) => rxe_bindings::resp_states_RESPST_ERR_RKEY_VIOLATION,
    }
}

/// Registers an MR of the current process.
///
/// # Safety
///
/// As C's contract: `mr` is a new MR that nobody else knows.
#[no_mangle]
unsafe extern "C" fn rxe_odp_mr_init_user(
    _rxe: *mut rxe_dev,
    start: u64,
    length: u64,
    iova: u64,
    access: c_int,
    mr: *mut rxe_mr,
) -> c_int {
    // SAFETY: `mr` is ours to set up.
    unsafe { rxe_bindings::rxe_mr_init(access, mr) };

    let registered = workers()
        .and_then(|workers| {
            OdpMr::register(&workers, start, length, iova, AccessFlags::from_raw(access))
        })
        .and_then(|odp| Ok(Arc::new(odp, GFP_KERNEL_ACCOUNT)?));
    errno(registered.map(|odp| {
        // SAFETY: As above.
        unsafe {
            (*mr).odp = Arc::into_raw(odp).cast_mut().cast();
            (*mr).ibmr.length = length;
            (*mr).ibmr.iova = iova;
            (*mr).ibmr.type_ = rxe_bindings::ib_mr_type_IB_MR_TYPE_USER;
            (*mr).state = rxe_bindings::rxe_mr_state_RXE_MR_STATE_VALID;
        }
    }))
}

/// Ends what works on an MR for long, before it is waited for.
///
/// # Safety
///
/// As C's contract: `mr` is a live MR.
#[no_mangle]
unsafe extern "C" fn rxe_odp_mr_stop(mr: *mut rxe_mr) {
    // SAFETY: By C's contract.
    if let Ok(odp) = unsafe { odp_of(mr) } {
        odp.stop();
    }
}

/// Gives up the ODP half of an MR: it is freed now, or when a prefetch has noticed.
///
/// # Safety
///
/// As C's contract: nobody uses `mr` any more.
#[no_mangle]
unsafe extern "C" fn rxe_odp_mr_cleanup(mr: *mut rxe_mr) {
    // SAFETY: By C's contract; it is null or came from `Arc::into_raw`.
    unsafe {
        let odp = core::mem::replace(&mut (*mr).odp, core::ptr::null_mut());

        if !odp.is_null() {
            drop(Arc::from_raw(odp.cast::<OdpMr>()));
        }
    }
}

/// Whether an MR's access flags, or its PD, may be changed.
///
/// # Safety
///
/// As C's contract: `mr` is a live MR.
#[no_mangle]
unsafe extern "C" fn rxe_odp_check_rereg(mr: *mut rxe_mr, flags: c_int, access: c_int) -> c_int {
    // CAST: A small positive number.
    const ACCESS: c_int = rxe_bindings::ib_mr_rereg_flags_IB_MR_REREG_ACCESS as c_int;

    // SAFETY: By C's contract.
    errno(unsafe { odp_of(mr) }.and_then(|odp| {
        let wants_write = AccessFlags::from_raw(access).is_writable();

        if flags & ACCESS != 0 && wants_write && !odp.is_writable() {
            return Err(EACCES);
        }
        Ok(())
    }))
}

/// Copies between an MR and `addr`: 0, `-EFAULT` for good, `-EAGAIN` for now, or `-EINPROGRESS` if the
/// task of `wait` has parked.
///
/// # Safety
///
/// As C's contract: `mr` is a live MR, and `addr` has `length` bytes that nobody else uses. The task of
/// `wait` calls.
#[no_mangle]
unsafe extern "C" fn rxe_odp_mr_copy(
    mr: *mut rxe_mr,
    iova: u64,
    addr: *mut c_void,
    length: c_int,
    dir: rxe_bindings::rxe_mr_copy_dir,
    wait: *mut rxe_odp_wait,
) -> c_int {
    let Ok(length) = usize::try_from(length) else {
        return EINVAL.to_errno();
    };
    if length == 0 {
        return 0;
    }
    let copy = |memory: &mut MrIo<'_, Parks<'_>>| match dir {
        // SAFETY: By C's contract.
        rxe_bindings::rxe_mr_copy_dir_RXE_FROM_MR_OBJ => memory.read(iova, unsafe {
            core::slice::from_raw_parts_mut(addr.cast(), length)
        }),
        // SAFETY: By C's contract.
        rxe_bindings::rxe_mr_copy_dir_RXE_TO_MR_OBJ => memory.write(iova, unsafe {
            core::slice::from_raw_parts(addr.cast(), length)
        }),
        _ => Err(EINVAL),
    };
    // SAFETY: By C's contract.
    errno(unsafe { odp_of(mr).and_then(|odp| with_memory(odp, wait, copy)) })
}

/// Runs `f` while no atomic operation is under way on an MR without on-demand paging.
fn with_atomic_ops_lock(f: &mut dyn FnMut()) {
    let lock = &raw mut rxe_bindings::atomic_ops_lock;

    // SAFETY: A static lock of rxe's C half.
    unsafe { rxe_bindings::spin_lock_bh(lock) };
    f();
    // SAFETY: Taken above.
    unsafe { rxe_bindings::spin_unlock_bh(lock) };
}

/// An MR that can be worked on.
///
/// # Safety
///
/// As for [`odp_of`].
unsafe fn valid_odp_of<'a>(mr: *const rxe_mr) -> Result<ArcBorrow<'a, OdpMr>> {
    // SAFETY: By the caller's promise.
    unsafe {
        if (*mr).state != rxe_bindings::rxe_mr_state_RXE_MR_STATE_VALID {
            return Err(EFAULT);
        }
        odp_of(mr).map_err(|_| EFAULT)
    }
}

/// A responder's compare-and-swap or fetch-and-add.
///
/// # Safety
///
/// As C's contract: `mr` is a live MR, and `orig_val` may be written. The task of `wait` calls.
#[no_mangle]
unsafe extern "C" fn rxe_odp_atomic_op(
    mr: *mut rxe_mr,
    iova: u64,
    opcode: c_int,
    compare: u64,
    swap_add: u64,
    orig_val: *mut u64,
    wait: *mut rxe_odp_wait,
) -> resp_states {
    let op = match u32::try_from(opcode) {
        Ok(rxe_bindings::IB_OPCODE_RC_COMPARE_SWAP) => AtomicOp::CompareSwap {
            compare,
            swap: swap_add,
        },
        _ => AtomicOp::FetchAdd(swap_add),
    };
    // SAFETY: By C's contract.
    let before = unsafe {
        valid_odp_of(mr).and_then(|odp| {
            with_memory(odp, wait, |memory| {
                memory.atomic(iova, op, with_atomic_ops_lock)
            })
        })
    };

    // SAFETY: By C's contract.
    responder_state(before.map(|before| unsafe { orig_val.write(before) }))
}

/// A responder's atomic write of eight bytes.
///
/// # Safety
///
/// As C's contract: `mr` is a live MR. The task of `wait` calls.
#[no_mangle]
unsafe extern "C" fn rxe_odp_do_atomic_write(
    mr: *mut rxe_mr,
    iova: u64,
    value: u64,
    wait: *mut rxe_odp_wait,
) -> resp_states {
    // SAFETY: By C's contract.
    responder_state(unsafe {
        valid_odp_of(mr)
            .and_then(|odp| with_memory(odp, wait, |memory| memory.atomic_write(iova, value)))
    })
}

/// A responder's flush to persistent memory: 0, `-EFAULT`, `-EAGAIN` or `-EINPROGRESS`.
///
/// # Safety
///
/// As C's contract: `mr` is a live MR. The task of `wait` calls.
#[no_mangle]
unsafe extern "C" fn rxe_odp_flush_pmem_iova(
    mr: *mut rxe_mr,
    iova: u64,
    length: u64,
    wait: *mut rxe_odp_wait,
) -> c_int {
    // SAFETY: By C's contract.
    errno(unsafe {
        odp_of(mr).and_then(|odp| with_memory(odp, wait, |memory| memory.flush(iova, length)))
    })
}

/// Finds the ODP half of the MR of an lkey. It outlives the MR, which does not wait for us.
///
/// # Errors
///
/// - `ENOENT` if there is none, or it has no on-demand paging;
/// - `EPERM` if it is of another PD.
///
/// # Safety
///
/// `pd` must be a live PD of rxe.
unsafe fn find(pd: *mut ib_pd, lkey: u32) -> Result<Arc<OdpMr>> {
    // SAFETY: `pd` is live, and so is its device. A reference comes with what is found.
    let mr = unsafe {
        rxe_bindings::rxe_pool_get_index(rxe_bindings::rxe_mr_pool((*pd).device), lkey >> 8)
    };
    let mr = NonNull::new(mr.cast::<rxe_mr>()).ok_or(ENOENT)?.as_ptr();

    // SAFETY: The reference keeps the MR, and so its ODP half, until it is put.
    unsafe {
        let found = match valid_odp_of(mr) {
            Ok(odp) if (*mr).lkey == lkey && (*mr).ibmr.pd == pd => Ok(Arc::from(odp)),
            Ok(_) if (*mr).lkey == lkey => Err(EPERM),
            _ => Err(ENOENT),
        };
        rxe_bindings::__rxe_put(&raw mut (*mr).elem);
        found
    }
}

/// Whether the device is still that of the process that made a system call. ib_uverbs takes it away,
/// and then waits for the call: where the device goes, or moves to another namespace, of which the
/// driver is not told.
///
/// # Safety
///
/// `attrs` must be null or those of the current task's call.
unsafe fn is_associated(attrs: *const rxe_bindings::uverbs_attr_bundle) -> bool {
    // SAFETY: By the caller's promise; the call keeps what is looked at.
    attrs.is_null() || from_err_ptr(unsafe { rxe_bindings::ib_uverbs_get_ucontext(attrs) }).is_ok()
}

/// What an advice asks for.
fn access_of(advice: rxe_bindings::ib_uverbs_advise_mr_advice) -> Result<Access> {
    match advice {
        rxe_bindings::ib_uverbs_advise_mr_advice_IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH => {
            Ok(Access::Read)
        }
        rxe_bindings::ib_uverbs_advise_mr_advice_IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE => {
            Ok(Access::Write)
        }
        rxe_bindings::ib_uverbs_advise_mr_advice_IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT => {
            Ok(Access::Snapshot)
        }
        _ => Err(EOPNOTSUPP),
    }
}

/// Prefetches parts of MRs: at once, or later if the flag is not there that asks for it.
///
/// # Safety
///
/// As C's contract: `pd` is a live PD, and `sg_list` has `num_sge` elements.
#[no_mangle]
unsafe extern "C" fn rxe_ib_advise_mr(
    pd: *mut ib_pd,
    advice: rxe_bindings::ib_uverbs_advise_mr_advice,
    flags: u32,
    sg_list: *mut ib_sge,
    num_sge: u32,
    attrs: *mut rxe_bindings::uverbs_attr_bundle,
) -> c_int {
    const NOW: u32 = rxe_bindings::ib_uverbs_advise_mr_flag_IB_UVERBS_ADVISE_MR_FLAG_FLUSH;

    // SAFETY: By C's contract. CAST: It fits.
    let elements = unsafe { core::slice::from_raw_parts(sg_list, num_sge as usize) };
    let target = |element: &ib_sge, access| {
        let found = Target {
            // SAFETY: By C's contract.
            mr: unsafe { find(pd, element.lkey)? },
            iova: element.addr,
            length: element.length.into(),
        };
        // After the look-up: an MR that the device's end has not met sees that it goes.
        // SAFETY: `pd` is live, and so is its device.
        if unsafe { rxe_bindings::rxe_odp_is_going((*pd).device) } {
            return Err(ENODEV);
        }
        found.check(access)?;
        Ok::<_, Error>(found)
    };

    errno(access_of(advice).and_then(|access| {
        if flags & NOW != 0 {
            // SAFETY: By C's contract.
            let is_wanted = || unsafe { is_associated(attrs) };

            return elements
                .iter()
                .try_for_each(|element| target(element, access)?.prefetch(access, &is_wanted));
        }
        let mut targets = KVVec::new();
        targets.extend_with(elements.len(), None, GFP_KERNEL_ACCOUNT)?;
        for (slot, element) in targets.iter_mut().zip(elements) {
            *slot = Some(target(element, access)?);
        }
        advise::prefetch_later(&targets, access)
    }))
}
