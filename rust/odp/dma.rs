// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The live table of a umem: which pages a device may use, and how they are mapped for DMA.
//!
//! Four kinds of device share one table. Behind an IOMMU, pages are linked into one range of IOVA;
//! without IOVA state a list keeps each page's DMA address for its unmapping; where DMA addresses
//! are physical there is nothing to undo. C's `hmm_dma_map` tells these three apart. The fourth has
//! no DMA at all: the CPU copies on behalf of a virtual device, such as soft-RoCE.
//!
//! C header: [`include/linux/hmm-dma.h`](srctree/include/linux/hmm-dma.h)

use crate::{
    hmm::HmmPfn,
    page::{PageIndex, PageRange, UmemPage},
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    alloc::flags::{GFP_KERNEL_ACCOUNT, __GFP_NOWARN},
    bindings,
    dma::DmaAddress,
    error::to_result,
    prelude::*,
};

/// Who does a umem's DMA.
#[derive(Clone, Copy)]
pub enum DmaDevice {
    /// Nobody: a virtual device, on whose behalf the CPU copies.
    Virtual,
    /// A device that masters a bus.
    Real(NonNull<bindings::device>),
}

impl DmaDevice {
    /// The DMA device of an RDMA device.
    ///
    /// # Safety
    ///
    /// `device` must be a live `struct ib_device`, and the result may be used while it lives.
    pub unsafe fn of(device: *mut bindings::ib_device) -> Self {
        // SAFETY: By the caller's promise.
        let dma_device = unsafe {
            if odp_bindings::ib_uses_virt_dma(device) {
                None
            } else {
                NonNull::new(odp_bindings::ib_device_dma_device(device))
            }
        };
        dma_device.map_or(Self::Virtual, Self::Real)
    }

    fn as_ptr(self) -> *mut bindings::device {
        match self {
            Self::Virtual => core::ptr::null_mut(),
            Self::Real(device) => device.as_ptr(),
        }
    }
}

/// How the pages of a table are mapped for DMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaMode {
    /// Into one range of IOVA, in which neighbours are contiguous.
    Iova,
    /// One by one.
    List,
    /// Not at all: the device uses physical addresses.
    Direct,
}

/// What an unmapping undid, in pages of the umem's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unmapped {
    /// Entries that the device could use and no longer can.
    pub pages: u64,
    /// Of these, entries that were mapped for real DMA.
    pub dma_mapped: u64,
    /// Pages marked dirty, because the device may have written to them.
    pub dirtied: u64,
}

impl Unmapped {
    /// The sum of two results. Saturates: the figures are statistics.
    pub fn and(self, other: Self) -> Self {
        Self {
            pages: self.pages.saturating_add(other.pages),
            dma_mapped: self.dma_mapped.saturating_add(other.dma_mapped),
            dirtied: self.dirtied.saturating_add(other.dirtied),
        }
    }
}

/// Exclusive access to the table of a umem.
///
/// # Invariants
///
/// - `map.pfn_list` has at least `len` entries, `map` was set up for `device` by
///   `DmaMap::allocate` or by C, and the lock that protects it is held.
/// - An entry that is mapped for DMA, or marked as committed, is of a page that the CPU maps, or
///   that waits for the lock to be taken from us. Other entries may be C's leftovers.
pub struct DmaMap<'a> {
    map: NonNull<odp_bindings::hmm_dma_map>,
    device: DmaDevice,
    len: usize,
    writable: bool,
    _exclusive: PhantomData<&'a mut odp_bindings::hmm_dma_map>,
}

impl DmaMap<'_> {
    /// Allocates the table for `range` and, for a real device, the state of its DMA mappings.
    ///
    /// The table of a virtual device is charged to the caller's cgroup. What `hmm_dma_map_alloc()`
    /// allocates for a real one is not: C leaves no choice of the flags.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`;
    /// - `EOPNOTSUPP` if the device cannot address all memory or its DMA is not coherent.
    ///
    /// # Safety
    ///
    /// `map` must be valid for writes, zeroed, and shared with nobody; a real `device` must live.
    pub(crate) unsafe fn allocate(
        map: *mut odp_bindings::hmm_dma_map,
        device: DmaDevice,
        range: &PageRange,
    ) -> Result {
        // In base pages whatever the page size, as C has it: C may index this table later.
        let entries = range.base_pages();

        match device {
            DmaDevice::Virtual => {
                let list = KVVec::<usize>::zeroed(entries, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
                // SAFETY: `map` is ours to write. `kvfree()` frees what a `KVVec` allocated.
                unsafe { (*map).pfn_list = list.into_raw_parts().0 };
                Ok(())
            }
            DmaDevice::Real(device) => {
                let page_size = usize::try_from(range.shift().bytes())?;
                // SAFETY: `device` is live, and `map` ours to set up.
                to_result(unsafe {
                    odp_bindings::hmm_dma_map_alloc(device.as_ptr(), map, entries, page_size)
                })
            }
        }
    }

    /// Frees what [`DmaMap::allocate`], or C, allocated.
    ///
    /// # Safety
    ///
    /// `map` must have been set up for `device`, must hold no DMA mapping, and nobody may use it
    /// afterwards.
    pub(crate) unsafe fn free(map: *mut odp_bindings::hmm_dma_map, device: DmaDevice) {
        // SAFETY: By the caller's promise; the table came from the kvmalloc family.
        unsafe {
            match device {
                DmaDevice::Virtual => bindings::kvfree((*map).pfn_list.cast()),
                DmaDevice::Real(device) => odp_bindings::hmm_dma_map_free(device.as_ptr(), map),
            }
        }
    }

    /// Wraps a table that is set up. `writable` is whether the device may write at all.
    ///
    /// # Safety
    ///
    /// The type invariants must hold, during the lifetime of the result.
    pub(crate) unsafe fn from_raw(
        map: NonNull<odp_bindings::hmm_dma_map>,
        device: DmaDevice,
        len: usize,
        writable: bool,
    ) -> Self {
        // INVARIANT: By the caller's promise.
        Self {
            map,
            device,
            len,
            writable,
            _exclusive: PhantomData,
        }
    }

    fn slot(&self, index: PageIndex<UmemPage>) -> Option<*mut usize> {
        (index.get() < self.len).then(|| {
            // SAFETY: `pfn_list` has `len` entries, by the type invariants.
            unsafe { (*self.map.as_ptr()).pfn_list.add(index.get()) }
        })
    }

    /// The entry of a page; empty beyond the end of the table.
    pub fn get(&self, index: PageIndex<UmemPage>) -> HmmPfn {
        self.slot(index).map_or(HmmPfn::EMPTY, |slot| {
            // SAFETY: `slot` is an entry of the table, which the lock protects. Volatile, because
            // while a livepatch comes or goes C's walks write tables without it.
            HmmPfn::from_raw(unsafe { slot.read_volatile() })
        })
    }

    fn set(&mut self, index: PageIndex<UmemPage>, entry: HmmPfn) {
        if let Some(slot) = self.slot(index) {
            // SAFETY: As in `get`.
            unsafe { slot.write_volatile(entry.as_raw()) };
        }
    }

    /// Whether the page of an entry is known to be the right one: it was entered under the lock, and
    /// has not been invalidated since.
    fn is_trusted(&self, entry: HmmPfn) -> bool {
        entry.is_valid()
            && match self.device {
                DmaDevice::Virtual => entry.is_committed(),
                DmaDevice::Real(_) => entry.is_dma_mapped(),
            }
    }

    /// Enters what a validated walk has `seen` of a page. Returns what had to go for it.
    #[inline]
    pub(crate) fn enter(&mut self, index: PageIndex<UmemPage>, seen: HmmPfn) -> Option<Unmapped> {
        let old = self.get(index);

        if self.is_trusted(old) || old.is_dma_mapped() {
            return self.enter_again(index, seen);
        }
        self.enter_first(index, seen);
        None
    }

    fn enter_first(&mut self, index: PageIndex<UmemPage>, seen: HmmPfn) {
        let entry = match self.device {
            _ if !seen.is_valid() => HmmPfn::EMPTY,
            DmaDevice::Virtual => seen.committed(),
            DmaDevice::Real(_) => seen,
        };
        // INVARIANT: The page is as a walk saw it that was validated under the lock.
        self.set(index, entry);
    }

    /// [`DmaMap::enter`] for a page that is in the table.
    ///
    /// Another walk may have entered it after this one passed by: that a page comes, or becomes
    /// writable, invalidates nothing. So the device can have written through the entry already, and
    /// what it allows may grow, but not shrink.
    fn enter_again(&mut self, index: PageIndex<UmemPage>, seen: HmmPfn) -> Option<Unmapped> {
        let old = self.get(index);

        if !seen.is_valid() {
            return None;
        }
        if self.is_trusted(old) && old.pfn() == seen.pfn() {
            self.set(index, old.with_access_of(seen));
            return None;
        }
        // C fills the table of a huge-page region with base pages, and forgets the page, but not
        // the mapping, when it looks at a region and does not see it.
        let unmapped = self.unmap(index);
        self.enter_first(index, seen);
        Some(unmapped)
    }

    /// How its pages are mapped. A virtual device uses physical addresses.
    pub fn mode(&self) -> DmaMode {
        // SAFETY: Constant once the map is set up.
        let map = unsafe { self.map.as_ref() };

        if map.state.__size != 0 {
            DmaMode::Iova
        } else if !map.dma_list.is_null() {
            DmaMode::List
        } else {
            DmaMode::Direct
        }
    }

    /// Sees to it that what was unmapped is out of the device's reach, where that is not so yet.
    ///
    /// Pages that were mapped one by one are unmapped lazily, as the kernel does it unless told to be
    /// strict: for some milliseconds the IOMMU may go by what it remembers. That is time enough to
    /// write to a page that is somebody else's by then. Neither allocates nor sleeps.
    pub(crate) fn flush(&self) {
        let DmaDevice::Real(device) = self.device else {
            return;
        };
        if self.mode() != DmaMode::List {
            return;
        }
        // SAFETY: The device is live, and stays in its domain while pages are mapped for it.
        unsafe {
            let domain = bindings::iommu_get_domain_for_dev(device.as_ptr());
            if !domain.is_null() {
                odp_bindings::iommu_flush_iotlb_all(domain);
            }
        }
    }

    /// Maps a page for the DMA of a real device, if it is not mapped yet, and returns where the
    /// device finds it. Neither sleeps nor waits for memory.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP` if the device is virtual;
    /// - `EFAULT` if the page is not in the table, or is another device's and there is no way to it;
    /// - `ENOMEM` if there is no DMA address left, or no memory for the IOMMU's tables. C's drivers give
    ///   `EFAULT` for that, too.
    pub(crate) fn map(&mut self, index: PageIndex<UmemPage>) -> Result<DmaAddress> {
        let DmaDevice::Real(device) = self.device else {
            return Err(EOPNOTSUPP);
        };
        if !self.get(index).is_valid() {
            return Err(EFAULT);
        }
        let page = self.get(index).page();
        let mut p2pdma = bindings::pci_p2pdma_map_state::default();
        // SAFETY: The entry is in the table, by the check above, and valid; the map belongs to the
        // device, and the lock that protects it is held.
        let address = unsafe {
            odp_bindings::hmm_dma_map_pfn(
                device.as_ptr(),
                self.map.as_ptr(),
                index.get(),
                &mut p2pdma,
            )
        };
        // C's `DMA_MAPPING_ERROR`, which does not say why.
        if address != DmaAddress::MAX {
            return Ok(address);
        }
        // SAFETY: The page of a valid entry stays while the lock is held.
        match unsafe { odp_bindings::is_pci_p2pdma_page(page) } {
            true => Err(EFAULT),
            false => Err(ENOMEM),
        }
    }

    /// Empties entries that a real device cannot use.
    ///
    /// When a driver fails to map what was entered, and has mapped nothing else, it may ignore an
    /// invalidation: the entry would stay, and mlx5 later map it together with a neighbour.
    pub(crate) fn forget_unmapped(&mut self, indices: impl Iterator<Item = PageIndex<UmemPage>>) {
        if matches!(self.device, DmaDevice::Virtual) {
            return;
        }
        for index in indices {
            if !self.get(index).is_dma_mapped() {
                self.set(index, HmmPfn::EMPTY);
            }
        }
    }

    /// Leaves its pages to a device that does not say when it has done with them. They are never freed, be
    /// they the device's of another driver, which then cannot be unbound; and what the device finds at
    /// their DMA addresses is never anything else. The table is empty then. Neither allocates nor sleeps.
    pub(crate) fn lose(&mut self) {
        for index in (0..self.len).map(PageIndex::from_number) {
            let entry = self.get(index);

            if self.is_trusted(entry) && entry.is_dma_mapped() {
                // SAFETY: As in `unmap`, the page is still there.
                unsafe { odp_bindings::get_page(entry.page()) };
                self.mark_dirty(entry);
            }
            self.set(index, HmmPfn::EMPTY);
        }
        // SAFETY: The lock is held. Without a size there is no range of IOVA that could be freed.
        unsafe { (*self.map.as_ptr()).state.__size = 0 };
    }

    /// Marks the page of an entry dirty if the device may have written to it. Returns whether it may.
    fn mark_dirty(&mut self, entry: HmmPfn) -> bool {
        let dirty = self.writable && entry.is_writable() && self.is_trusted(entry);

        if dirty {
            // SAFETY: By the type invariants the page is still there: whoever takes it away waits
            // for the lock. As in C this stands in for the folio lock, which the caller of an
            // invalidation may or may not hold.
            unsafe { bindings::set_page_dirty(odp_bindings::compound_head(entry.page())) };
        }
        dirty
    }

    /// Takes a page from the device: undoes its DMA mapping, marks it dirty if the device may have
    /// written to it, and empties the entry. Neither allocates nor sleeps.
    pub(crate) fn unmap(&mut self, index: PageIndex<UmemPage>) -> Unmapped {
        let old = self.get(index);
        if old.is_empty() {
            return Unmapped::default();
        }

        if old.is_dma_mapped() && !old.is_valid() {
            // `hmm_dma_unmap_pfn()` would leave the mapping of a page that C forgot.
            self.set(index, old.revalidated());
        }
        let was_dma_mapped = old.is_dma_mapped()
            // SAFETY: `index` is in the table, or its entry would have been empty, and the map
            // belongs to the device.
            && unsafe {
                odp_bindings::hmm_dma_unmap_pfn(
                    self.device.as_ptr(),
                    self.map.as_ptr(),
                    index.get(),
                )
            };
        // A virtual device needs no DMA mapping to use an entry, be it C's.
        let usable = match self.device {
            DmaDevice::Virtual => old.is_valid(),
            DmaDevice::Real(_) => was_dma_mapped,
        };
        let dirty = self.mark_dirty(old);
        self.set(index, HmmPfn::EMPTY);

        Unmapped {
            pages: usable.into(),
            dma_mapped: was_dma_mapped.into(),
            dirtied: dirty.into(),
        }
    }
}

#[cfg(odp_kunit)]
#[path = "tests/dma.rs"]
mod tests;
