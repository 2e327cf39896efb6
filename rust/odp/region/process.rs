// SPDX-License-Identifier: GPL-2.0

//! A process that has regions of a driver: its queues, and who works in them.
//!
//! A worker that serves a page fault holds the address space. Its owner may be gone by then: it has
//! exited, or runs another program, and what would serve the fault is another process's. Nobody wants the
//! page any more, but what is mapped in the address space, open files among it, would stay. So such
//! workers are killed.
//!
//! Locks: each on its own, but that a worker is killed under that of the list of workers.

use super::{
    job::Job,
    users::{Share, Users},
};
use crate::{pid::Pid, queue::OwnedQueue, task::kill};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    bindings, impl_has_work,
    mm::{Mm, MmWithUser},
    new_mutex, new_spinlock, new_work,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc, Mutex, SpinLock,
    },
    task::Task,
    workqueue::{Work, WorkItem},
};

/// How many page faults of a process are served at a time, prefetches that are waited for among them: if
/// its user does not have too many processes.
const FAULTS: c_int = 64;
/// How many prefetches that nobody waits for, likewise.
const PREFETCHES: c_int = 16;
/// How many workers that is.
// CAST: A small number.
const WORKERS: usize = (FAULTS + PREFETCHES) as usize;

/// How many tasks of a device may do at a time what can be done at once for a process: that waits for
/// nobody, but may take its time, for memory or an invalidation.
const AT_ONCE: i32 = 16;

/// Tells processes from each other. Two of them may share an address space.
// The addresses of the `mm_struct` and of the thread group's `struct pid`, both of which are held.
pub(super) type Key = (usize, usize);

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

/// A queue, whose workers are of the user's.
struct Workers {
    queue: OwnedQueue,
    /// Given back when the queue has ended.
    _share: Share,
}

/// The queues of a process.
#[pin_data]
pub(super) struct Process {
    mm: ARef<Mm>,
    thread_group: ARef<Pid>,
    /// Whether it is the thread group's own address space: a kernel thread borrows that of a process.
    is_owner: bool,
    pub(super) name: ProcessName,
    /// Whether a notifier has been inserted. Others are, from then on, without waiting.
    is_watched: Atomic<bool>,
    at_once: Atomic<i32>,
    users: Arc<Users>,
    user: u32,
    #[pin]
    faults: Mutex<Option<Workers>>,
    #[pin]
    prefetches: Mutex<Option<Workers>>,
    /// There is room for all of them.
    #[pin]
    at_work: SpinLock<KVec<ARef<Task>>>,
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
    /// The current process, whose address space is `mm`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(mm: &MmWithUser, users: &Arc<Users>) -> Result<Arc<Self>> {
        let thread_group = Pid::current_thread_group();
        let is_owner = thread_group.mmget_if(&**mm, None).is_some();
        let workers = KVec::with_capacity(WORKERS, GFP_KERNEL_ACCOUNT)?;
        let mm: &Mm = mm;

        Arc::pin_init(
            pin_init!(Self {
                mm: mm.into(),
                thread_group,
                is_owner,
                name: ProcessName::current(),
                is_watched: Atomic::new(false),
                at_once: Atomic::new(0),
                users: users.clone(),
                user: Users::current(),
                faults <- new_mutex!(None, "odp_faults"),
                prefetches <- new_mutex!(None, "odp_prefetches"),
                at_work <- new_spinlock!(workers, "odp_at_work"),
                end <- new_work!("odp_process_end"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The key of the current process, whose address space is `mm`.
    pub(super) fn key_of_current(mm: &MmWithUser) -> Key {
        // CAST: The addresses are names. `struct pid` has a field for its address to be that of.
        (
            mm.as_raw() as usize,
            Pid::current_thread_group().as_raw() as usize,
        )
    }

    /// The key.
    pub(super) fn key(&self) -> Key {
        // CAST: As above.
        (
            self.mm.as_raw() as usize,
            self.thread_group.as_raw() as usize,
        )
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
        let mut workers = queue.lock();

        if workers.is_none() {
            let share = Users::share(&self.users, self.user, at_a_time)?;
            let queue = OwnedQueue::unbound(name, self.name.tgid, share.workers())?;

            *workers = Some(Workers {
                queue,
                _share: share,
            });
        }
        if let Some(workers) = &*workers {
            let _ = workers.queue.enqueue(job);
        }
        Ok(())
    }

    pub(super) fn has_queues(&self) -> bool {
        self.faults.lock().is_some() || self.prefetches.lock().is_some()
    }

    /// The current task is a worker, [`Killable`](crate::task::Killable), and begins a job.
    pub(super) fn work(&self) -> AtWork<'_> {
        let worker = ARef::from(&**kernel::current!());

        // There is room.
        let _ = self.at_work.lock().push_within_capacity(worker);
        AtWork(self)
    }

    /// Kills the workers if the process does not have its address space any more. Returns whether there
    /// are any.
    pub(super) fn end_if_gone(&self) -> bool {
        if self.at_work.lock().is_empty() {
            return false;
        }
        if self.is_owner && self.thread_group.mmget_if(&*self.mm, None).is_none() {
            self.at_work.lock().iter().for_each(|worker| kill(worker));
        }
        true
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

/// The current task is a worker that does a job of a process.
///
/// # Invariants
///
/// It is in the list.
pub(super) struct AtWork<'a>(&'a Process);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let current = kernel::current!();
        let mut at_work = self.0.at_work.lock();
        let place = at_work
            .iter()
            .position(|worker| core::ptr::eq::<Task>(&**worker, &**current));

        if let Some(Ok(worker)) = place.map(|place| at_work.remove(place)) {
            drop(at_work);
            drop(worker);
        }
    }
}
