// SPDX-License-Identifier: GPL-2.0

//! A work queue of one's own, which goes when it is dropped.
//!
//! `kernel::workqueue` knows the system's queues only.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::{ops::Deref, ptr::NonNull};
use kernel::{
    bindings, container_of,
    prelude::*,
    str::CStr,
    sync::Arc,
    workqueue::{HasDelayedWork, HasWork, Queue, Work, WorkItem},
};

/// Takes work out of its queue. Returns the reference that was queued, if it was. Does not wait for it to
/// end where it runs.
pub(crate) fn cancel<T>(work: &Arc<T>) -> Option<Arc<T>>
where
    T: HasWork<T> + WorkItem<Pointer = Arc<T>>,
{
    let this = Arc::as_ptr(work);
    // SAFETY: The work is a part of `work`, which is initialised.
    let was_queued = unsafe {
        let work = T::raw_get_work(this.cast_mut());
        bindings::cancel_work(Work::raw_get(work))
    };

    // SAFETY: It was queued with a reference, which is ours now that it will not run.
    was_queued.then(|| unsafe { Arc::from_raw(this) })
}

/// Takes delayed work out of its queue, and waits for its end where it runs. No one may queue it any more.
pub(crate) fn cancel_delayed<T>(work: &T)
where
    T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>>,
{
    let this: *const T = work;
    // SAFETY: The work is a part of `work`, which is initialised, and the work of a delayed one.
    let was_queued = unsafe {
        let work = Work::raw_get(T::raw_get_work(this.cast_mut()));
        bindings::cancel_delayed_work_sync(container_of!(work, bindings::delayed_work, work))
    };

    if was_queued {
        // SAFETY: It was queued with a reference, by its address, and will not run.
        drop(unsafe { Arc::from_raw(this) });
    }
}

/// A queue whose work may sleep for long, on any processor.
///
/// # Invariants
///
/// `self.0` is a work queue that is ours.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A work queue has locks of its own.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Makes a queue, which `ps` shows as `name/number`, of whose work at most `max_active` items run
    /// at a time.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn unbound(name: &CStr, number: c_int, max_active: c_int) -> Result<Self> {
        // SAFETY: The format is for a C string and an `int`.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s/%d".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                max_active,
                name.as_char_ptr(),
                number,
            )
        };

        // INVARIANT: Just made.
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant, and for as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    /// Waits for all work that is in the queue. So it may not be dropped by that work.
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
