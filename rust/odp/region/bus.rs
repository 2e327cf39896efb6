// SPDX-License-Identifier: GPL-2.0

//! Devices that do DMA, and that may be unbound from their driver while regions are alive.
//!
//! A mapping for DMA must be undone while its device is bound. But regions belong to open files, which
//! live for longer. So a device knows its regions, and takes all memory from itself when it goes.

use super::{
    dma::{self, DmaPages},
    shared::Shared,
};
use crate::{
    dma::{DmaDevice, DmaMode},
    page::{PageRange, PageShift, UserVa},
};
use core::{mem::replace, ptr::NonNull};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    device::{Bound, Device},
    devres, new_mutex,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        srcu::{self, new_srcu, Srcu},
        Arc, Mutex,
    },
};

/// A device that does DMA on user memory, for as long as it is bound to its driver.
#[pin_data]
pub struct BusDevice {
    device: ARef<Device>,
    bound: Atomic<bool>,
    /// Held for reading by who relies on the device being bound.
    #[pin]
    holds: Srcu,
    /// Held by who takes all memory back, so that the next one waits for him.
    #[pin]
    taker: Mutex<()>,
    /// The regions that are alive, by their addresses.
    #[pin]
    regions: Mutex<RBTree<usize, Arc<Shared<DmaPages>>>>,
}

/// [`BusDevice::take_back`], when it is dropped.
struct TakeBack(Arc<BusDevice>);

impl Drop for TakeBack {
    fn drop(&mut self) {
        self.0.take_back();
    }
}

impl BusDevice {
    /// Prepares a device for on-demand paging, until it is unbound from its driver. Its DMA mask has
    /// been set.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP` if the device cannot address all memory, or its DMA is not coherent: what it
    ///   then needs are bounce buffers, which memory that is used in place cannot have;
    /// - `ENOMEM`.
    pub fn new(device: &Device<Bound>) -> Result<Arc<Self>> {
        let this = Arc::pin_init(
            try_pin_init!(Self {
                device: device.into(),
                bound: Atomic::new(true),
                holds <- new_srcu!("odp_bus_device"),
                taker <- new_mutex!((), "odp_bus_taker"),
                regions <- new_mutex!(RBTree::new(), "odp_bus_device"),
            }? Error),
            GFP_KERNEL,
        )?;

        Self::mode(&this)?;
        devres::register(device, TakeBack(this.clone()), GFP_KERNEL)?;
        Ok(this)
    }

    /// How pages of a range that is registered now would be mapped.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if the device has been unbound;
    /// - else as [`BusDevice::new`].
    pub fn mode(this: &Arc<Self>) -> Result<DmaMode> {
        let _hold = this.hold()?;
        let window = PageShift::TWO_MIB;
        let range = PageRange::covering(UserVa::new(window.bytes()), window.bytes(), window)?;

        dma::mode_of(this, &range)
    }

    /// The device, for what there is to say of it.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The device, for mappings that are made and undone while it is bound.
    pub(super) fn dma_device(&self) -> DmaDevice {
        // A `Device` is a transparent wrapper of C's.
        DmaDevice::Real(NonNull::from(&*self.device).cast())
    }

    /// Adds a region to those that are ended when the device goes. The caller holds the device.
    pub(super) fn remember(&self, region: &Arc<Shared<DmaPages>>) -> Result {
        let key = Arc::as_ptr(region) as usize;
        let node = RBTreeNode::new(key, region.clone(), GFP_KERNEL_ACCOUNT)?;

        self.regions.lock().insert(node);
        Ok(())
    }

    /// Keeps the device bound to its driver.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has been unbound.
    pub(super) fn hold(&self) -> Result<srcu::Guard<'_>> {
        let hold = self.holds.read_lock();

        match self.bound.load(Relaxed) {
            true => Ok(hold),
            false => Err(ENODEV),
        }
    }

    /// Takes a region out again, which is known by its address.
    pub(super) fn forget(&self, region: usize) {
        let forgotten = self.regions.lock().remove(&region);
        // Without the lock.
        drop(forgotten);
    }

    /// Takes all memory from the device, and lets no more be given to it. Waits for DMAs that are under
    /// way, for a minute at most: the pages of those that do not end are
    /// [lost](super#a-dma-that-does-not-end). When it has returned, be it called again or by many at
    /// once, no memory is left to be taken.
    ///
    /// The driver's `unbind` is the place, once the device has nothing more to do: after that the
    /// device loses its right to do DMA, while what is registered as a resource is only released
    /// later. This is too, for a probe that fails and a driver that forgets.
    pub fn take_back(&self) {
        let _alone = self.taker.lock();

        self.bound.store(false, Relaxed);
        // Beginnings of DMAs, and faults, that have seen it bound.
        self.holds.synchronize();

        let regions = replace(&mut *self.regions.lock(), RBTree::new());
        for region in regions.values() {
            region.wait_for_dma();
            Shared::end(region);
        }
    }
}
