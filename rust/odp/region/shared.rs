// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What the windows of a region have in common, and the work that retires them.

use super::{
    aside::Aside,
    let_others_run,
    map::{Find, WindowMap},
    pages::Pages,
    window, Counters,
};
use crate::page::{PageRange, PageShift, UserVa};
use core::ptr::NonNull;
use kernel::{
    bindings, impl_has_work,
    mm::Mm,
    new_work,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, Full, Relaxed},
        rcu, Arc, ArcBorrow,
    },
    workqueue::{HasWork, Queue, Work, WorkItem},
};

/// A region, as its windows see it.
#[pin_data]
pub(super) struct Shared<P: Pages> {
    /// Grabbed: a fault has to get it.
    pub(super) mm: ARef<Mm>,
    pub(super) range: PageRange,
    pub(super) writable: bool,
    /// Pages that the CPU maps by less are not given to the device.
    pub(super) least: PageShift,
    pub(super) device: P::Device,
    #[pin]
    pub(super) windows: WindowMap<P>,
    pub(super) aside: Aside<P>,
    pub(super) counters: Counters,
    pub(super) stopped: Atomic<bool>,
    /// Who works with the region: its owner, and jobs. It ends with the last of them.
    handles: Atomic<i32>,
    #[pin]
    reaper: Work<Self>,
}

impl_has_work! {
    impl{P: Pages} HasWork<Self> for Shared<P> { self.reaper }
}

impl<P: Pages> WorkItem for Shared<P> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.retire(Find::Idle);
    }
}

impl<P: Pages> Shared<P> {
    pub(super) fn new(
        device: P::Device,
        mm: &Mm,
        range: PageRange,
        writable: bool,
        least: PageShift,
    ) -> impl PinInit<Self> + use<'_, P> {
        pin_init!(Self {
            mm: mm.into(),
            range,
            writable,
            least,
            device,
            windows <- WindowMap::new(),
            aside: Aside::new(),
            counters: Counters::new(),
            stopped: Atomic::new(false),
            handles: Atomic::new(1),
            reaper <- new_work!("odp_reaper"),
        })
    }

    /// One more works with the region.
    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// One less does. Returns whether it was the last.
    pub(super) fn remove_handle(&self) -> bool {
        self.handles.fetch_sub(1, Full) == 1
    }

    /// Keeps the device from going.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has gone.
    pub(super) fn hold(&self) -> Result<P::Hold<'_>> {
        P::hold(&self.device)
    }

    /// The place in the map of the window that holds `va`: windows are counted from the region's
    /// first one, so that the map of a small region is flat. None is there for addresses before it.
    #[inline]
    pub(super) fn index_of(&self, va: UserVa) -> usize {
        let number = |va: UserVa| va.get().wrapping_shr(window::WINDOW.get());

        // CAST: An address fits a `usize`.
        number(va).wrapping_sub(number(self.range.start())) as usize
    }

    /// Marks a window for the reaper. Neither allocates nor sleeps.
    pub(super) fn reap_later(&self, index: usize) {
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
                    let free = match find {
                        Find::Idle => window.write().retire_if_idle(),
                        Find::Any => window.write().retire(),
                    };
                    free.then(|| NonNull::from(window))
                })
            };
            if let Some(window) = ours {
                // SAFETY: We were told to.
                unsafe { window::free(window) };
            }
            if from == 0 {
                break;
            }
            let_others_run();
        }
    }

    /// Retires all windows, and waits for the reaper, so that no page is the device's any more but for
    /// those of a DMA that does not end. No window may be made, and no DMA begun, meanwhile or later.
    pub(super) fn end(this: &Arc<Self>) {
        this.retire(Find::Any);
        for window in this.aside.take() {
            // SAFETY: It is in use by the list, until here.
            let last = unsafe { window.as_ref() }.write().leave_use();
            if last {
                // SAFETY: We were told to.
                unsafe { window::free(window) };
            }
        }
        Self::wait_for_reaper(this);
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
