// SPDX-License-Identifier: GPL-2.0

//! One page of a window: where the kernel sees it, and what the device may do.

use crate::{hmm::HmmPfn, page::PageShift, Access};
use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

/// A page in a window's table, or none: the address of the page in the kernel's direct map, with
/// flags in the bits that are zero in it.
///
/// # Invariants
///
/// Zero, or the address of a page that a walk saw which was validated, and that has not been
/// invalidated since, with flags. It only changes while the table is locked for writing, but for
/// the flag [`WRITTEN`](Self::WRITTEN), which readers of the table set too.
#[repr(transparent)]
pub(super) struct Entry(Atomic<usize>);

// SAFETY: All zeroes is an empty entry.
unsafe impl Zeroable for Entry {}

/// The direct map holds all memory.
const _: () = assert!(!cfg!(CONFIG_HIGHMEM));

/// The CPU's page size in bytes.
// CAST: A page fits the address space.
pub(super) const PAGE_BYTES: usize = PageShift::BASE.bytes() as usize;

impl Entry {
    /// The device may write to the page.
    const WRITABLE: usize = 1;
    /// The device has written to the page, which has to be marked dirty.
    const WRITTEN: usize = 2;
    const FLAGS: usize = Self::WRITABLE | Self::WRITTEN;

    #[inline]
    fn load(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Whether there is a page that the device may use for `access` without a fault.
    pub(super) fn allows(&self, access: Access) -> bool {
        Self::value_allows(self.load(), access)
    }

    #[inline]
    const fn value_allows(entry: usize, access: Access) -> bool {
        match access {
            Access::Snapshot | Access::Read => entry != 0,
            Access::Write => entry & Self::WRITABLE != 0,
        }
    }

    /// The page's first byte, for `access`; `None` if that wants a fault first. A page that is
    /// handed out for writing counts as written.
    #[inline]
    pub(super) fn page(&self, access: Access) -> Option<NonNull<u8>> {
        let entry = self.load();

        if !Self::value_allows(entry, access) {
            return None;
        }
        if access == Access::Write && entry & Self::WRITTEN == 0 {
            // Readers of the table store nothing but this.
            self.0.store(entry | Self::WRITTEN, Relaxed);
        }
        // CAST: By the type invariants an address in the direct map.
        NonNull::new((entry & !Self::FLAGS) as *mut u8)
    }

    /// Enters what a validated walk has `seen` of the page. Returns whether the entry was empty.
    ///
    /// The page of an entry does not change without an invalidation, and what the device has been
    /// allowed stays allowed until then: another walk, later than this one, may have entered it.
    pub(super) fn enter(&self, seen: HmmPfn, writable: bool) -> bool {
        let old = self.load();
        // SAFETY: Only computes an address. CAST: It is that of a page in the direct map.
        let page = unsafe { odp_bindings::pfn_to_kaddr(seen.pfn()) } as usize;
        let flags = match seen.is_writable() && writable {
            true => Self::WRITABLE,
            false => 0,
        };
        // INVARIANT: `seen` was validated under the lock.
        self.0.store(page | flags | (old & Self::FLAGS), Relaxed);
        old == 0
    }

    /// Empties the entry and marks the page dirty if the device has written to it. Returns whether
    /// there was a page. Neither allocates nor sleeps.
    pub(super) fn unmap(&self) -> bool {
        let old = self.load();

        if old & Self::WRITTEN != 0 {
            // CAST: By the type invariants an address in the direct map.
            let page = (old & !Self::FLAGS) as *const c_void;
            // SAFETY: The page is still mapped, and its mapping not truncated: whoever is about to
            // do that waits for the lock. As for the page table's own dirty bit, this is what the
            // folio lock would be for.
            unsafe { bindings::set_page_dirty(odp_bindings::virt_to_page(page)) };
        }
        self.0.store(0, Relaxed);
        old != 0
    }
}

#[cfg(odp_kunit)]
#[path = "../tests/entry.rs"]
mod tests;
