// SPDX-License-Identifier: GPL-2.0

//! Entries of a page table as HMM reports it.
//!
//! C header: [`include/linux/hmm.h`](srctree/include/linux/hmm.h)

use kernel::bindings::page;

/// What the device is about to do with the pages of a walked range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: report what is there now, fault nothing in.
    Snapshot,
    /// Read: every page must become present.
    Read,
    /// Write: every page must become present and writable.
    Write,
}

impl Access {
    /// The `hmm_range::default_flags` that ask for this access.
    pub(crate) const fn request_flags(self) -> usize {
        match self {
            Access::Snapshot => 0,
            Access::Read => HmmPfn::VALID,
            Access::Write => HmmPfn::VALID | HmmPfn::WRITE,
        }
    }

    /// How many base pages to walk at once. What is faulted in must be there all together; what is
    /// only looked at can be looked at piece by piece, in little memory.
    pub(crate) const fn pages_at_once(self) -> usize {
        match self {
            Access::Snapshot => 4096,
            Access::Read | Access::Write => usize::MAX,
        }
    }

    /// Whether an access mask of the C interface, made of `HMM_PFN_*` flags, asks for writing.
    pub const fn mask_wants_write(mask: u64) -> bool {
        mask & odp_bindings::hmm_pfn_flags_HMM_PFN_WRITE as u64 != 0
    }

    /// Whether an entry as `seen` by a walk lets the device go ahead.
    pub const fn satisfied_by(self, seen: HmmPfn) -> bool {
        match self {
            Access::Snapshot => true,
            Access::Read => seen.is_valid(),
            Access::Write => seen.is_writable(),
        }
    }
}

/// One entry of an array of page frame numbers with flags, the `unsigned long` of
/// `hmm_range::hmm_pfns` and `hmm_dma_map::pfn_list`.
///
/// From the least significant bit: the page frame number, in units of `PAGE_SIZE`; five bits from
/// `HMM_PFN_ORDER_SHIFT` on with the order of the CPU's mapping; and six flags at the top. All zero
/// means that nothing is known of the page.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HmmPfn(usize);

// CAST: `enum hmm_pfn_flags` is made of `unsigned long` values.
impl HmmPfn {
    const VALID: usize = odp_bindings::hmm_pfn_flags_HMM_PFN_VALID;
    const WRITE: usize = odp_bindings::hmm_pfn_flags_HMM_PFN_WRITE;
    const DMA_MAPPED: usize = odp_bindings::hmm_pfn_flags_HMM_PFN_DMA_MAPPED;
    const ORDER_SHIFT: usize = odp_bindings::hmm_pfn_flags_HMM_PFN_ORDER_SHIFT;
    const ORDER_MASK: usize = 0x1f;
    const PFN_MASK: usize = (1 << Self::ORDER_SHIFT) - 1;

    /// An entry for a page of which nothing is known.
    pub const EMPTY: Self = Self(0);

    /// Takes an entry from a C array.
    pub const fn from_raw(raw: usize) -> Self {
        Self(raw)
    }

    /// The entry as C stores it.
    pub const fn as_raw(self) -> usize {
        self.0
    }

    /// Whether the page may at least be read.
    pub const fn is_valid(self) -> bool {
        self.0 & Self::VALID != 0
    }

    /// Whether the page may be read and written.
    pub const fn is_writable(self) -> bool {
        self.is_valid() && self.0 & Self::WRITE != 0
    }

    /// Whether the entry holds a DMA mapping that must be undone.
    pub const fn is_dma_mapped(self) -> bool {
        self.0 & Self::DMA_MAPPED != 0
    }

    /// Whether nothing is known of the page.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The page frame number, in units of `PAGE_SIZE`. Meaningful if the entry is valid.
    pub const fn pfn(self) -> usize {
        self.0 & Self::PFN_MASK
    }

    /// The order of the CPU's mapping of the page: it maps `PAGE_SIZE << order` bytes, aligned.
    pub const fn map_order(self) -> u32 {
        // CAST: Five bits.
        ((self.0 >> Self::ORDER_SHIFT) & Self::ORDER_MASK) as u32
    }

    /// This entry, marked as committed to the table of a virtual device by this crate.
    ///
    /// A walk by C leaves entries in the live table of pages that are long gone. Of those the page
    /// must not be touched, so entries that can be trusted must be told from them. A real device's
    /// are mapped for DMA. A virtual device's have an order that no mapping has: nobody reads the
    /// order of an entry in a table, and every walk by C overwrites it.
    pub(crate) const fn committed(self) -> Self {
        Self(self.0 | (Self::ORDER_MASK << Self::ORDER_SHIFT))
    }

    /// Whether the entry is marked as [committed](Self::committed).
    pub(crate) const fn is_committed(self) -> bool {
        (self.0 >> Self::ORDER_SHIFT) & Self::ORDER_MASK == Self::ORDER_MASK
    }

    /// This entry, writable too if that is how a later look has `seen` the same page.
    pub(crate) const fn with_access_of(self, seen: HmmPfn) -> Self {
        Self(self.0 | (seen.0 & Self::WRITE))
    }

    /// This entry, declared valid.
    pub(crate) const fn revalidated(self) -> Self {
        Self(self.0 | Self::VALID)
    }

    /// The page of a valid entry.
    ///
    /// The pointer is good for as long as the page is: while the lock of the table that holds the
    /// entry keeps invalidations out.
    pub(crate) fn page(self) -> *mut page {
        // SAFETY: `hmm_pfn_to_page()` only computes an address.
        unsafe { odp_bindings::hmm_pfn_to_page(self.0) }
    }
}

#[cfg(odp_kunit)]
#[path = "tests/hmm.rs"]
mod tests;
