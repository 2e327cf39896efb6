// SPDX-License-Identifier: GPL-2.0

//! MMU interval notifiers: how a page table walk learns that what it saw has changed since.
//!
//! The protocol is that of a sequence lock. A reader takes a [`ReadSeq`] before it looks at the
//! CPU's page table, and checks it under the lock that the invalidate callback takes, before it
//! uses what it saw. Here the check consumes the [`ReadSeq`] and wants the proof that the lock is
//! held, so that neither can be left out.
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)

use crate::page::PageRange;
use kernel::{
    bindings,
    error::to_result,
    mm::{Mm, MmWithUser},
    prelude::*,
    types::Opaque,
};

/// The callbacks of a notifier of C's.
pub type NotifierOps = *const bindings::mmu_interval_notifier_ops;

/// A registered `struct mmu_interval_notifier`.
///
/// # Invariants
///
/// For as long as a reference lives, the notifier is inserted in its `mm_struct`, which the
/// insertion holds by an `mmgrab()`.
#[repr(transparent)]
pub struct IntervalNotifier(Opaque<bindings::mmu_interval_notifier>);

// SAFETY: All methods of `IntervalNotifier` may be called in parallel.
unsafe impl Sync for IntervalNotifier {}

impl IntervalNotifier {
    /// Borrows a notifier that C registered.
    ///
    /// # Safety
    ///
    /// `ptr` must have been inserted by `mmu_interval_notifier_insert()` and must not be removed
    /// during `'a`.
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::mmu_interval_notifier) -> &'a Self {
        // SAFETY: By the caller's promise; `IntervalNotifier` is transparent.
        // INVARIANT: Likewise.
        unsafe { &*ptr.cast() }
    }

    /// The underlying `struct mmu_interval_notifier`.
    pub fn as_raw(&self) -> *mut bindings::mmu_interval_notifier {
        self.0.get()
    }

    /// The address space that this notifier watches. It is grabbed, not held: see
    /// [`Mm::mmget_not_zero`].
    pub fn mm(&self) -> &Mm {
        // SAFETY: By the type invariant `mm` is set, constant, and grabbed while `self` lives.
        unsafe { Mm::from_raw((*self.as_raw()).mm) }
    }

    /// Registers a notifier that is embedded in an object of C's: from now on `ops` is told of all
    /// that happens to `range` in `mm`. Only an address space that is held can be watched.
    ///
    /// # Errors
    ///
    /// `EINTR`, `ENOMEM`, `EOVERFLOW` as `mmu_interval_notifier_insert()` gives them.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid, pinned and not registered. `ops`, and all that its callback uses, must
    /// be valid until [`IntervalNotifier::remove`] has returned.
    pub unsafe fn insert(
        ptr: *mut bindings::mmu_interval_notifier,
        mm: &MmWithUser,
        range: &PageRange,
        ops: NotifierOps,
    ) -> Result {
        // CAST: The ends of a `PageRange` fit a `usize`, and so does its length.
        let (start, bytes) = (range.start().get() as usize, range.bytes() as usize);
        // SAFETY: By the caller's promise; `mm` is in use.
        to_result(unsafe {
            bindings::mmu_interval_notifier_insert(ptr, mm.as_raw(), start, bytes, ops)
        })
    }

    /// Removes a notifier, and waits for its callbacks that still run.
    ///
    /// # Safety
    ///
    /// `ptr` must be registered, and nobody may hold a reference to it. The caller may hold no lock
    /// that the callback takes.
    pub unsafe fn remove(ptr: *mut bindings::mmu_interval_notifier) {
        // SAFETY: By the caller's promise.
        unsafe { bindings::mmu_interval_notifier_remove(ptr) };
    }

    /// Starts a read-side section: waits until no invalidation of this range is under way, and
    /// takes the sequence number to check afterwards. May sleep.
    pub fn read_begin(&self) -> ReadSeq<'_> {
        // SAFETY: By the type invariant the notifier is inserted.
        self.read_began(unsafe { bindings::mmu_interval_read_begin(self.as_raw()) })
    }

    /// Continues the read-side section that C began when it read `seq`, before it looked at the
    /// page table.
    pub(crate) fn read_began(&self, seq: usize) -> ReadSeq<'_> {
        ReadSeq {
            notifier: self,
            seq,
        }
    }
}

/// Proof that the lock is held which the notifier's invalidate callback takes around
/// `mmu_interval_set_seq()`, the driver's "user lock".
///
/// # Safety
///
/// While a value of the type lives, that lock of the notifier which [`notifier()`] returns is held
/// by the current task.
///
/// [`notifier()`]: InvalidateLocked::notifier
pub unsafe trait InvalidateLocked {
    /// The notifier whose invalidations are held off.
    fn notifier(&self) -> &IntervalNotifier;
}

/// An open read-side section: the sequence number of the notifier when it began.
#[must_use = "what was read without checking the sequence number cannot be used"]
pub struct ReadSeq<'n> {
    notifier: &'n IntervalNotifier,
    seq: usize,
}

impl ReadSeq<'_> {
    /// Ends the section: whether nothing was invalidated since it began.
    ///
    /// A lock that belongs to another notifier proves nothing, so it counts as a collision.
    pub fn validate<L: InvalidateLocked>(self, locked: &L) -> bool {
        core::ptr::eq(self.notifier, locked.notifier())
            // SAFETY: The notifier is inserted, and `locked` proves that its user lock is held.
            && !unsafe {
                odp_bindings::mmu_interval_read_retry(self.notifier.as_raw(), self.seq)
            }
    }

    /// Whether nothing was invalidated between the beginnings of `earlier` and of this section, so
    /// that validating this one validates the other.
    pub fn continues(&self, earlier: &ReadSeq<'_>) -> bool {
        core::ptr::eq(self.notifier, earlier.notifier) && self.seq == earlier.seq
    }
}
