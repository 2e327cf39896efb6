// SPDX-License-Identifier: GPL-2.0

//! The memory that has been registered through a file, by handle.

use edu_odp_uapi::EDU_ODP_MAX_RANGES;
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{RBTree, RBTreeNodeReservation},
    sync::{Arc, Mutex, MutexGuard},
};
use odp::{umem::AccessFlags, BusDevice, DmaPages, Region, UserVa};

/// Memory that the current process has registered.
pub(crate) struct Range {
    /// What the device can reach of it. It knows pages only.
    pub(crate) region: Region<DmaPages>,
    start: UserVa,
    end: UserVa,
}

impl Range {
    /// Registers `len` bytes from `start` on.
    ///
    /// # Errors
    ///
    /// As [`Region::of_device`].
    pub(crate) fn new(
        bus: Arc<BusDevice>,
        start: UserVa,
        len: u64,
        access: AccessFlags,
    ) -> Result<Arc<Self>> {
        let end = start.checked_add(len)?;
        let region = Region::of_device(bus, start, len, access)?;

        Ok(Arc::new(Self { region, start, end }, GFP_KERNEL_ACCOUNT)?)
    }

    /// Registers the whole address space.
    ///
    /// # Errors
    ///
    /// As [`Region::implicit_of_device`].
    pub(crate) fn all(bus: Arc<BusDevice>, access: AccessFlags) -> Result<Arc<Self>> {
        let region = Region::implicit_of_device(bus, access)?;
        let (start, end) = (UserVa::new(0), UserVa::new(u64::MAX));

        Ok(Arc::new(Self { region, start, end }, GFP_KERNEL_ACCOUNT)?)
    }

    /// The address of `len` bytes from `va` on.
    ///
    /// # Errors
    ///
    /// `EFAULT` if they are not all in the range.
    pub(crate) fn part(&self, va: u64, len: u64) -> Result<UserVa> {
        let start = UserVa::new(va);
        let end = start.checked_add(len).map_err(|_| EFAULT)?;

        if start < self.start || end > self.end {
            return Err(EFAULT);
        }
        Ok(start)
    }
}

struct Table {
    ranges: RBTree<u32, Arc<Range>>,
    count: u32,
    /// The handle that was given last. The next one is another, so that a handle that is not valid
    /// any more does not mean another range soon.
    last: u32,
}

/// The ranges of a file.
#[pin_data]
pub(crate) struct Ranges {
    #[pin]
    table: Mutex<Table>,
    /// Held by a DMA on any of them.
    #[pin]
    dma: Mutex<()>,
}

impl Ranges {
    /// None.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            table <- new_mutex!(Table {
                ranges: RBTree::new(),
                count: 0,
                last: 0,
            }),
            dma <- new_mutex!(()),
        })
    }

    /// Adds a range, and returns its handle.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there are too many; `ENOMEM`.
    pub(crate) fn add(&self, range: Arc<Range>) -> Result<u32> {
        let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let mut table = self.table.lock();

        if table.count >= EDU_ODP_MAX_RANGES {
            return Err(ENOSPC);
        }
        // There are many more handles than there may be ranges.
        let mut handle = table.last.wrapping_add(1);
        while handle == 0 || table.ranges.get(&handle).is_some() {
            handle = handle.wrapping_add(1);
        }
        table.ranges.insert(room.into_node(handle, range));
        table.count = table.count.saturating_add(1);
        table.last = handle;
        Ok(handle)
    }

    /// The range that `handle` names. It stays alive while it is used, but may be removed meanwhile.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub(crate) fn get(&self, handle: u32) -> Result<Arc<Range>> {
        self.table.lock().ranges.get(&handle).cloned().ok_or(ENOENT)
    }

    /// Removes a range: there is no DMA on it any more, and there will be none.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub(crate) fn remove(&self, handle: u32) -> Result {
        let range = self.take(handle)?;

        range.region.stop();
        drop(self.dma.lock());
        Ok(())
    }

    fn take(&self, handle: u32) -> Result<Arc<Range>> {
        let mut table = self.table.lock();
        let range = table.ranges.remove(&handle).ok_or(ENOENT)?;

        table.count = table.count.saturating_sub(1);
        Ok(range)
    }

    /// Begins a DMA, while which no range is removed.
    pub(crate) fn begin_dma(&self) -> Dma<'_> {
        Dma {
            ranges: self,
            _held: self.dma.lock(),
        }
    }
}

/// A DMA is under way.
pub(crate) struct Dma<'a> {
    ranges: &'a Ranges,
    _held: MutexGuard<'a, ()>,
}

impl Dma<'_> {
    /// # Errors
    ///
    /// `ECANCELED` if `range` is not the one that `handle` names any more.
    pub(crate) fn check(&self, handle: u32, range: &Arc<Range>) -> Result {
        match self.ranges.get(handle) {
            Ok(found) if Arc::ptr_eq(&found, range) => Ok(()),
            _ => Err(ECANCELED),
        }
    }
}
