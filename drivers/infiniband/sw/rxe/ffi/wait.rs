// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! Queue pairs that do not wait for page faults, and who serves those.

use super::errno;
use crate::mr::{MrIo, OdpMr};
use core::{
    mem::ManuallyDrop,
    task::{RawWaker, RawWakerVTable, Waker},
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full, Release},
        Arc, ArcBorrow,
    },
};
use odp::{
    region::{Parked, Parks},
    FaultWorkers,
};
use rxe_bindings::{rxe_odp_wait, rxe_task};

/// The module's [`FaultWorkers`]: zero, or a reference from [`Arc::into_raw`].
static WORKERS: Atomic<usize> = Atomic::new(0);

/// Who serves page faults.
///
/// # Errors
///
/// `ENODEV` where the module is not set up.
pub(super) fn workers() -> Result<Arc<FaultWorkers>> {
    let workers = WORKERS.load(Acquire) as *const FaultWorkers;

    if workers.is_null() {
        return Err(ENODEV);
    }
    // SAFETY: It came from `Arc::into_raw`, and is only taken back when there is no device any more.
    Ok(unsafe { ArcBorrow::from_raw(workers) }.into())
}

/// With the module.
///
/// # Safety
///
/// As C's contract: called once, before there is a device.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_odp_init() -> c_int {
    // SAFETY: `rxe_odp_exit` ends them. The module's end has waited for its devices by then, which wait for
    // their MRs; nobody else has a region but for jobs, which `end` waits for, and none is leaked.
    let workers = unsafe { FaultWorkers::new() };

    errno(workers.map(|workers| {
        // CAST: To be turned back.
        WORKERS.store(Arc::into_raw(workers) as usize, Release);
    }))
}

/// With the module, which has no device any more. Says for whom it waits, if that takes long.
///
/// # Safety
///
/// As C's contract: called once after `rxe_odp_init`, which has succeeded.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_odp_exit() {
    let workers = WORKERS.xchg(0, Full) as *const FaultWorkers;

    if workers.is_null() {
        return;
    }
    // SAFETY: It came from `Arc::into_raw`, and is taken back once.
    let workers = unsafe { Arc::from_raw(workers) };
    workers.end(|process| {
        let (tgid, comm) = (process.tgid, process.comm());
        pr_warn!("waiting for a page fault of process {tgid} ({comm}), which cannot be ended\n");
    });
}

/// Before the module waits for system calls.
///
/// # Safety
///
/// As C's contract: the module is about to go.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_odp_stop_waiting() {
    if let Ok(workers) = workers() {
        workers.stop_waiting();
    }
}

/// Schedules a task of a queue pair's again when what it has parked for has come.
const WAKER: &RawWakerVTable = &RawWakerVTable::new(
    |task| RawWaker::new(task, WAKER),
    |task| schedule(task.cast()),
    |task| schedule(task.cast()),
    |_| (),
);

fn schedule(task: *const rxe_task) {
    // SAFETY: The queue pair, which the task is a part of, leaves what it has parked for before it goes.
    unsafe { rxe_bindings::rxe_sched_task(task.cast_mut()) };
}

/// # Safety
///
/// `wait` must be a part of a queue pair, whose task makes the call, or calls to it never run at the
/// same time otherwise.
unsafe fn parked_of<'a>(wait: *mut rxe_odp_wait) -> &'a mut Parked {
    // SAFETY: By the caller's promise. `Parked` is transparent, and the pointer is null or one's own.
    unsafe { &mut *(&raw mut (*wait).job).cast::<Parked>() }
}

/// Calls `f` with the memory of an MR. If it is not there, the task of `wait` has parked.
///
/// # Safety
///
/// As for [`parked_of`], and `mr` must be live.
pub(super) unsafe fn with_memory<R>(
    mr: ArcBorrow<'_, OdpMr>,
    wait: *mut rxe_odp_wait,
    f: impl FnOnce(&mut MrIo<'_, Parks<'_>>) -> Result<R>,
) -> Result<R> {
    // SAFETY: By the caller's promise. A clone of the waker is dropped with what the task has parked for.
    let (parked, waker) = unsafe {
        let task = (*wait).task.cast_const().cast();
        (parked_of(wait), Waker::from_raw(RawWaker::new(task, WAKER)))
    };
    // It owns nothing, and to drop it is an indirect call.
    let waker = ManuallyDrop::new(waker);

    f(&mut mr.parking(parked, &waker))
}

/// Whether what a task has parked for has not come to an end.
///
/// # Safety
///
/// As C's contract: the task of `wait` asks.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_odp_is_waiting(wait: *const rxe_odp_wait) -> bool {
    // SAFETY: By C's contract.
    unsafe { parked_of(wait.cast_mut()) }.is_waiting()
}

/// Ends the waiting of a task.
///
/// # Safety
///
/// As C's contract: the task of `wait` asks, or does not run any more.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_odp_leave(wait: *mut rxe_odp_wait) {
    // SAFETY: By C's contract.
    unsafe { parked_of(wait) }.leave();
}
