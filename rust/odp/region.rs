// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! A sparse region: user memory that a device works on, at the cost of what it touches.
//!
//! A region is cut into windows (`region/window.rs`) of 2 MiB, which come into being at the first
//! touch and go when they are empty. So a region can be as large as the address space. Each window
//! has its own notifier and its own lock: registering, deregistering and invalidating cost what is
//! mapped, an invalidation in one window is no business of another, and accesses do not wait for
//! each other.
//!
//! There are two kinds, by who reaches the memory: for a virtual device the CPU does
//! ([`CpuPages`], `region/copy.rs`), a real one by DMA ([`DmaPages`], `region/dma.rs`), as long as
//! it is bound to its driver (`region/bus.rs`).
//!
//! The three paths:
//!
//! - an access. [`Io::read`] and its like: the window is found under RCU, its lock taken for
//!   reading, and the CPU copies on behalf of the device, page by page. [`Region::try_map`]: the
//!   window is kept, and counts a DMA as under way, until the [`Mapping`] is dropped;
//! - a fault (`region/fault.rs`), where a page is missing: as everywhere in this crate a walk into a
//!   private [`Snapshot`](crate::Snapshot), which is validated and entered with the window's lock
//!   held for writing, and there mapped for DMA. For a virtual device that does not wait
//!   (`region/missing.rs`) it is done at once where that is possible
//!   (`region/look.rs`), else by a worker (`region/job.rs`) of the process that the memory belongs to
//!   (`region/process.rs`, `region/workers.rs`);
//! - an invalidation (`region/window.rs`): the window's lock is taken for writing, which waits for
//!   copies that are under way, and pages go. It allocates nothing. It sleeps only where a DMA is
//!   under way in the window, and then it does not do that where the kernel cannot wait.
//!
//! # A DMA that does not end
//!
//! A [`Mapping`] can be leaked, or its device may hang. Nobody is held up for ever by that, and the
//! device is never left with memory that is somebody else's: when it has lasted for a minute, or when
//! its region is dropped, so that nobody can have the mapping any more, the pages of its window that are
//! mapped for the device are lost. They are taken from the process as they should be, but never freed,
//! and what the device finds at their DMA addresses stays so. The kernel log says so, once.
//!
//! # Lock order
//!
//! ```text
//! mmap_lock
//!   folio lock, i_mmap_rwsem, anon_vma lock   (held by reclaim around the notifier)
//!     mmu notifier srcu / invalidate_range_start
//!       a DMA that is under way               (an invalidation waits for it)
//!         rcu_read_lock                       (around a look-up and what is done with the window)
//!           window lock (spins)
//!             xarray lock of the map, locks of the work queue and of set_page_dirty()
//!             locks of the DMA mapping (IOVA allocator, IOMMU)
//!             what an access takes: rxe's atomic_ops_lock, the iomem resource lock
//! list of a region's jobs                     (spins; not within one another)
//! state of a job                              (spins)
//!   siglock of the worker, locks that the waker takes: rxe's task lock, the work queue's
//! processes of a driver                       (sleep)
//!   queues of a process
//!     shares of users
//! lock of who takes everything from a device
//!   bus srcu                                  (unbinding waits for it: around the entering of a
//!     window lock                              walk, and the beginning of a DMA)
//!   a DMA that is under way                   (unbinding waits for it)
//! ```
//!
//! Walks, `mmu_interval_notifier_insert()` and `_remove()`, and waiting for the reaper: with no lock
//! held, and no DMA under way. A new window's notifier is inserted under the bus srcu. What is done at
//! once takes the mmap lock only if nobody waits for it, and within it the window lock.

mod aside;
mod bus;
mod copy;
mod dma;
mod entry;
mod fault;
mod job;
mod look;
mod map;
mod missing;
mod pages;
mod prefetch;
mod process;
mod shared;
mod users;
mod window;
mod workers;

pub use bus::BusDevice;
pub use copy::{CpuPages, Io};
pub use dma::{DmaPages, Mapping};
pub use missing::{Missing, Parked, Parks, Waits};
pub use process::ProcessName;
pub use workers::FaultWorkers;

use crate::{
    counter::Counter,
    page::{PageRange, PageShift, UserVa},
    umem::AccessFlags,
    vma,
};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    mm::{Mm, MmWithUser},
    prelude::*,
    sync::{atomic::Relaxed, Arc},
};
use pages::Pages;
use shared::Shared;

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

/// For loops over many windows. No lock may be held.
fn let_others_run() {
    // SAFETY: Nothing is asked of the caller but that it may sleep.
    unsafe { odp_bindings::cond_resched() };
}

/// A region of user memory that a device can read and write.
///
/// Dropping it waits until nothing of it is left in the kernel; while its device is being unbound, that
/// does the waiting. Where a worker is in a page fault of the region that cannot be ended, the region
/// ends with that.
pub struct Region<P: Pages = CpuPages> {
    shared: Arc<Shared<P>>,
    jobs: P::Jobs,
}

/// The whole address space of the current process, for an implicit region.
///
/// # Errors
///
/// `EINVAL` if `access` asks for huge pages, or the caller has no address space.
fn address_space(access: AccessFlags) -> Result<PageRange> {
    if access.is_hugetlb() {
        return Err(EINVAL);
    }
    let current = kernel::current!();
    let mm = current.mm().ok_or(EINVAL)?;
    // SAFETY: `mm` is in use, and the size of its address space is constant.
    let end = unsafe { (*mm.as_raw()).__bindgen_anon_1.task_size };

    PageRange::covering(UserVa::new(0), end as u64, PageShift::BASE)
}

impl<P: Pages> Region<P> {
    fn of_range(
        device: P::Device,
        jobs: P::Jobs,
        range: PageRange,
        access: AccessFlags,
    ) -> Result<Self> {
        let current = kernel::current!();
        let mm: &Mm = current.mm().ok_or(EINVAL)?;
        let least = match access.is_hugetlb() {
            true => PageShift::HUGE,
            false => PageShift::BASE,
        };
        let shared = Arc::pin_init(
            Shared::new(device, mm, range, access.is_writable(), least),
            GFP_KERNEL_ACCOUNT,
        )?;

        Ok(Self { shared, jobs })
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

    /// The region once more, for a job of its own.
    fn share(&self) -> Self {
        self.shared.add_handle();
        Self {
            shared: self.shared.clone(),
            jobs: self.jobs.clone(),
        }
    }

    /// Ends all work on the region in workers, and makes what takes long, faults, prefetches and
    /// flushes, give up, be it under way or to come. For an owner who is about to drop the region.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Relaxed);
        P::end(&self.jobs);
    }

    fn check_stopped(&self) -> Result {
        match self.shared.stopped.load(Relaxed) {
            true => Err(ECANCELED),
            false => Ok(()),
        }
    }
}

impl<P: Pages> Drop for Region<P> {
    fn drop(&mut self) {
        if !self.shared.remove_handle() {
            return;
        }
        // Else the device is going, or has gone: it knows the region until it has taken all pages.
        if let Ok(_hold) = self.shared.hold() {
            Shared::end(&self.shared);
            P::forget(&self.shared.device, Arc::as_ptr(&self.shared) as usize);
        }
    }
}

#[cfg(odp_kunit)]
#[path = "tests/region.rs"]
mod tests;
