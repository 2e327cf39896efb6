// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! A sparse region: user memory that a virtual device works on, at the cost of what it touches.
//!
//! A region is cut into windows (`region/window.rs`) of 2 MiB, which come into being at the first touch and go
//! when they are empty. So a region can be as large as the address space. Each window has its own
//! notifier and its own lock: registering, deregistering and invalidating cost what is mapped, an
//! invalidation in one window is no business of another, and accesses do not wait for each other.
//!
//! The three paths:
//!
//! - an access, [`Region::read`] and its like: the window is found under RCU, its lock taken for
//!   reading, and the CPU copies on behalf of the device, page by page;
//! - a fault (`region/fault.rs`), where a page is missing: as everywhere in this crate a walk into a private
//!   [`Snapshot`](crate::Snapshot), which is validated and entered with the window's lock held for
//!   writing;
//! - an invalidation (`region/window.rs`): the window's lock is taken for writing, which
//!   waits for copies that are under way, and pages go. It neither sleeps nor allocates.
//!
//! # Lock order
//!
//! ```text
//! mmap_lock
//!   folio lock, i_mmap_rwsem, anon_vma lock   (held by reclaim around the notifier)
//!     mmu notifier srcu / invalidate_range_start
//!       rcu_read_lock                         (around a look-up and what is done with the window)
//!         window lock (spins)
//!           xarray lock of the map, locks of the work queue and of set_page_dirty()
//!           what an access takes: rxe's atomic_ops_lock, the iomem resource lock
//! ```
//!
//! Walks, `mmu_interval_notifier_insert()` and `_remove()`, and waiting for the reaper: with none of
//! them held.

mod entry;
mod fault;
mod map;
mod window;

use crate::{
    counter::Counter,
    deadline::Deadline,
    page::{PageRange, PageShift, UserVa},
    umem::AccessFlags,
    vma, Access,
};
use core::{mem::MaybeUninit, ptr::NonNull};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    bindings, impl_has_work,
    mm::{Mm, MmWithUser},
    new_work,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        rcu, Arc, ArcBorrow,
    },
    time::Msecs,
    workqueue::{HasWork, Queue, Work, WorkItem},
};
use map::{Find, WindowMap};

/// How long an access may lose against invalidations, or find no memory, before it is given back to
/// the device as one to repeat: with what [`Deadline`] adds, some tenths of a second.
const PATIENCE: Msecs = 100;

/// How many bytes are flushed with a window locked.
const FLUSH_AT_ONCE: u64 = 64 << 10;

/// What happened to a region, in pages of `PAGE_SIZE` and in events. The names are mlx5's.
pub struct Counters {
    /// Pages that faults brought in because the device wanted them.
    pub page_faults: Counter,
    /// Faults that brought pages in.
    pub page_faults_handled: Counter,
    /// Pages that were taken away.
    pub page_invalidations: Counter,
    /// Invalidations that took pages away.
    pub page_invalidations_handled: Counter,
    /// Pages that prefetches brought in or found.
    pub page_prefetch: Counter,
}

impl Counters {
    const fn new() -> Self {
        Self {
            page_faults: Counter::new(),
            page_faults_handled: Counter::new(),
            page_invalidations: Counter::new(),
            page_invalidations_handled: Counter::new(),
            page_prefetch: Counter::new(),
        }
    }

    fn count_fault(&self, pages: usize) {
        self.page_faults.add(pages as u64);
        self.page_faults_handled.add((pages != 0).into());
    }

    fn count_invalidation(&self, pages: usize) {
        self.page_invalidations.add(pages as u64);
        self.page_invalidations_handled.add((pages != 0).into());
    }
}

/// What the windows of a region have in common, and the work that retires them.
#[pin_data]
struct Shared {
    /// Grabbed: a fault has to get it.
    mm: ARef<Mm>,
    range: PageRange,
    writable: bool,
    /// Pages that the CPU maps by less are not given to the device.
    least: PageShift,
    #[pin]
    windows: WindowMap,
    counters: Counters,
    stopped: Atomic<bool>,
    #[pin]
    reaper: Work<Shared>,
}

impl_has_work! {
    impl HasWork<Shared> for Shared { self.reaper }
}

impl WorkItem for Shared {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.retire(Find::Idle);
    }
}

impl Shared {
    fn is_writable(&self) -> bool {
        self.writable
    }

    fn windows(&self) -> &WindowMap {
        &self.windows
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The place in the map of the window that holds `va`: windows are counted from the region's
    /// first one, so that the map of a small region is flat. None is there for addresses before it.
    #[inline]
    fn index_of(&self, va: UserVa) -> usize {
        let number = |va: UserVa| va.get().wrapping_shr(window::WINDOW.get());

        // CAST: An address fits a `usize`.
        number(va).wrapping_sub(number(self.range.start())) as usize
    }

    /// Marks a window for the reaper. Neither allocates nor sleeps.
    fn reap_later(&self, index: usize) {
        self.windows.mark_idle(index);
        // SAFETY: A region is always in an `Arc`, and alive while one of its windows is.
        let this = Arc::from(unsafe { ArcBorrow::from_raw(self) });
        // If it is queued already it will see the mark. It never is the last reference that is
        // dropped here: the region waits for its windows.
        let _ = reapers().enqueue(this);
    }

    /// Retires windows: those that are idle, or all.
    fn retire(&self, find: Find) {
        let mut from = 0usize;

        while let Some(index) = self.windows.next(from, find) {
            from = index.wrapping_add(1);
            let ours = {
                let rcu = rcu::read_lock();
                self.windows.get(index, &rcu).and_then(|window| {
                    let retired = match find {
                        Find::Idle => window.write().retire_if_idle(),
                        Find::Any => window.write().retire(),
                    };
                    retired.then(|| NonNull::from(window))
                })
            };
            if let Some(window) = ours {
                // SAFETY: It was retired just now, by us.
                unsafe { window::free(window) };
            }
            if from == 0 {
                break;
            }
            let_others_run();
        }
    }

    /// Waits for the reaper, when all windows are retired, so that nobody calls it again.
    fn wait_for_reaper(this: &Arc<Self>) {
        // SAFETY: The work is initialised.
        let was_queued = unsafe {
            let work = <Self as HasWork<Self>>::raw_get_work(Arc::as_ptr(this).cast_mut());
            bindings::cancel_work_sync(Work::raw_get(work))
        };
        if was_queued {
            // SAFETY: It was queued with a reference, which is ours now that it will not run.
            drop(unsafe { Arc::from_raw(Arc::as_ptr(this)) });
        }
    }
}

/// Where reapers run. What is retired may have to wait for invalidations.
fn reapers() -> &'static Queue {
    // SAFETY: The system's work queues live for ever.
    unsafe { Queue::from_raw(bindings::system_dfl_wq) }
}

/// For loops over many windows. No lock may be held.
fn let_others_run() {
    // SAFETY: Nothing is asked of the caller but that it may sleep.
    unsafe { odp_bindings::cond_resched() };
}

/// A region of user memory that can be read and written on behalf of a device.
///
/// Dropping it waits until nothing of it is left in the kernel.
pub struct Region {
    shared: Arc<Shared>,
}

impl Region {
    /// Registers `[addr, addr + len)` of the current process. No page is touched.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the range is empty, or the caller has no address space;
    /// - `EOVERFLOW` if it wraps around;
    /// - `ENOMEM`.
    pub fn new(addr: UserVa, len: u64, access: AccessFlags) -> Result<Self> {
        Self::of_range(PageRange::covering(addr, len, PageShift::BASE)?, access)
    }

    /// Registers the whole address space of the current process.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `access` asks for huge pages, or the caller has no address space;
    /// - `ENOMEM`.
    pub fn implicit(access: AccessFlags) -> Result<Self> {
        if access.is_hugetlb() {
            return Err(EINVAL);
        }
        let current = kernel::current!();
        let mm = current.mm().ok_or(EINVAL)?;
        // SAFETY: `mm` is in use, and the size of its address space is constant.
        let end = unsafe { (*mm.as_raw()).__bindgen_anon_1.task_size };
        let all = PageRange::covering(UserVa::new(0), end as u64, PageShift::BASE)?;

        Self::of_range(all, access)
    }

    fn of_range(range: PageRange, access: AccessFlags) -> Result<Self> {
        let current = kernel::current!();
        let mm: &Mm = current.mm().ok_or(EINVAL)?;
        let shared = Arc::pin_init(
            pin_init!(Shared {
                mm: mm.into(),
                range,
                writable: access.is_writable(),
                least: if access.is_hugetlb() {
                    PageShift::HUGE
                } else {
                    PageShift::BASE
                },
                windows <- WindowMap::new(),
                counters: Counters::new(),
                stopped: Atomic::new(false),
                reaper <- new_work!("odp_reaper"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        Ok(Self { shared })
    }

    /// Whether the device may write to the memory.
    pub fn is_writable(&self) -> bool {
        self.shared.writable
    }

    /// What happened to the region.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Whether all of the memory, as it is mapped now, is persistent.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not; `EFAULT` if the process is gone.
    pub fn check_persistent(&self) -> Result {
        let mm = self.shared.mm.mmget_not_zero().ok_or(EFAULT)?;

        vma::check_persistent(&MmWithUser::into_mmput_async(mm), &self.shared.range)
    }

    /// Makes what takes long, prefetches and flushes, give up, be it under way or to come. For an
    /// owner who is about to drop the region.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Relaxed);
    }

    fn check_stopped(&self) -> Result {
        match self.shared.stopped.load(Relaxed) {
            true => Err(ECANCELED),
            false => Ok(()),
        }
    }

    /// Copies the memory from `va` on to `to`.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if it is not in the region, or cannot be read;
    /// - `EAGAIN` if that may change: there was no memory, or invalidations would not end.
    pub fn read(&self, va: UserVa, to: &mut [MaybeUninit<u8>]) -> Result {
        let (to, len) = (to.as_mut_ptr().cast::<u8>(), to.len());

        self.access(va, len, Access::Read, |page, done, bytes| {
            // SAFETY: `bytes` bytes of the page and, from `done` on, of `to` may be accessed. That
            // the process, or another device, writes to the page meanwhile is its own affair: the
            // bytes are not looked at here.
            unsafe { core::ptr::copy_nonoverlapping(page.as_ptr(), to.add(done), bytes) }
        })
    }

    /// Copies `from` to the memory from `va` on.
    ///
    /// # Errors
    ///
    /// As [`Region::read`]; a part may have been written.
    pub fn write(&self, va: UserVa, from: &[u8]) -> Result {
        self.access(va, from.len(), Access::Write, |page, done, bytes| {
            // SAFETY: As in `read`, the other way round.
            unsafe { core::ptr::copy_nonoverlapping(from.as_ptr().add(done), page.as_ptr(), bytes) }
        })
    }

    /// Calls `update` with the eight bytes at `va`, which may be changed. It is called with a window
    /// locked: it must neither sleep nor use a region.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `va` is not a multiple of eight, else as [`Region::read`].
    pub fn update<R>(&self, va: UserVa, update: impl FnOnce(&Atomic<u64>) -> R) -> Result<R> {
        const SIZE: usize = size_of::<u64>();
        let (mut update, mut result) = (Some(update), None);

        if va.get() % SIZE as u64 != 0 {
            return Err(EINVAL);
        }
        self.access(va, SIZE, Access::Write, |page, _, _| {
            if let Some(update) = update.take() {
                // SAFETY: Eight bytes that are aligned lie in one page, which stays for the call.
                result = Some(update(unsafe { Atomic::from_ptr(page.as_ptr().cast()) }));
            }
        })?;
        result.ok_or(EFAULT)
    }

    /// Writes what is in the CPU's caches of `[va, va + len)` back to persistent memory.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if some of the memory is not persistent, else as [`Region::read`];
    /// - `ECANCELED` after [`Region::stop`].
    pub fn flush(&self, va: UserVa, len: u64) -> Result {
        let end = va.checked_add(len).map_err(|_| EFAULT)?;
        let mut at = va;

        while at < end {
            let left = end.get().wrapping_sub(at.get());
            // CAST: A small number.
            let piece = left.min(FLUSH_AT_ONCE) as usize;

            self.check_stopped()?;
            self.flush_piece(at, piece)?;
            at = at.checked_add(piece as u64)?;
            let_others_run();
        }
        Ok(())
    }

    fn flush_piece(&self, va: UserVa, len: usize) -> Result {
        let mut persistent = true;

        self.access(va, len, Access::Read, |page, _, bytes| {
            // SAFETY: The page stays for the call, and the bytes are in it.
            unsafe {
                if odp_bindings::is_persistent(page.as_ptr().cast()) {
                    odp_bindings::arch_wb_cache_pmem(page.as_ptr().cast(), bytes);
                } else {
                    persistent = false;
                }
            }
        })?;
        if persistent {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Calls `each` for the pages of `[va, va + len)`, in order and each once, with where it is,
    /// how much came before, and how many bytes of it are meant. Faults in what is missing.
    #[inline]
    fn access(
        &self,
        va: UserVa,
        len: usize,
        access: Access,
        mut each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> Result {
        let end = va.checked_add(len as u64).map_err(|_| EFAULT)?;
        let mut deadline = None;
        let mut faulted = None;
        let mut done = 0usize;

        while done < len {
            let at = UserVa::new(va.get().wrapping_add(done as u64));
            let left = len.wrapping_sub(done);
            let reached = self.with_resident(at, left, access, |page, before, bytes| {
                each(page, done.wrapping_add(before), bytes)
            });

            done = done.wrapping_add(reached);
            if reached == 0 {
                let deadline = deadline.get_or_insert_with(|| Deadline::after_msecs(PATIENCE));
                if faulted.replace(done) == Some(done) {
                    // The page went before it could be used.
                    deadline.collided();
                    deadline.remaining().map_err(|_| EAGAIN)?;
                }
                self.fault_for_access(at, end, access, deadline)?;
            }
        }
        Ok(())
    }

    /// [`Region::access`] for what is there, from `va` to the end of its window at most. Returns
    /// the number of bytes that were reached.
    #[inline]
    fn with_resident(
        &self,
        va: UserVa,
        len: usize,
        access: Access,
        each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> usize {
        let rcu = rcu::read_lock();
        let (windows, index) = (&self.shared.windows, self.shared.index_of(va));

        if let Some(window) = windows.last(index, &rcu) {
            window.with_pages(false, va, len, access, each)
        } else if let Some(window) = windows.get(index, &rcu) {
            window.with_pages(true, va, len, access, each)
        } else {
            0
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.shared.retire(Find::Any);
        Shared::wait_for_reaper(&self.shared);
    }
}
