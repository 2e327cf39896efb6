// SPDX-License-Identifier: GPL-2.0

//! A work queue of one's own, which goes when it is dropped.
//!
//! `kernel::workqueue` knows the system's queues only.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::{ops::Deref, ptr::NonNull};
use kernel::{bindings, prelude::*, str::CStr, workqueue::Queue};

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
