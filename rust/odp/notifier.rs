// SPDX-License-Identifier: GPL-2.0

//! MMU interval notifiers: how a page table walk learns that what it saw has changed since.
//!
//! The protocol is that of a sequence lock. A reader takes a [`ReadSeq`] before it looks at the
//! CPU's page table, and checks it under the lock that the invalidate callback takes, before it
//! uses what it saw. Here the check consumes the [`ReadSeq`] and wants the proof that the lock is
//! held, so that neither can be left out.
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)

use crate::page::{PageRange, UserVa};
use core::{ops::Deref, ptr::NonNull};
use kernel::{
    bindings, container_of,
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

    /// Whether all that happens to `range` is told. Elsewhere a sequence number means nothing.
    pub fn watches(&self, range: &PageRange) -> bool {
        // SAFETY: By the type invariant the notifier is inserted, so its interval is constant.
        let (start, last) = unsafe {
            let interval = &raw const (*self.as_raw()).interval_tree;
            ((*interval).start, (*interval).last)
        };

        // CAST: Addresses have 64 bits. The end of a `PageRange` is not zero.
        start as u64 <= range.start().get() && range.end().get().wrapping_sub(1) <= last as u64
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
        Self::prepare(mm)?;
        // CAST: The ends of a `PageRange` fit a `usize`, and so does its length.
        let (start, bytes) = (range.start().get() as usize, range.bytes() as usize);
        // SAFETY: By the caller's promise; `mm` is in use.
        to_result(unsafe {
            bindings::mmu_interval_notifier_insert(ptr, mm.as_raw(), start, bytes, ops)
        })
    }

    /// Has `mm` get what the first notifier in it wants. C's insertion does that too, but waits for the
    /// mmap lock as one that is being killed should not.
    fn prepare(mm: &MmWithUser) -> Result {
        let raw = mm.as_raw();

        // SAFETY: `mm` is in use. The pointer is set once, which the lock then shows.
        unsafe {
            let subscriptions = &raw const (*raw).__bindgen_anon_1.notifier_subscriptions;
            if !subscriptions.read_volatile().is_null() {
                return Ok(());
            }
            to_result(odp_bindings::mmap_write_lock_killable(raw))?;
            let ret = bindings::__mmu_notifier_register(core::ptr::null_mut(), raw);
            odp_bindings::mmap_write_unlock(raw);
            to_result(ret)
        }
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

impl<'n> ReadSeq<'n> {
    /// The notifier whose sequence number it is.
    pub(crate) fn notifier(&self) -> &'n IntervalNotifier {
        self.notifier
    }

    /// The sequence number.
    pub(crate) fn number(&self) -> usize {
        self.seq
    }

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

/// What is to be done when the kernel takes pages away from a process. The other side of
/// [`Watch`].
///
/// # Safety
///
/// - The guard that [`lock()`] returns is of the watch that it was given:
///   [`InvalidateLocked::notifier`] of it is [`Watch::notifier`].
/// - [`lock()`] does not sleep, and [`invalidated()`] only where [`would_wait()`] says so, for the
///   kernel invalidates where nothing may sleep: for the OOM reaper.
/// - A watch of the type is not leaked, or the module that it is made in is never unloaded: that has the
///   callback.
///
/// [`lock()`]: Invalidate::lock
/// [`would_wait()`]: Invalidate::would_wait
/// [`invalidated()`]: Invalidate::invalidated
pub unsafe trait Invalidate: Sized + Send + Sync {
    /// The lock that protects what was read from the page table.
    type Guard<'a>: InvalidateLocked
    where
        Self: 'a;

    /// Takes the lock.
    fn lock(watch: &Watch<Self>) -> Self::Guard<'_>;

    /// Whether a device uses the pages just now, so that [`Invalidate::invalidated`] has to sleep
    /// until it has done. Where that is not possible the kernel is told to leave the pages alone.
    fn would_wait(guard: &Self::Guard<'_>) -> bool;

    /// Gives up what is known of the pages in `[start, end)`, which may reach beyond the watched
    /// range. The sequence number has been set, so that a walk that is under way will notice. The
    /// lock may be dropped, and taken again, to wait for the device.
    fn invalidated(guard: Self::Guard<'_>, start: UserVa, end: UserVa);
}

/// An object that is told when the kernel takes pages of a range away from a process.
///
/// It cannot be had unregistered, so that nothing can be mapped before an invalidation would be
/// heard.
///
/// # Invariants
///
/// `notifier` is inserted, until `Watch::unregister`; from then on only the owner is used.
#[pin_data(PinnedDrop)]
pub struct Watch<T: Invalidate> {
    #[pin]
    owner: T,
    #[pin]
    notifier: Opaque<bindings::mmu_interval_notifier>,
}

// SAFETY: A notifier may be removed by any thread.
unsafe impl<T: Invalidate> Send for Watch<T> {}
// SAFETY: All methods may be called in parallel, and the owner is `Sync`.
unsafe impl<T: Invalidate> Sync for Watch<T> {}

impl<T: Invalidate> Watch<T> {
    const OPS: &'static bindings::mmu_interval_notifier_ops =
        &bindings::mmu_interval_notifier_ops {
            invalidate: Some(Self::callback),
            invalidate_start: None,
            invalidate_finish: None,
        };

    /// Makes `owner` and tells it from then on what happens to `range` in `mm`. The result must not be
    /// leaked, for which whoever has implemented [`Invalidate`] vouches.
    ///
    /// # Errors
    ///
    /// As [`IntervalNotifier::insert`].
    pub fn new<'a>(
        mm: &'a MmWithUser,
        range: &'a PageRange,
        owner: impl PinInit<T> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        T: 'a,
    {
        try_pin_init!(Self {
            owner <- owner,
            // Last, in the order of this call: callbacks may come at once.
            // SAFETY: The slot is pinned and not registered. The callback uses the owner, which is
            // initialised by now, and both stay until `drop` or `unregister` have removed it.
            // INVARIANT: Inserted.
            notifier <- Opaque::try_ffi_init(move |slot| unsafe {
                IntervalNotifier::insert(slot, mm, range, Self::OPS)
            }),
        }? Error)
    }

    /// The registered notifier.
    pub fn notifier(&self) -> &IntervalNotifier {
        // SAFETY: By the type invariant; it is removed when nobody borrows `self` any more.
        unsafe { IntervalNotifier::from_raw(self.notifier.get()) }
    }

    /// Removes the notifier of a watch whose memory is going to be freed without dropping it.
    ///
    /// # Safety
    ///
    /// `this` must be a watch whose notifier nobody uses any more, and it may never be dropped. The
    /// caller may hold no lock that the callback takes.
    pub(crate) unsafe fn unregister(this: NonNull<Self>) {
        // SAFETY: By the caller's promise.
        unsafe { IntervalNotifier::remove((*this.as_ptr()).notifier.get()) };
    }

    /// The `invalidate` callback.
    ///
    /// # Safety
    ///
    /// `notifier` is inserted and in a `Watch<T>`, and `range` is what is invalidated.
    unsafe extern "C" fn callback(
        notifier: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        seq: c_ulong,
    ) -> bool {
        // SAFETY: By C's contract: the watch stays until its notifier has been removed, which
        // waits for this.
        let (watch, start, end, may_sleep) = unsafe {
            let watch: *mut Self =
                container_of!(Opaque::cast_from(notifier), Self, notifier).cast_mut();
            let may_sleep = odp_bindings::mmu_notifier_range_blockable(range);
            (&*watch, (*range).start, (*range).end, may_sleep)
        };
        let guard = T::lock(watch);

        if !may_sleep && T::would_wait(&guard) {
            return false;
        }
        // SAFETY: The lock that readers check the number under is held.
        unsafe { odp_bindings::mmu_interval_set_seq(notifier, seq) };
        T::invalidated(guard, UserVa::new(start as u64), UserVa::new(end as u64));
        true
    }
}

impl<T: Invalidate> Deref for Watch<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.owner
    }
}

#[pinned_drop]
impl<T: Invalidate> PinnedDrop for Watch<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant, and nobody borrows `self`: no guard of it lives.
        unsafe { IntervalNotifier::remove(self.notifier.get()) };
    }
}

#[cfg(odp_kunit)]
#[path = "tests/notifier.rs"]
mod tests;
