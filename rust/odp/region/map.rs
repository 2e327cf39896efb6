// SPDX-License-Identifier: GPL-2.0

//! The windows of a region, by their place in the address space.
//!
//! An xarray of the C kind, and not `kernel::xarray::XArray`, whose every look-up takes its lock:
//! here a look-up is protected by RCU alone.
//!
//! C header: [`include/linux/xarray.h`](srctree/include/linux/xarray.h)

use super::{
    pages::Pages,
    window::{Table, Window, WindowBox},
};
use crate::{charge::Memory, rwlock::ReadGuard};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        rcu,
    },
    types::Opaque,
};

/// A sparse array of windows. What is in it belongs to it.
///
/// # Invariants
///
/// - Entries are windows that came from [`WindowBox::into_raw`]; one that was removed is freed
///   after an RCU grace period.
/// - `last` is zero or the address of one of them.
/// - When it is dropped it is empty.
#[pin_data(PinnedDrop)]
pub(super) struct WindowMap<P: Pages> {
    #[pin]
    array: Opaque<bindings::xarray>,
    /// The window that was used last, as the next access is likely to be to it.
    last: Atomic<usize>,
    _windows: PhantomData<Window<P>>,
}

// SAFETY: An xarray has its own lock, and windows may be used by any thread.
unsafe impl<P: Pages> Send for WindowMap<P> {}
// SAFETY: As above.
unsafe impl<P: Pages> Sync for WindowMap<P> {}

#[pinned_drop]
impl<P: Pages> PinnedDrop for WindowMap<P> {
    fn drop(self: Pin<&mut Self>) {
        // An insertion that found no memory can have left nodes without entries.
        // SAFETY: The array is initialised, and nobody uses it any more.
        unsafe { bindings::xa_destroy(self.array.get()) };
    }
}

/// Which windows to look for.
#[derive(Clone, Copy)]
pub(super) enum Find {
    /// All.
    Any,
    /// Those marked as idle.
    Idle,
}

impl<P: Pages> WindowMap<P> {
    /// An empty map. Its nodes are charged to the memory cgroup of who causes them.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is ours to write, and stays where it is.
            array <- Opaque::ffi_init(|slot| unsafe {
                bindings::xa_init_flags(slot, odp_bindings::XA_FLAGS_ACCOUNT)
            }),
            last: Atomic::new(0),
            _windows: PhantomData,
        })
    }

    /// The window at `index`, if it was used last. Else try [`WindowMap::get`].
    #[inline]
    pub(super) fn last<'r>(&self, index: usize, _rcu: &'r rcu::Guard) -> Option<&'r Window<P>> {
        // SAFETY: By the type invariants it is null or a window that is not freed before `_rcu` ends.
        // CAST: It was made from a reference.
        let last = unsafe { (self.last.load(Acquire) as *const Window<P>).as_ref() };

        last.filter(|last| last.index() == index)
    }

    /// The window at `index`. It is not freed while the RCU read lock is held, but it may be retired
    /// at any time, which only its own lock tells.
    pub(super) fn get<'r>(&self, index: usize, _rcu: &'r rcu::Guard) -> Option<&'r Window<P>> {
        // SAFETY: The array is initialised; by the type invariants what it returns is a window that
        // is not freed before `_rcu` ends.
        unsafe {
            bindings::xa_load(self.array.get(), index)
                .cast::<Window<P>>()
                .as_ref()
        }
    }

    /// Puts a window in. What that takes is such `memory`.
    ///
    /// # Errors
    ///
    /// The window comes back, with `EBUSY` if there is one at `index` already, or `ENOMEM`.
    pub(super) fn insert(
        &self,
        index: usize,
        window: WindowBox<P>,
        memory: Memory,
    ) -> Result<NonNull<Window<P>>, (Error, WindowBox<P>)> {
        let raw = window.into_raw();
        // SAFETY: The array is initialised. The lock is dropped where memory is allocated.
        let inserted = to_result(unsafe {
            bindings::xa_lock(self.array.get());
            let ret =
                bindings::__xa_insert(self.array.get(), index, raw.as_ptr().cast(), memory.gfp());
            bindings::xa_unlock(self.array.get());
            ret
        });
        match inserted {
            Ok(()) => Ok(raw),
            // SAFETY: It was not put in, so it is still ours.
            Err(error) => Err((error, unsafe { WindowBox::from_raw(raw) })),
        }
    }

    /// Makes `window` the first to be looked at. Its read lock, under which it had pages, keeps it
    /// from being removed meanwhile.
    #[inline]
    pub(super) fn remember(&self, window: &Window<P>, _locked: &ReadGuard<'_, Table<P>>) {
        // CAST: To be turned back.
        let address = core::ptr::from_ref(window) as usize;

        // INVARIANT: It is in the array: a window loses its pages when it is removed.
        self.last.store(address, Release);
    }

    /// Takes a window out, whose write lock is held. Neither allocates nor sleeps.
    pub(super) fn remove(&self, window: &Window<P>) {
        // CAST: Only compared.
        if self.last.load(Relaxed) == core::ptr::from_ref(window) as usize {
            self.last.store(0, Relaxed);
        }
        // SAFETY: The array is initialised.
        unsafe { bindings::xa_erase(self.array.get(), window.index()) };
    }

    /// Marks the window at `index` as idle. Neither allocates nor sleeps.
    pub(super) fn mark_idle(&self, index: usize) {
        // SAFETY: The array is initialised.
        unsafe { bindings::xa_set_mark(self.array.get(), index, odp_bindings::XA_MARK_0) };
    }

    /// Takes the mark off again.
    pub(super) fn clear_idle(&self, index: usize) {
        // SAFETY: The array is initialised.
        unsafe { bindings::xa_clear_mark(self.array.get(), index, odp_bindings::XA_MARK_0) };
    }

    /// The index of the first window from `index` on.
    pub(super) fn next(&self, mut index: usize, find: Find) -> Option<usize> {
        let mark = match find {
            Find::Any => bindings::XA_PRESENT,
            Find::Idle => odp_bindings::XA_MARK_0,
        };
        // SAFETY: The array is initialised.
        let found = unsafe { bindings::xa_find(self.array.get(), &mut index, usize::MAX, mark) };
        (!found.is_null()).then_some(index)
    }
}

#[cfg(odp_kunit)]
#[path = "../tests/map.rs"]
mod tests;
