// SPDX-License-Identifier: GPL-2.0

//! Who serves the page faults of devices that do not wait for them, process by process.
//!
//! A page fault may take for ever: its page may be under userfaultfd, or in a file system that does
//! not answer. So it is a worker's, and each process has work queues of its own: what fills them is its
//! own affair. They are made when they are first wanted, and go with the last region of the process.

use super::job::Job;
use crate::queue::OwnedQueue;
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    bindings, impl_has_work,
    mm::{Mm, MmWithUser},
    new_condvar, new_mutex, new_work,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc, CondVar, CondVarTimeoutResult, Mutex,
    },
    time::{msecs_to_jiffies, Msecs},
    workqueue::{Work, WorkItem},
};

/// How many page faults of a process are served at a time, prefetches that are waited for among them.
const FAULTS: c_int = 64;
/// How many prefetches that nobody waits for.
const PREFETCHES: c_int = 16;

/// How many tasks of a device may do at a time what can be done at once for a process: that waits for
/// nobody, but may take its time, for memory or an invalidation.
const AT_ONCE: i32 = 16;

/// How long [`FaultWorkers::end`] waits before it says for whom.
const PATIENCE: Msecs = 1_000;

/// The workers of all processes that have regions of a driver.
#[pin_data(PinnedDrop)]
pub struct FaultWorkers {
    /// By the address of the `mm_struct`, which each of them holds.
    #[pin]
    processes: Mutex<RBTree<usize, Entry>>,
    #[pin]
    left: CondVar,
    /// What system calls wait for.
    #[pin]
    waited_for: Mutex<WaitedFor>,
    /// Where the queues of a process end, as they cannot do so in a worker of their own.
    #[pin]
    reaper: Mutex<Option<OwnedQueue>>,
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

/// A process as it was when it registered its first region.
#[derive(Clone, Copy)]
pub struct ProcessName {
    /// The number of its thread group.
    pub tgid: i32,
    comm: [u8; bindings::TASK_COMM_LEN as usize],
}

impl ProcessName {
    fn current() -> Self {
        // SAFETY: The current task is alive, and its name is text that may change meanwhile.
        let comm = unsafe {
            (&raw const (*bindings::get_current()).comm)
                .cast::<[u8; bindings::TASK_COMM_LEN as usize]>()
                .read_volatile()
        };
        let tgid = kernel::current!().tgid();

        Self { tgid, comm }
    }

    /// What the process calls itself.
    pub fn comm(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.comm).unwrap_or_default()
    }
}

/// The queues of a process.
#[pin_data]
pub(super) struct Process {
    mm: ARef<Mm>,
    name: ProcessName,
    /// Whether a notifier has been inserted. Others are, from then on, without waiting.
    is_watched: Atomic<bool>,
    at_once: Atomic<i32>,
    #[pin]
    faults: Mutex<Option<OwnedQueue>>,
    #[pin]
    prefetches: Mutex<Option<OwnedQueue>>,
    #[pin]
    end: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Process { self.end }
}

impl WorkItem for Process {
    type Pointer = Arc<Self>;

    /// Ends the queues, when there is no work in them to come.
    fn run(this: Arc<Self>) {
        let queues = (this.faults.lock().take(), this.prefetches.lock().take());
        // Without the locks.
        drop(queues);
    }
}

/// Which queue of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody waits for it.
    Wanted,
    /// Nobody does: a prefetch.
    Later,
}

impl Process {
    fn new(mm: &Mm) -> impl PinInit<Self> + '_ {
        pin_init!(Self {
            mm: mm.into(),
            name: ProcessName::current(),
            is_watched: Atomic::new(false),
            at_once: Atomic::new(0),
            faults <- new_mutex!(None, "odp_faults"),
            prefetches <- new_mutex!(None, "odp_prefetches"),
            end <- new_work!("odp_process_end"),
        })
    }

    /// The process has a notifier.
    pub(super) fn set_watched(&self) {
        self.is_watched.store(true, Relaxed);
    }

    /// Whether another notifier can be inserted without waiting.
    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.load(Relaxed)
    }

    /// A turn at what can be done at once, if not too many have one.
    pub(super) fn turn(&self) -> Option<Turn<'_>> {
        let turn = Turn(self);

        (self.at_once.fetch_add(1, Relaxed) < AT_ONCE).then_some(turn)
    }

    /// Queues a job, which is in no queue yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn enqueue(&self, job: Arc<Job>, purpose: Purpose) -> Result {
        let (queue, name, at_a_time) = match purpose {
            Purpose::Wanted => (&self.faults, c"odp_fault", FAULTS),
            Purpose::Later => (&self.prefetches, c"odp_prefetch", PREFETCHES),
        };
        let mut queue = queue.lock();

        if queue.is_none() {
            *queue = Some(OwnedQueue::unbound(name, self.name.tgid, at_a_time)?);
        }
        if let Some(queue) = &*queue {
            let _ = queue.enqueue(job);
        }
        Ok(())
    }

    fn has_queues(&self) -> bool {
        self.faults.lock().is_some() || self.prefetches.lock().is_some()
    }
}

/// The right to do at once what can be.
///
/// # Invariants
///
/// It is counted.
pub(super) struct Turn<'a>(&'a Process);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Relaxed);
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

        Arc::pin_init(
            pin_init!(Self {
                processes <- new_mutex!(RBTree::new(), "odp_processes"),
                left <- new_condvar!("odp_processes"),
                waited_for <- new_mutex!(
                    WaitedFor {
                        jobs: RBTree::new(),
                        stopped: false,
                    },
                    "odp_waited_for"
                ),
                reaper <- new_mutex!(Some(reaper), "odp_process_reaper"),
            }),
            GFP_KERNEL,
        )
    }

    /// Waits for a job on behalf of a system call.
    ///
    /// # Errors
    ///
    /// - `ENODEV` after [`FaultWorkers::stop_waiting`];
    /// - `ENOMEM`;
    /// - else as [`Job::wait`].
    pub(super) fn wait_for(&self, job: &Arc<Job>) -> Result {
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
        let result = job.wait();
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
        // CAST: The address is a name.
        let key = mm.as_raw() as usize;
        let known = this.add_region(key);
        let process = match known {
            Some(process) => process,
            None => {
                // Without the lock: it may take long, and others do not wait for that.
                let process = Arc::pin_init(Process::new(mm), GFP_KERNEL_ACCOUNT)?;
                let entry = Entry {
                    process,
                    regions: 0,
                };
                let node = RBTreeNode::new(key, entry, GFP_KERNEL_ACCOUNT)?;

                this.add_process(key, node).ok_or(ENOMEM)?
            }
        };

        Ok(Member {
            workers: this.clone(),
            process,
        })
    }

    /// Counts one more region of a process, if that is known.
    fn add_region(&self, key: usize) -> Option<Arc<Process>> {
        Self::count(&mut self.processes.lock(), key)
    }

    /// Adds a process, if it has not become known meanwhile, and counts a region of it.
    fn add_process(&self, key: usize, node: RBTreeNode<usize, Entry>) -> Option<Arc<Process>> {
        let mut processes = self.processes.lock();
        let other = match processes.get(&key) {
            Some(_) => Some(node),
            None => processes.insert(node),
        };
        let process = Self::count(&mut processes, key);

        drop(processes);
        // Without the lock.
        drop(other);
        process
    }

    fn count(processes: &mut RBTree<usize, Entry>, key: usize) -> Option<Arc<Process>> {
        processes.get_mut(&key).map(|entry| {
            entry.regions = entry.regions.saturating_add(1);
            entry.process.clone()
        })
    }

    fn leave(&self, process: &Arc<Process>) {
        // CAST: As above.
        let key = process.mm.as_raw() as usize;
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
