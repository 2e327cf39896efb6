// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What an access does where a page is missing: it waits for the page fault, or it parks.
//!
//! A device that parks gives up what it does, with its state as it was, and does the same again when it
//! is told. In between nobody waits: the page fault is a [job](super::job), which holds its region
//! only. What is resident is entered at once, without a job.

use super::{
    job::{Job, Order, Task},
    look::Looked,
    process::Purpose,
    Region,
};
use crate::{deadline::Deadline, page::UserVa, Access};
use core::{mem::replace, task::Waker};
use kernel::{
    alloc::flags::{GFP_NOWAIT, __GFP_NOWARN},
    prelude::*,
    sync::Arc,
    time::{delay::fsleep, Msecs},
};

/// How long an access may lose against invalidations, or find no memory, before it is given back to
/// the device as one to repeat: with what [`Deadline`] adds, some tenths of a second.
const PATIENCE: Msecs = 100;

/// What [`super::Io`] does where a page is missing.
pub trait Missing {
    /// Brings in what `access` wants of `[at, end)`, to the end of a window at most, or some of it. Then
    /// the access goes on.
    ///
    /// # Errors
    ///
    /// - `EINPROGRESS` if the access is to be made again, from its beginning, when it is told;
    /// - `EAGAIN` if the page cannot be had now, and the time is up;
    /// - `EFAULT` if it cannot be had.
    fn bring_in(&mut self, region: &Region, at: UserVa, end: UserVa, access: Access) -> Result;

    /// Flushes `[at, end)` to persistent memory.
    ///
    /// # Errors
    ///
    /// As [`Missing::bring_in`]; `EFAULT` also if the memory is not persistent.
    fn flush(&mut self, region: &Region, at: UserVa, end: UserVa) -> Result;

    /// The access to `[at, end)` has been done.
    fn done(&mut self, region: &Region, at: UserVa, end: UserVa);
}

/// The attempts of an access to bring in a page.
struct Attempts {
    deadline: Deadline,
    /// Where the last one was.
    at: Option<UserVa>,
}

impl Attempts {
    fn new() -> Self {
        Self {
            deadline: Deadline::after_msecs(PATIENCE),
            at: None,
        }
    }

    /// Another attempt. If it is not for a page behind the last one, that went before it could be used.
    fn again(&mut self, at: UserVa) -> Result {
        if self.at.replace(at).is_some_and(|last| at <= last) {
            self.deadline.collided();
            self.deadline.remaining().map_err(|_| EAGAIN)?;
        }
        Ok(())
    }
}

/// Where it is the device that has to know, there are two errors: not now, and not at all.
fn for_device(error: Error) -> Error {
    match error {
        EAGAIN | EINPROGRESS => error,
        _ => EFAULT,
    }
}

/// Waits for page faults, in the task of who makes the access.
#[derive(Default)]
pub struct Waits(Option<Attempts>);

impl Missing for Waits {
    fn bring_in(&mut self, region: &Region, at: UserVa, end: UserVa, access: Access) -> Result {
        let attempts = self.0.get_or_insert_with(Attempts::new);

        attempts.again(at)?;
        region
            .fault_for_access(at, end, access, &mut attempts.deadline, Looked::No)
            .map_err(for_device)
    }

    fn flush(&mut self, region: &Region, at: UserVa, end: UserVa) -> Result {
        region.waiting().flush_here(at, end)
    }

    fn done(&mut self, _region: &Region, _at: UserVa, _end: UserVa) {}
}

/// What an operation of a device has parked for: nothing, or one job. It is in the same place when the
/// operation is made again.
///
/// Dropping it, or [`Parked::leave`], ends the waiting.
///
/// # Invariants
///
/// Null, or a reference to a job that is ours, from [`Arc::into_raw`].
#[repr(transparent)]
pub struct Parked(*const Job);

// SAFETY: It is a reference to a job, which may be used by any thread.
unsafe impl Send for Parked {}
// SAFETY: As above.
unsafe impl Sync for Parked {}
// SAFETY: Null is no job.
unsafe impl Zeroable for Parked {}

impl Parked {
    /// For nothing.
    pub const fn nowhere() -> Self {
        Self(core::ptr::null())
    }

    fn take(&mut self) -> Option<Arc<Job>> {
        let job = replace(&mut self.0, core::ptr::null());

        // SAFETY: By the type invariant. It is null from now on.
        (!job.is_null()).then(|| unsafe { Arc::from_raw(job) })
    }

    /// `self` is for nothing.
    fn put(&mut self, job: Arc<Job>) {
        self.0 = Arc::into_raw(job);
    }

    /// Whether what it is for has not come to an end. The operation need not be made again yet.
    pub fn is_waiting(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }.is_some_and(|job| job.outcome().is_none())
    }

    /// Whether it is for a part of `[at, end)` of `region`, at the end of that.
    #[inline]
    fn is_for(&self, region: &Region, at: UserVa, end: UserVa) -> bool {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }.is_some_and(|job| job.is_within(region, at, end))
    }

    /// Waits for nothing any more. From then on the waker is not called, and it is gone.
    pub fn leave(&mut self) {
        if let Some(job) = self.take() {
            job.leave();
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Parks. The waker is called, under a spinning lock, when the operation is to be made again.
pub struct Parks<'a> {
    parked: &'a mut Parked,
    waker: &'a Waker,
    attempts: Option<Attempts>,
}

impl<'a> Parks<'a> {
    pub(super) fn new(parked: &'a mut Parked, waker: &'a Waker) -> Self {
        Self {
            parked,
            waker,
            attempts: None,
        }
    }

    /// What we parked for, if that has come and is of this access, be it of another page.
    ///
    /// # Errors
    ///
    /// If it was for `order`: `EINPROGRESS` if it has not come, else why it did not.
    fn came_back(&mut self, region: &Region, order: &Order) -> Result<Option<Arc<Job>>> {
        if !self.parked.is_for(region, order.at, order.end) {
            return Ok(None);
        }
        let Some(job) = self.parked.take() else {
            return Ok(None);
        };
        match job.outcome() {
            None if job.is(region, order) => {
                self.parked.put(job);
                Err(EINPROGRESS)
            }
            Some(Err(error)) if job.is(region, order) => Err(for_device(error)),
            Some(Ok(())) => Ok(Some(job)),
            _ => {
                job.leave();
                Ok(None)
            }
        }
    }

    /// Parks for `order`.
    fn park(&mut self, region: &Region, order: Order, looked: Looked) -> Result {
        let attempts = self.attempts.get_or_insert_with(Attempts::new);
        let deadline = attempts.deadline.clone();
        let waker = Some(self.waker.clone());
        let flags = GFP_NOWAIT | __GFP_NOWARN;

        match Job::start(
            region,
            order,
            looked,
            deadline,
            Purpose::Wanted,
            waker,
            flags,
        ) {
            Ok(job) => {
                // It may be for another access of the same operation, which then has to look again.
                self.parked.leave();
                self.parked.put(job);
                Err(EINPROGRESS)
            }
            Err(ENOMEM) => {
                attempts.deadline.collided();
                attempts.deadline.remaining().map_err(|_| EAGAIN)?;
                fsleep(super::fault::PAUSE);
                Ok(())
            }
            Err(_) => Err(EFAULT),
        }
    }
}

impl Missing for Parks<'_> {
    fn bring_in(&mut self, region: &Region, at: UserVa, end: UserVa, access: Access) -> Result {
        let order = Order {
            task: Task::Fault(access),
            at,
            end,
        };

        if let Some(job) = self.came_back(region, &order)? {
            self.attempts = Some(Attempts {
                deadline: job.deadline(),
                at: Some(job.at()),
            });
        }
        self.attempts.get_or_insert_with(Attempts::new).again(at)?;
        match region.look_for_access(at, end, access) {
            Looked::Found => Ok(()),
            looked => self.park(region, order, looked),
        }
    }

    fn flush(&mut self, region: &Region, at: UserVa, end: UserVa) -> Result {
        let order = Order {
            task: Task::Flush,
            at,
            end,
        };

        match self.came_back(region, &order)? {
            Some(job) if job.is(region, &order) => Ok(()),
            _ => self.park(region, order, Looked::No),
        }
    }

    #[inline]
    fn done(&mut self, region: &Region, at: UserVa, end: UserVa) {
        // An operation may be of several accesses: what another one has parked for is its own.
        if self.parked.is_for(region, at, end) {
            self.parked.leave();
        }
    }
}
