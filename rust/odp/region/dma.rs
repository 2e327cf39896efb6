// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! Regions of devices that do DMA.
//!
//! Each window has a `struct hmm_dma_map` of its own: behind an IOMMU 2 MiB of IOVA, in which
//! neighbours are contiguous. A page is mapped when the device first wants it, and unmapped by the
//! invalidation.

use super::{
    address_space, bus::BusDevice, entry::PAGE_BYTES, look::Looked, map::Find, pages::Pages,
    shared::Shared, window::Window, Region,
};
use crate::{
    charge::Memory,
    deadline::Deadline,
    dma::{DmaMap, DmaMode},
    hmm::HmmPfn,
    in_flight::InFlight,
    page::{PageIndex, PageRange, PageShift, UmemPage, UserVa},
    umem::AccessFlags,
    Access,
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    alloc::flags::{GFP_KERNEL_ACCOUNT, __GFP_NOWARN},
    dev_err,
    dma::DmaAddress,
    do_once_lite,
    prelude::*,
    sync::{rcu, srcu, Arc},
    types::{NotThreadSafe, Opaque},
};

/// Pages that a device reads and writes by DMA.
pub struct DmaPages(Option<Table>);

/// The table of a window that is not retired.
///
/// # Invariants
///
/// `map` was set up for `device` with `len` entries, and only those are in it that a validated walk
/// has seen. While a page of it is mapped the device is bound to its driver, unless the page is lost. The
/// lock of the window protects it.
struct Table {
    map: Opaque<odp_bindings::hmm_dma_map>,
    device: Arc<BusDevice>,
    len: usize,
    writable: bool,
    /// DMAs on its pages. They begin under the lock, and end without it, and may outlive it then.
    in_flight: Arc<InFlight>,
}

// SAFETY: What it points to belongs to it.
unsafe impl Send for Table {}
// SAFETY: The window's lock protects it.
unsafe impl Sync for Table {}

impl Table {
    fn new(device: &Arc<BusDevice>, range: &PageRange, writable: bool) -> Result<Self> {
        let in_flight = Arc::new(InFlight::new(), GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
        let map = Opaque::new(odp_bindings::hmm_dma_map::default());
        // SAFETY: `map` is zeroed and ours, and the caller holds the device.
        unsafe { DmaMap::allocate(map.get(), device.dma_device(), range)? };
        // INVARIANT: Just set up, and empty.
        Ok(Self {
            map,
            device: device.clone(),
            len: range.base_pages(),
            writable,
            in_flight,
        })
    }

    fn map(&self) -> DmaMap<'_> {
        // SAFETY: By the type invariants; the window's lock is held where its pages are used, and a
        // map lives for no longer than one of the functions here.
        unsafe {
            DmaMap::from_raw(
                NonNull::new_unchecked(self.map.get()),
                self.device.dma_device(),
                self.len,
                self.writable,
            )
        }
    }

    fn allows(&self, index: PageIndex<UmemPage>, access: Access) -> bool {
        let entry = self.map().get(index);

        entry.is_dma_mapped() && access.satisfied_by(entry)
    }

    /// Where the device finds a page, if it may use it for `access`.
    fn address(&self, index: PageIndex<UmemPage>, access: Access) -> Option<DmaAddress> {
        if !self.allows(index, access) {
            return None;
        }
        self.map().map(index).ok()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: A window unmaps its pages, or loses them, before it gives up its table, and does that
        // while its device is bound. Nobody else knows the map.
        unsafe { DmaMap::free(self.map.get(), self.device.dma_device()) };
    }
}

impl Pages for DmaPages {
    type Device = Arc<BusDevice>;
    type Hold<'a> = srcu::Guard<'a>;
    type Jobs = ();

    const INTERRUPTIBLE: bool = true;

    fn hold(device: &Arc<BusDevice>) -> Result<Self::Hold<'_>> {
        device.hold()
    }

    fn forget(device: &Arc<BusDevice>, region: usize) {
        device.forget(region);
    }

    /// Each fault is its task's own.
    fn end(_jobs: &()) {}

    fn none() -> Self {
        Self(None)
    }

    fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// C's allocation is as it is.
    fn new(
        device: &Arc<BusDevice>,
        range: &PageRange,
        writable: bool,
        _memory: Memory,
    ) -> Result<Self> {
        Ok(Self(Some(Table::new(device, range, writable)?)))
    }

    fn enter(&mut self, index: PageIndex<UmemPage>, seen: HmmPfn) -> bool {
        let Some(table) = &self.0 else {
            return false;
        };
        let mut map = table.map();
        let new = map.get(index).is_empty();

        map.enter(index, seen);
        new
    }

    fn prepare(&mut self, index: PageIndex<UmemPage>) -> Result {
        let Some(table) = &self.0 else {
            return Ok(());
        };
        let mut map = table.map();
        let entry = map.get(index);

        if entry.is_valid() && !entry.is_dma_mapped() {
            map.map(index)?;
        }
        Ok(())
    }

    fn allows(&self, index: PageIndex<UmemPage>, access: Access) -> bool {
        self.0
            .as_ref()
            .is_some_and(|table| table.allows(index, access))
    }

    fn unmap(&mut self, index: PageIndex<UmemPage>) -> bool {
        let Some(table) = &self.0 else {
            return false;
        };
        let mut map = table.map();
        let there = !map.get(index).is_empty();

        map.unmap(index);
        there
    }

    fn flush(&mut self) {
        if let Some(table) = &self.0 {
            table.map().flush();
        }
    }

    fn in_flight(&self) -> Option<&Arc<InFlight>> {
        Some(&self.0.as_ref()?.in_flight)
    }

    fn lose(&mut self) {
        if let Some(table) = &self.0 {
            table.map().lose();
            do_once_lite! {
                dev_err!(
                    table.device.device(),
                    "a DMA does not end, or its mapping was leaked: its pages are never freed\n"
                )
            }
        }
    }
}

impl DmaPages {
    /// Where the device finds `len` bytes from `offset` in the window on, as far as they are mapped
    /// for `access` and contiguous for it: the address, and how many.
    fn reach(&self, offset: usize, len: usize, access: Access) -> Option<(DmaAddress, usize)> {
        let table = self.0.as_ref()?;
        let mut index = offset / PAGE_BYTES;
        let page = table.address(PageIndex::from_number(index), access)?;
        let address = page.wrapping_add((offset % PAGE_BYTES) as DmaAddress);
        let mut bytes = PAGE_BYTES.wrapping_sub(offset % PAGE_BYTES);

        while bytes < len {
            index = index.wrapping_add(1);
            let next = table.address(PageIndex::from_number(index), access);
            if next != Some(address.wrapping_add(bytes as DmaAddress)) {
                break;
            }
            bytes = bytes.saturating_add(PAGE_BYTES);
        }
        Some((address, bytes.min(len)))
    }

    fn mode(&self) -> Option<DmaMode> {
        Some(self.0.as_ref()?.map().mode())
    }
}

/// How pages would be mapped in a window of `range` that is made now.
///
/// # Errors
///
/// As [`DmaMap::allocate`].
pub(super) fn mode_of(device: &Arc<BusDevice>, range: &PageRange) -> Result<DmaMode> {
    Ok(Table::new(device, range, true)?.map().mode())
}

impl Window<DmaPages> {
    /// The offset of `va` in the window.
    fn offset_of(&self, va: UserVa) -> usize {
        // CAST: Within a window.
        va.get().wrapping_sub(self.range().start().get()) as usize
    }

    /// Begins a DMA, if the pages are there.
    fn begin_dma<'a>(&self, va: UserVa, len: usize, access: Access) -> Option<Mapping<'a>> {
        let mut locked = self.write();
        let pages = locked.table().pages_for_dma()?;
        let (address, len) = pages.reach(self.offset_of(va), len, access)?;
        let in_flight = pages.in_flight()?;

        // INVARIANT: Just counted.
        in_flight.begin().then(|| Mapping {
            in_flight: in_flight.clone(),
            address,
            len,
            _region: PhantomData,
            _same_thread: NotThreadSafe,
        })
    }
}

impl Shared<DmaPages> {
    /// Waits until no DMA is under way, where none can begin any more, or for as long as one may take.
    pub(super) fn wait_for_dma(&self) {
        let mut from = 0;

        while let Some(index) = self.windows.next(from, Find::Any) {
            let dma = self.dma_in(index);
            if let Some(dma) = dma {
                // One that does not end is found again when its window is retired.
                let _ = dma.wait();
            }
            from = index.wrapping_add(1);
        }
    }

    /// The DMAs in the window at `index`.
    fn dma_in(&self, index: usize) -> Option<Arc<InFlight>> {
        let rcu = rcu::read_lock();
        let window = self.windows.get(index, &rcu)?;
        let dma = window.read().pages().in_flight()?.clone();

        Some(dma)
    }
}

/// A part of a region that the device can reach, while it does.
///
/// The kernel cannot take the pages away meanwhile: it waits. So whoever has one must not wait for
/// memory himself, be it by [`Region::fault`] or by touching user memory, and drops it soon, when the
/// device has done: within a minute, or the pages, and all others of the region's window, are
/// [lost](super#a-dma-that-does-not-end). So they are if it is leaked.
///
/// # Invariants
///
/// It is counted in `in_flight`.
#[must_use = "the device may only use the memory while the mapping lives"]
pub struct Mapping<'a> {
    in_flight: Arc<InFlight>,
    address: DmaAddress,
    len: usize,
    _region: PhantomData<&'a Region<DmaPages>>,
    _same_thread: NotThreadSafe,
}

impl Mapping<'_> {
    /// Where the device finds the memory.
    pub fn address(&self) -> DmaAddress {
        self.address
    }

    /// How many bytes it finds there, from one up.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        self.in_flight.end();
    }
}

impl Region<DmaPages> {
    /// Registers `[addr, addr + len)` of the current process for `device`. No page is touched.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the range is empty, or the caller has no address space;
    /// - `EOVERFLOW` if it wraps around;
    /// - `ENODEV` if the device has been unbound;
    /// - `ENOMEM`.
    pub fn of_device(
        device: Arc<BusDevice>,
        addr: UserVa,
        len: u64,
        access: AccessFlags,
    ) -> Result<Self> {
        let range = PageRange::covering(addr, len, PageShift::BASE)?;
        Self::of_range_and_device(device, range, access)
    }

    /// Registers the whole address space of the current process for `device`.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `access` asks for huge pages, or the caller has no address space;
    /// - `ENODEV` if the device has been unbound;
    /// - `ENOMEM`.
    pub fn implicit_of_device(device: Arc<BusDevice>, access: AccessFlags) -> Result<Self> {
        Self::of_range_and_device(device, address_space(access)?, access)
    }

    fn of_range_and_device(
        device: Arc<BusDevice>,
        range: PageRange,
        access: AccessFlags,
    ) -> Result<Self> {
        let bus = device.clone();
        // From here to where the device knows the region.
        let _hold = bus.hold()?;
        let region = Self::of_range(device, (), range, access)?;

        bus.remember(&region.shared)?;
        Ok(region)
    }

    /// What is mapped of `[va, va + len)` for `access`, from `va` on, as far as it is contiguous for
    /// the device; `None` if the first byte is not, and wants a [`Region::fault`] first. Neither
    /// sleeps nor faults.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `len` is zero, or `access` is to do nothing;
    /// - `ENODEV` if the device has been unbound.
    pub fn try_map(&self, va: UserVa, len: usize, access: Access) -> Result<Option<Mapping<'_>>> {
        if len == 0 || access == Access::Snapshot {
            return Err(EINVAL);
        }
        // Whoever unbinds it waits for what has begun by the end of this.
        let _hold = self.shared.hold()?;
        let rcu = rcu::read_lock();
        let window = self.shared.windows.get(self.shared.index_of(va), &rcu);

        Ok(window.and_then(|window| window.begin_dma(va, len, access)))
    }

    /// Brings in what `access` wants of `[va, va + len)`, to the end of a window at most, and maps
    /// it; or pauses a little, where that may succeed later. Then [`Region::try_map`] again. All
    /// retries of an operation share one `deadline`.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if the memory is not in the region, has no mapping that a device may use, cannot be
    ///   mapped for the device, or its process is gone;
    /// - `EPERM` if it is read-only and `access` is to write;
    /// - `EHWPOISON`;
    /// - `EAGAIN` if invalidations, or want of memory or DMA addresses, did not end in time;
    /// - `EINTR` if a signal came;
    /// - `ENODEV` if the device has been unbound.
    pub fn fault(&self, va: UserVa, len: u64, access: Access, deadline: &mut Deadline) -> Result {
        let end = va.checked_add(len).map_err(|_| EFAULT)?;

        deadline.again()?;
        self.fault_for_access(va, end, access, deadline, Looked::No)
    }

    /// Where the device finds the byte at `va` now, and how its page is mapped, if it is.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the device has been unbound.
    pub fn peek(&self, va: UserVa) -> Result<Option<(DmaAddress, DmaMode)>> {
        let _hold = self.shared.hold()?;
        let Some(window) = self.shared.find(self.shared.index_of(va)) else {
            return Ok(None);
        };
        let mut locked = window.write();
        let pages = locked.table().pages();
        let found = pages.reach(window.offset_of(va), 1, Access::Read);

        Ok(found.and_then(|(address, _)| Some((address, pages.mode()?))))
    }
}

#[cfg(odp_kunit)]
#[path = "../tests/region_dma.rs"]
mod tests;
