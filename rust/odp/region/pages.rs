// SPDX-License-Identifier: GPL-2.0

//! What kinds of device a region can serve: how they reach memory, and whether they can go.

use crate::{
    charge::Memory,
    hmm::HmmPfn,
    in_flight::InFlight,
    page::{PageIndex, PageRange, UmemPage},
    Access,
};
use kernel::{prelude::*, sync::Arc};

/// How a kind of device reaches the pages of a window: what is kept of each of them. The lock of the
/// window protects it, and nothing here sleeps, but for [`Pages::new`].
///
/// It is [`CpuPages`](super::CpuPages) or [`DmaPages`](super::DmaPages). The trait cannot be named
/// outside: who could call it could enter pages that no walk has seen.
pub trait Pages: Sized + Send + Sync + 'static {
    /// Who uses the memory.
    type Device: Send + Sync;

    /// The device stays, for as long as this is held.
    type Hold<'a>;

    /// What is done for a region by others than its tasks.
    type Jobs: Clone + Send + Sync;

    /// Whether faults are the affair of the calling task, so that its signals end them. Else they are
    /// a peer's, and whoever serves him tries again.
    const INTERRUPTIBLE: bool;

    /// Keeps the device from going.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has gone.
    fn hold(device: &Self::Device) -> Result<Self::Hold<'_>>;

    /// Tells the device that a region has ended, which it knows by its address, if it knows it.
    fn forget(device: &Self::Device, region: usize);

    /// What a window has that is retired.
    fn none() -> Self;

    /// Whether it is that.
    fn is_none(&self) -> bool;

    /// Ends that, and takes no more of it.
    fn end(jobs: &Self::Jobs);

    /// Room for the pages of `range`, none of which is there, in such `memory`. `writable` is
    /// whether the device may write at all.
    fn new(
        device: &Self::Device,
        range: &PageRange,
        writable: bool,
        memory: Memory,
    ) -> Result<Self>;

    /// Enters what a walk has `seen` of a page, which was validated under the lock. Returns whether
    /// there was nothing before.
    fn enter(&mut self, index: PageIndex<UmemPage>, seen: HmmPfn) -> bool;

    /// Makes a page that was entered usable for the device, if it is there.
    fn prepare(&mut self, index: PageIndex<UmemPage>) -> Result;

    /// Whether the device can use the page now.
    fn allows(&self, index: PageIndex<UmemPage>, access: Access) -> bool;

    /// Takes a page from the device, and marks it dirty if the device may have written to it.
    /// Returns whether there was one.
    fn unmap(&mut self, index: PageIndex<UmemPage>) -> bool;

    /// Sees to it that pages that were unmapped are out of the device's reach.
    fn flush(&mut self);

    /// What the device does with the pages outside of the lock, if it ever does: it begins under the lock,
    /// and whoever takes pages away waits for its end.
    fn in_flight(&self) -> Option<&Arc<InFlight>>;

    /// Leaves all pages to a device whose use of them does not end: they are never freed, and where it
    /// finds them nothing else will be.
    fn lose(&mut self);
}
