// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! A user memory region with on-demand paging, in the layout that C drivers know.
//!
//! The umem_mutex protects the table (`map`) and `npages`. It is the lock that the notifier's
//! callback takes, so it orders invalidations against everything here: see the
//! [lock order](crate#lock-order). All other fields are constant once the umem exists.
//!
//! C header: [`include/rdma/ib_umem_odp.h`](srctree/include/rdma/ib_umem_odp.h)

mod create;
mod fault;
mod locked;
mod mutex;

pub use create::{AccessFlags, IbDevice, OwnedUmemOdp};
pub use fault::Mapped;
pub use locked::{Hold, Locked};

use crate::{
    dma::{DmaDevice, DmaMap, Unmapped},
    notifier::IntervalNotifier,
    page::{PageRange, PageShift, UserVa},
    pid::Pid,
};
use kernel::{
    prelude::*,
    sync::lock::{mutex::MutexBackend, Guard, Lock},
    types::Opaque,
};
use odp_bindings::{ib_umem, ib_umem_odp};

/// A `struct ib_umem_odp`.
///
/// # Invariants
///
/// The object was set up as an ODP umem, by this crate or by C. Unless it is implicit, its notifier
/// is registered and its table has an entry for each base page of the notifier's interval.
#[repr(transparent)]
pub struct UmemOdp(Opaque<ib_umem_odp>);

impl UmemOdp {
    /// Borrows a umem from C.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not an ODP umem: C drivers cast any `struct ib_umem` to it.
    ///
    /// # Safety
    ///
    /// `ptr` must be a live `struct ib_umem`, inside a `struct ib_umem_odp` if it says that it is
    /// ODP, which is not released during `'a`.
    pub unsafe fn from_raw<'a>(ptr: *mut ib_umem_odp) -> Result<&'a Self> {
        // SAFETY: The `struct ib_umem` at the start of the object is live. Its flags do not change.
        let is_odp = unsafe { ib_umem::is_odp_raw(&raw const (*ptr).umem) } != 0;
        if !is_odp {
            return Err(EINVAL);
        }
        // SAFETY: It is a `struct ib_umem_odp`, live during `'a`.
        // INVARIANT: Whoever sets `is_odp` sets up the rest before anyone else sees the umem.
        Ok(unsafe { &*ptr.cast() })
    }

    fn as_raw(&self) -> *mut ib_umem_odp {
        self.0.get()
    }

    /// Whether this is the parent of an implicit region: a name for the owner's address space,
    /// without pages of its own.
    pub fn is_implicit(&self) -> bool {
        // SAFETY: Constant once the umem exists.
        unsafe { (*self.as_raw()).is_implicit_odp }
    }

    /// Whether the device may write to the memory.
    pub fn is_writable(&self) -> bool {
        // SAFETY: Constant once the umem exists.
        unsafe { ib_umem::writable_raw(&raw const (*self.as_raw()).umem) != 0 }
    }

    /// The addresses that the umem covers, in pages of its own size.
    ///
    /// # Errors
    ///
    /// `EFAULT` if it is implicit and so covers none.
    pub fn range(&self) -> Result<PageRange> {
        if self.is_implicit() {
            return Err(EFAULT);
        }
        // SAFETY: Constant once the umem exists.
        let (start, last, shift) = unsafe {
            let tree = &raw const (*self.as_raw()).notifier.interval_tree;
            ((*tree).start, (*tree).last, (*self.as_raw()).page_shift)
        };
        let shift = PageShift::new(shift)?;
        let end = UserVa::new(last as u64).checked_add(1)?;
        let len = end.get().checked_sub(start as u64).ok_or(EINVAL)?;

        PageRange::covering(UserVa::new(start as u64), len, shift)
    }

    /// The registered notifier.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the umem is implicit and has none.
    pub fn notifier(&self) -> Result<&IntervalNotifier> {
        if self.is_implicit() {
            return Err(EFAULT);
        }
        // SAFETY: By the type invariants, and for as long as the umem is not released.
        Ok(unsafe { IntervalNotifier::from_raw(&raw mut (*self.as_raw()).notifier) })
    }

    /// The process that registered the region.
    pub fn owner(&self) -> &Pid {
        // SAFETY: The umem holds a reference until it is released.
        unsafe { Pid::from_raw((*self.as_raw()).tgid) }
    }

    fn device(&self) -> DmaDevice {
        // SAFETY: An RDMA device outlives its regions.
        unsafe { DmaDevice::of((*self.as_raw()).umem.ibdev) }
    }

    fn mutex(&self) -> &Lock<(), MutexBackend> {
        // SAFETY: The mutex is initialised, pinned, and lives as long as the umem.
        unsafe { Lock::from_raw(&raw mut (*self.as_raw()).umem_mutex) }
    }

    /// Takes the umem_mutex, which holds invalidations off.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the umem is implicit: nothing in it can be invalidated.
    pub fn lock(&self) -> Result<Locked<'_>> {
        let (notifier, range) = (self.notifier()?, self.range()?);

        // INVARIANT: `range` and `notifier` are the umem's, and the guard of its mutex.
        Ok(Locked::new(self, range, notifier, self.mutex().lock()))
    }

    /// [`Locked::unmap`] for a caller that has taken the umem_mutex in C, and goes on to hold it.
    ///
    /// # Errors
    ///
    /// As [`UmemOdp::lock`].
    ///
    /// # Safety
    ///
    /// The current task must hold the umem_mutex.
    pub unsafe fn unmap_held(&self, start: UserVa, end: UserVa) -> Result<Unmapped> {
        let (notifier, range) = (self.notifier()?, self.range()?);
        // SAFETY: The mutex is held. The guard is forgotten below, so that it stays held.
        let guard = unsafe { Guard::new(self.mutex(), ()) };
        // INVARIANT: `range` and `notifier` are the umem's, and `guard` of its mutex.
        let mut locked = Locked::new(self, range, notifier, guard);
        let unmapped = locked.unmap(start, end);

        locked.leave_locked();
        Ok(unmapped)
    }
}

#[cfg(odp_kunit)]
#[path = "tests/umem.rs"]
mod tests;
