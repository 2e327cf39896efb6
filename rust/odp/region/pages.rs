// SPDX-License-Identifier: GPL-2.0

//! What kinds of device a region can serve: how they reach memory, and who they are.

use crate::{
    hmm::HmmPfn,
    page::{PageIndex, PageRange, UmemPage},
    Access,
};
use kernel::prelude::*;

/// How a kind of device reaches the pages of a window: what is kept of each of them. The lock of the
/// window protects it, and nothing here sleeps, but for [`Pages::new`].
///
/// So far it is [`CpuPages`](super::CpuPages).
pub trait Pages: Sized + Send + Sync + 'static {
    /// Who uses the memory.
    type Device: HoldDevice;

    /// What a window has that is retired.
    fn none() -> Self;

    /// Whether it is that.
    fn is_none(&self) -> bool;

    /// Room for the pages of `range`, none of which is there. `writable` is whether the device may
    /// write at all.
    fn new(device: &Self::Device, range: &PageRange, writable: bool) -> Result<Self>;

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
}

/// Who uses the memory of a region.
pub trait HoldDevice: Send + Sync {
    /// The device stays, for as long as this is held.
    type Hold<'a>
    where
        Self: 'a;

    /// Keeps the device from going.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has gone.
    fn hold(&self) -> Result<Self::Hold<'_>>;

    /// Forgets a region, which it knows by its address, if it remembers it.
    fn forget(&self, region: usize);
}

/// A virtual device is always there.
impl HoldDevice for () {
    type Hold<'a> = ();

    fn hold(&self) -> Result<Self::Hold<'_>> {
        Ok(())
    }

    fn forget(&self, _region: usize) {}
}
