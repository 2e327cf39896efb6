// SPDX-License-Identifier: GPL-2.0

//! Who serves the page faults of devices that do not wait for them, process by process.
//!
//! A page fault may take for ever: its page may be under userfaultfd, or in a file system that does
//! not answer. So it is a worker's, and each process has work queues of its own: what fills them is its
//! own affair. They are made when they are first wanted, and go with the last region of the process.

use super::{
    job::Job,
    process::{AtWork, Key, Process, ProcessName},
    users::Users,
};
use crate::queue::{cancel_delayed, OwnedQueue};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    impl_has_delayed_work,
    mm::MmWithUser,
    new_condvar, new_mutex,
    prelude::*,
    rbtree::{self, RBTree, RBTreeNode, RBTreeNodeReservation},
    sync::{Arc, CondVar, CondVarTimeoutResult, Mutex},
    time::{msecs_to_jiffies, Msecs},
    workqueue::{self, new_delayed_work, DelayedWork, WorkItem},
};

/// How long [`FaultWorkers::end`] waits before it says for whom.
const PATIENCE: Msecs = 1_000;
/// How often it is looked whether the processes of workers are still there: nothing tells.
const LOOK: Msecs = 500;

/// The workers of all processes that have regions of a driver.
#[pin_data(PinnedDrop)]
pub struct FaultWorkers {
    #[pin]
    processes: Mutex<RBTree<Key, Entry>>,
    #[pin]
    left: CondVar,
    users: Arc<Users>,
    /// What system calls wait for.
    #[pin]
    waited_for: Mutex<WaitedFor>,
    /// Where the queues of a process end, as they cannot do so in a worker of their own.
    #[pin]
    reaper: Mutex<Option<OwnedQueue>>,
    /// Looks whether the processes of workers are still there; queued while there are workers.
    #[pin]
    look: DelayedWork<Self>,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for FaultWorkers { self.look }
}

impl WorkItem for FaultWorkers {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let ends = |any, entry: &Entry| entry.process.end_if_gone() || any;

        if this.processes.lock().values().fold(false, ends) {
            Self::look_later(&this);
        }
    }
}

/// Jobs that system calls wait for, by their addresses.
struct WaitedFor {
    jobs: RBTree<usize, Arc<Job>>,
    /// Whether no system call is to wait any more.
    stopped: bool,
}

/// A process, and how many regions it has.
struct Entry {
    process: Arc<Process>,
    regions: usize,
}

impl Entry {
    fn add_region(&mut self) -> Arc<Process> {
        self.regions = self.regions.saturating_add(1);
        self.process.clone()
    }
}

/// A region's place among those of its process.
pub(super) struct Member {
    workers: Arc<FaultWorkers>,
    process: Arc<Process>,
}

impl Member {
    /// The process.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    /// The workers.
    pub(super) fn workers(&self) -> &FaultWorkers {
        &self.workers
    }

    /// The current task, a worker that can be killed, begins a job.
    pub(super) fn work(&self) -> AtWork<'_> {
        let at_work = self.process.work();

        FaultWorkers::look_later(&self.workers);
        at_work
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.workers.leave(&self.process);
    }
}

impl FaultWorkers {
    /// Workers for the regions of a driver, without any yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// Before the calling module goes, all regions that were made with it must have been dropped, none of
    /// them leaked, and [`FaultWorkers::end`] called: the kernel and the workers call into the module.
    pub unsafe fn new() -> Result<Arc<Self>> {
        let reaper = OwnedQueue::unbound(c"odp_process", 0, 1)?;
        let users = Users::new()?;

        Arc::pin_init(
            pin_init!(Self {
                processes <- new_mutex!(RBTree::new(), "odp_processes"),
                left <- new_condvar!("odp_processes"),
                users,
                waited_for <- new_mutex!(
                    WaitedFor {
                        jobs: RBTree::new(),
                        stopped: false,
                    },
                    "odp_waited_for"
                ),
                reaper <- new_mutex!(Some(reaper), "odp_process_reaper"),
                look <- new_delayed_work!("odp_process_look"),
            }),
            GFP_KERNEL,
        )
    }

    /// Waits for a job on behalf of a system call, for as long as that `is_wanted`.
    ///
    /// # Errors
    ///
    /// - `ENODEV` after [`FaultWorkers::stop_waiting`];
    /// - `ENOMEM`;
    /// - else as [`Job::wait`].
    pub(super) fn wait_for(&self, job: &Arc<Job>, is_wanted: &dyn Fn() -> bool) -> Result {
        // CAST: The address is a name.
        let key = Arc::as_ptr(job) as usize;
        let node = RBTreeNode::new(key, job.clone(), GFP_KERNEL_ACCOUNT)?;
        {
            let mut waited_for = self.waited_for.lock();
            if waited_for.stopped {
                return Err(ENODEV);
            }
            waited_for.jobs.insert(node);
        }
        let result = job.wait(is_wanted);
        let removed = self.waited_for.lock().jobs.remove(&key);

        drop(removed);
        result
    }

    /// Ends what system calls wait for, and lets none wait again: before a module waits for them.
    pub fn stop_waiting(&self) {
        let mut waited_for = self.waited_for.lock();

        waited_for.stopped = true;
        for job in waited_for.jobs.values() {
            job.clone().end();
        }
    }

    /// Adds a region of the current process, whose address space is `mm`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn join(this: &Arc<Self>, mm: &MmWithUser) -> Result<Member> {
        let key = Process::key_of_current(mm);
        let known = this.add_region(key);
        let process = match known {
            Some(process) => process,
            None => {
                // Without the lock: it may take long, and others do not wait for that.
                let process = Process::new(mm, &this.users)?;
                let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;

                this.add_process(key, process, room)
            }
        };

        Ok(Member {
            workers: this.clone(),
            process,
        })
    }

    /// Counts one more region of a process, if that is known.
    fn add_region(&self, key: Key) -> Option<Arc<Process>> {
        self.processes.lock().get_mut(&key).map(Entry::add_region)
    }

    /// Adds a process, if it has not become known meanwhile, and counts a region of it. What is not
    /// wanted is freed after the lock.
    fn add_process(
        &self,
        key: Key,
        process: Arc<Process>,
        room: RBTreeNodeReservation<Key, Entry>,
    ) -> Arc<Process> {
        let mut processes = self.processes.lock();
        let entry = match processes.entry(key) {
            rbtree::Entry::Occupied(entry) => entry.into_mut(),
            rbtree::Entry::Vacant(entry) => entry.insert(
                Entry {
                    process,
                    regions: 0,
                },
                room,
            ),
        };

        entry.add_region()
    }

    /// Looks after the processes in a while, if not before.
    fn look_later(this: &Arc<Self>) {
        let later = msecs_to_jiffies(LOOK);

        let _ = workqueue::system_unbound().enqueue_delayed(this.clone(), later);
    }

    fn leave(&self, process: &Arc<Process>) {
        let key = process.key();
        let mut processes = self.processes.lock();
        let Some(entry) = processes.get_mut(&key) else {
            return;
        };

        entry.regions = entry.regions.saturating_sub(1);
        if entry.regions != 0 {
            return;
        }
        let gone = processes.remove(&key);
        if process.has_queues() {
            // This may be a worker of that queue.
            if let Some(reaper) = &*self.reaper.lock() {
                let _ = reaper.enqueue(process.clone());
            }
        }
        self.left.notify_all();
        drop(processes);
        drop(gone);
    }

    /// Waits until all regions are gone, and their workers; nobody makes another one. Each job that can
    /// be ended has been, with its region. `tell` is called for each process that is waited for, once
    /// and only if that takes long.
    pub fn end(&self, mut tell: impl FnMut(&ProcessName)) {
        let mut processes = self.processes.lock();
        let mut told = false;

        while !processes.is_empty() {
            if told {
                self.left.wait(&mut processes);
                continue;
            }
            let limit = msecs_to_jiffies(PATIENCE);
            if let CondVarTimeoutResult::Woken { .. } =
                self.left.wait_interruptible_timeout(&mut processes, limit)
            {
                continue;
            }
            processes
                .values()
                .for_each(|entry| tell(&entry.process.name));
            told = true;
        }
        drop(processes);
        cancel_delayed(self);
        // Waits for the workers' last steps.
        let reaper = self.reaper.lock().take();
        drop(reaper);
    }
}

#[pinned_drop]
impl PinnedDrop for FaultWorkers {
    fn drop(self: Pin<&mut Self>) {
        // It is there if `end` was not called. Then this may be a worker that the reaper waits for.
        core::mem::forget(self.reaper.lock().take());
    }
}

#[cfg(odp_kunit)]
#[path = "../tests/workers.rs"]
mod tests;
