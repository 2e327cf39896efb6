// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What can be done with a umem while its umem_mutex is held: the invalidate path, and the end of
//! the fault path.
//!
//! Within, nothing allocates, takes the mmap lock, or waits: see the
//! [lock order](crate#lock-order).

use super::UmemOdp;
use crate::{
    dma::{DmaMap, Unmapped},
    hmm::Access,
    notifier::{IntervalNotifier, InvalidateLocked},
    page::{PageRange, UserVa},
    snapshot::Snapshot,
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::lock::{mutex::MutexBackend, Guard},
};

/// A held umem_mutex.
///
/// # Invariants
///
/// `guard` is of the mutex of the umem that `notifier` belongs to.
pub struct Hold<'a> {
    notifier: &'a IntervalNotifier,
    guard: Guard<'a, (), MutexBackend>,
}

// SAFETY: The callback of a umem's notifier takes the umem_mutex around `mmu_interval_set_seq()`:
// this is the contract of the C interface. The guard keeps it taken.
unsafe impl InvalidateLocked for Hold<'_> {
    fn notifier(&self) -> &IntervalNotifier {
        self.notifier
    }
}

/// A umem whose umem_mutex is held: nothing is invalidated, and the table may be used.
///
/// # Invariants
///
/// `range` is the umem's, and `hold` holds its mutex.
pub struct Locked<'a> {
    umem: &'a UmemOdp,
    range: PageRange,
    hold: Hold<'a>,
}

impl<'a> Locked<'a> {
    /// The caller upholds the type invariants.
    pub(super) fn new(
        umem: &'a UmemOdp,
        range: PageRange,
        notifier: &'a IntervalNotifier,
        guard: Guard<'a, (), MutexBackend>,
    ) -> Self {
        let hold = Hold { notifier, guard };

        Self { umem, range, hold }
    }

    /// The proof that the lock is held, and the table that it protects.
    pub fn parts(&mut self) -> (&Hold<'a>, DmaMap<'_>) {
        // SAFETY: The table belongs to the device and has an entry for each base page, so at least
        // one for each page of the umem; the lock that protects it is held, and `self` borrowed.
        let table = unsafe {
            DmaMap::from_raw(
                NonNull::new_unchecked(&raw mut (*self.umem.as_raw()).map),
                self.umem.device(),
                self.range.umem_pages(),
                self.umem.is_writable(),
            )
        };
        (&self.hold, table)
    }

    /// Takes the pages that `[start, end)` touches from the device: undoes their DMA mappings and
    /// marks those dirty that the device may have written. The device must not use them any more.
    ///
    /// Addresses outside the umem are ignored. Neither allocates nor sleeps, as the notifier needs.
    pub fn unmap(&mut self, start: UserVa, end: UserVa) -> Unmapped {
        let range = self.range;
        let (_, mut table) = self.parts();
        let mut unmapped = Unmapped::default();

        for index in range.touched(start, end) {
            // Most of a large region is empty: this is the loop that its size is paid for in.
            if !table.get(index).is_empty() {
                unmapped = unmapped.and(table.unmap(index));
            }
        }
        if unmapped.dma_mapped != 0 {
            table.flush();
        }
        self.uncount(unmapped);
        unmapped
    }

    /// Takes what is no longer mapped for DMA off the number of pages that the driver counts.
    fn uncount(&mut self, unmapped: Unmapped) {
        let mapped = i32::try_from(unmapped.dma_mapped).unwrap_or(i32::MAX);
        // SAFETY: The umem_mutex, which protects `npages`, is held.
        unsafe {
            let npages = &raw mut (*self.umem.as_raw()).npages;
            npages.write(npages.read().saturating_sub(mapped));
        }
    }

    /// Unlocks later: the umem_mutex stays taken, for C code to release it.
    pub fn leave_locked(self) {
        core::mem::forget(self.hold.guard);
    }

    /// Enters what a walk saw into the table, all of it, if no invalidation came between. Returns
    /// how many pages of the range, in the umem's own size, the device may now use; `None` if an
    /// invalidation came first.
    ///
    /// # Errors
    ///
    /// The table is as it was.
    ///
    /// - `EFAULT` if the walk did not bring in what `access` needs;
    /// - `EINVAL` if the CPU maps the memory by smaller pages than the umem's.
    pub(super) fn commit(
        &mut self,
        snapshot: Snapshot<'_>,
        access: Access,
    ) -> Result<Option<usize>> {
        let umem = self.range;
        let (hold, mut table) = self.parts();
        let Ok(seen) = snapshot.validate(hold) else {
            return Ok(None);
        };
        let part = *seen.range();
        let order = part.shift().order();

        // A look at base pages cannot disappoint.
        if access != Access::Snapshot || order != 0 {
            for (_, first) in umem.indices(&part)? {
                let entry = seen.get(first);
                if !access.satisfied_by(entry) {
                    return Err(EFAULT);
                }
                if entry.is_valid() && entry.map_order() < order {
                    return Err(EINVAL);
                }
            }
        }

        let (mut present, mut unmapped) = (0usize, Unmapped::default());
        for (index, first) in umem.indices(&part)? {
            let entry = seen.get(first);
            if entry.is_valid() {
                present = present.saturating_add(1);
            } else if table.get(index).is_empty() {
                continue;
            }
            if let Some(old) = table.enter(index, entry) {
                unmapped = unmapped.and(old);
            }
        }
        if unmapped.dma_mapped != 0 {
            table.flush();
        }
        table.forget_unmapped(umem.around(&part, DRIVER_BLOCK)?);

        self.uncount(unmapped);
        Ok(Some(present))
    }

    /// Empties the entries of `part` that a real device cannot use, after a failure.
    pub(super) fn forget(&mut self, part: &PageRange) -> Result {
        let umem = self.range;
        let (_, mut table) = self.parts();

        table.forget_unmapped(umem.indices(part)?.map(|(index, _)| index));
        Ok(())
    }
}

/// The pages that a driver may pass to its device at once around those it asked for: mlx5 updates
/// its translation tables in aligned blocks of 64 bytes, 8 entries.
const DRIVER_BLOCK: usize = 8;
