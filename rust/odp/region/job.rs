// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What is done for a region in a worker: page faults, prefetches and long flushes.
//!
//! A job holds its region and nothing else. Who waits for one can leave it at any time; then, or when
//! the region is about to end, the worker is killed: it wakes up from what it waits for as a task that
//! gets SIGKILL, and the job ends. Where the kernel cannot do that (a request that a file system has
//! begun to work on) the worker goes on alone, with the memory of the region.
//!
//! Locks: the region's list of jobs, or a job's state; neither within the other.

use super::{
    let_others_run,
    look::Looked,
    process::{Process, Purpose},
    workers::{FaultWorkers, Member},
    Region,
};
use crate::{
    deadline::Deadline,
    page::UserVa,
    queue::cancel,
    task::{kill, Killable},
    Access,
};
use core::task::Waker;
use kernel::{
    alloc::Flags,
    impl_has_work,
    list::{
        impl_list_arc_safe, impl_list_item, AtomicTracker, List, ListArc, ListLinks, TryNewListArc,
    },
    mm::MmWithUser,
    new_condvar, new_spinlock, new_work,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc, CondVar, CondVarTimeoutResult, SpinLock,
    },
    time::{msecs_to_jiffies, Msecs},
    workqueue::{Work, WorkItem},
};

/// How often who waits for a job asks whether that is still wanted.
const ASK_AGAIN: Msecs = 100;

/// The jobs of a region, and who does them.
#[pin_data]
pub struct Jobs {
    member: Member,
    /// Tells this region from others, also from such as are gone.
    id: u64,
    #[pin]
    list: SpinLock<Listed>,
}

/// What the lock of [`Jobs`] protects.
struct Listed {
    jobs: List<Job>,
    /// Whether the region takes no more of them.
    ended: bool,
}

impl Jobs {
    /// The jobs of a new region of the current process.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(
        workers: &Arc<FaultWorkers>,
        mm: &MmWithUser,
        flags: Flags,
    ) -> Result<Arc<Self>> {
        static LAST_ID: Atomic<u64> = Atomic::new(0);

        let member = FaultWorkers::join(workers, mm)?;
        let listed = Listed {
            jobs: List::new(),
            ended: false,
        };
        Arc::pin_init(
            pin_init!(Self {
                member,
                id: LAST_ID.fetch_add(1, Relaxed),
                list <- new_spinlock!(listed, "odp_jobs"),
            }),
            flags,
        )
    }

    /// The process whose memory it is.
    pub(super) fn process(&self) -> &Process {
        self.member.process()
    }

    /// Waits for a job on behalf of a system call: see [`FaultWorkers::wait_for`].
    pub(super) fn wait_for(&self, job: &Arc<Job>, is_wanted: &dyn Fn() -> bool) -> Result {
        self.member.workers().wait_for(job, is_wanted)
    }

    /// # Errors
    ///
    /// `ECANCELED` after [`Jobs::end`].
    fn add(&self, job: ListArc<Job>) -> Result {
        let mut list = self.list.lock();

        if list.ended {
            drop(list);
            return Err(ECANCELED);
        }
        list.jobs.push_back(job);
        Ok(())
    }

    fn remove(&self, job: &Job) {
        // SAFETY: A job is only ever put into the list of its region.
        let listed = unsafe { self.list.lock().jobs.remove(job) };
        // Without the lock.
        drop(listed);
    }

    /// Ends all jobs, and takes no more.
    pub(super) fn end(&self) {
        loop {
            let first = {
                let mut list = self.list.lock();
                list.ended = true;
                list.jobs.pop_front()
            };
            match first {
                Some(job) => job.into_arc().end(),
                None => break,
            }
            let_others_run();
        }
    }
}

/// What a job does for its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// A page fault, of which `Looked` was seen before.
    Fault(Access),
    /// A prefetch.
    Prefetch(Access),
    /// Writing back to persistent memory.
    Flush,
}

/// A part of a region, and what is to be done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) task: Task,
    pub(super) at: UserVa,
    pub(super) end: UserVa,
}

/// Something that a worker does for a region.
#[pin_data]
pub(super) struct Job {
    /// The [`Jobs::id`] of the region.
    region: u64,
    order: Order,
    looked: Looked,
    #[pin]
    state: SpinLock<State>,
    #[pin]
    ended: CondVar,
    #[pin]
    work: Work<Self>,
    #[pin]
    links: ListLinks,
    #[pin]
    tracker: AtomicTracker,
}

/// What the lock of a job protects.
struct State {
    /// Until the worker, or who ends the job before there is one, takes it.
    region: Option<Region>,
    /// The worker, while it may be killed.
    worker: Option<ARef<kernel::task::Task>>,
    outcome: Option<Result>,
    /// Who is to be told of the outcome.
    waker: Option<Waker>,
    deadline: Deadline,
}

impl_has_work! {
    impl HasWork<Self> for Job { self.work }
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Job { tracked_by tracker: AtomicTracker; }
}

impl_list_item! {
    impl ListItem<0> for Job { using ListLinks { self.links }; }
}

impl WorkItem for Job {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let killable = Killable::new();
        let Some(region) = this.begin() else {
            return;
        };
        let at_work = region.jobs.member.work();
        let result = match this.outcome() {
            None => this.work(&region),
            Some(outcome) => outcome,
        };
        this.finish(result);
        drop(at_work);
        drop(killable);
        region.jobs.remove(&this);
        // This may have been the last that the region had waited for.
        drop(region);
    }
}

impl Job {
    /// Gives a job to a worker of the region's process, for that `purpose`. `waker` is called, under a
    /// spinning lock, when there is an outcome.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`;
    /// - `ECANCELED` if the region is about to end.
    pub(super) fn start(
        region: &Region,
        order: Order,
        looked: Looked,
        deadline: Deadline,
        purpose: Purpose,
        waker: Option<Waker>,
        flags: Flags,
    ) -> Result<Arc<Self>> {
        let jobs = &region.jobs;
        let id = jobs.id;
        let state = State {
            region: Some(region.share()),
            worker: None,
            outcome: None,
            waker,
            deadline,
        };
        let listed = ListArc::pin_init(
            try_pin_init!(Self {
                region: id,
                order,
                looked,
                state <- new_spinlock!(state, "odp_job"),
                ended <- new_condvar!("odp_job"),
                work <- new_work!("odp_job"),
                links <- ListLinks::new(),
                tracker <- AtomicTracker::new(),
            }? Error),
            flags,
        )?;
        let job = listed.clone_arc();

        jobs.add(listed)?;
        jobs.process()
            .enqueue(job.clone(), purpose)
            .inspect_err(|_| jobs.remove(&job))?;
        Ok(job)
    }

    /// Takes the region, and says which task to kill from now on. `None` if somebody else has taken it.
    fn begin(&self) -> Option<Region> {
        let mut state = self.state.lock();

        state.worker = Some(ARef::from(&**kernel::current!()));
        state.region.take()
    }

    fn work(&self, region: &Region) -> Result {
        let Order { task, at, end } = self.order;

        match task {
            Task::Fault(access) => {
                let mut deadline = self.deadline();
                let result = region.fault_for_access(at, end, access, &mut deadline, self.looked);

                self.state.lock().deadline = deadline;
                if region.has_window(at) {
                    // And so a notifier.
                    region.jobs.process().set_watched();
                }
                result
            }
            Task::Prefetch(access) => region.prefetch_here(at, end, access),
            Task::Flush => region.waiting().flush_here(at, end),
        }
    }

    /// The worker is done, and not to be killed any more.
    fn finish(&self, result: Result) {
        let worker = {
            let mut state = self.state.lock();
            let worker = state.worker.take();

            state.end(result);
            worker
        };
        self.ended.notify_all();
        drop(worker);
    }

    /// Ends the job, for the region's sake: the outcome is `ECANCELED`, if there is none.
    pub(super) fn end(self: Arc<Self>) {
        self.state.lock().end(Err(ECANCELED));
        self.ended.notify_all();
        self.give_up();
    }

    /// Ends the job, for who waited for it and does not any more.
    pub(super) fn leave(self: Arc<Self>) {
        let (waker, was_done) = {
            let mut state = self.state.lock();
            let waker = state.waker.take();
            let was_done = state.outcome.is_some();

            state.end(Err(ECANCELED));
            (waker, was_done)
        };
        drop(waker);
        if !was_done {
            self.give_up();
        }
    }

    /// Takes the job out of its queue or, if a worker has it, kills that.
    fn give_up(self: Arc<Self>) {
        if let Some(worker) = &self.state.lock().worker {
            kill(worker);
        }
        if let Some(queued) = cancel(&self) {
            drop(queued);
            let region = self.state.lock().region.take();

            if let Some(region) = region {
                region.jobs.remove(&self);
            }
        }
    }

    /// Whether it is `order`, for `region`.
    pub(super) fn is(&self, region: &Region, order: &Order) -> bool {
        self.region == region.jobs.id && self.order == *order
    }

    /// Whether it is for a part of `[at, end)` of `region`, at the end of that.
    pub(super) fn is_within(&self, region: &Region, at: UserVa, end: UserVa) -> bool {
        self.region == region.jobs.id && self.order.at >= at && self.order.end == end
    }

    /// Where it begins.
    pub(super) fn at(&self) -> UserVa {
        self.order.at
    }

    /// What came of it, if it has ended.
    pub(super) fn outcome(&self) -> Option<Result> {
        self.state.lock().outcome
    }

    /// What is left of the time for the operation.
    pub(super) fn deadline(&self) -> Deadline {
        self.state.lock().deadline.clone()
    }

    /// Waits for the outcome, and asks now and then whether it is still wanted.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if it is not;
    /// - `ERESTARTNOINTR` if the current task has a signal;
    /// - `ECANCELED` if the region is about to end;
    /// - else as the job.
    pub(super) fn wait(&self, is_wanted: &dyn Fn() -> bool) -> Result {
        let mut state = self.state.lock();

        loop {
            if let Some(outcome) = state.outcome {
                return outcome;
            }
            let limit = msecs_to_jiffies(ASK_AGAIN);
            match self.ended.wait_interruptible_timeout(&mut state, limit) {
                CondVarTimeoutResult::Signal { .. } => return Err(ERESTARTNOINTR),
                CondVarTimeoutResult::Woken { .. } => (),
                CondVarTimeoutResult::Timeout => {
                    drop(state);
                    if !is_wanted() {
                        return Err(ENODEV);
                    }
                    state = self.state.lock();
                }
            }
        }
    }
}

impl State {
    /// There is an outcome, if there was none, and who waits for it is told.
    fn end(&mut self, result: Result) {
        if self.outcome.is_none() {
            self.outcome = Some(result);
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }
}

#[cfg(odp_kunit)]
#[path = "../tests/job.rs"]
mod tests;
