// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The birth and the end of a umem.
//!
//! Objects made here may be used and freed by C, and the reverse: they come from the same
//! allocators and hold no pointer into this code.

use super::{DmaDevice, DmaMap, UmemOdp};
use crate::{
    dma::Unmapped,
    notifier::{IntervalNotifier, NotifierOps},
    page::{PageRange, PageShift, UserVa},
    pid::Pid,
};
use core::{mem::ManuallyDrop, num::NonZeroUsize, ptr::NonNull};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    bindings,
    mm::{Mm, MmWithUser},
    prelude::*,
    sync::aref::ARef,
    types::Opaque,
};
use odp_bindings::ib_umem_odp;

/// A `struct ib_device`.
#[repr(transparent)]
pub struct IbDevice(Opaque<bindings::ib_device>);

impl IbDevice {
    /// Borrows an RDMA device from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a live `struct ib_device` that outlives all umems made for it.
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::ib_device) -> &'a Self {
        // SAFETY: By the caller's promise; `IbDevice` is transparent.
        unsafe { &*ptr.cast() }
    }
}

/// The flags of a registration, `IB_ACCESS_*`.
#[derive(Clone, Copy)]
pub struct AccessFlags(c_int);

impl AccessFlags {
    /// Takes flags from C.
    pub const fn from_raw(raw: c_int) -> Self {
        Self(raw)
    }

    /// Those of a device that is not an RDMA device: whether it may write to the memory.
    pub const fn local(writable: bool) -> Self {
        // CAST: As in `has`.
        Self(match writable {
            true => odp_bindings::ib_access_flags_IB_ACCESS_LOCAL_WRITE as c_int,
            false => 0,
        })
    }

    fn has(self, flag: odp_bindings::ib_access_flags) -> bool {
        // CAST: Access flags are small positive numbers.
        self.0 & flag as c_int != 0
    }

    /// Whether on-demand paging was asked for.
    pub fn is_on_demand(self) -> bool {
        self.has(odp_bindings::ib_access_flags_IB_ACCESS_ON_DEMAND)
    }

    /// Whether the memory is to be mapped in huge pages.
    pub fn is_hugetlb(self) -> bool {
        cfg!(CONFIG_HUGETLB_PAGE) && self.has(odp_bindings::ib_access_flags_IB_ACCESS_HUGETLB)
    }

    /// Whether peers may ask for what they wrote to be made persistent.
    pub fn is_flush_persistent(self) -> bool {
        self.has(odp_bindings::ib_access_flags_IB_ACCESS_FLUSH_PERSISTENT)
    }

    /// Whether the device may write to the memory.
    pub fn is_writable(self) -> bool {
        // SAFETY: Only looks at the flags.
        unsafe { odp_bindings::ib_access_writable(self.0) }
    }
}

/// A umem that is ours to release, which is what dropping it does.
///
/// # Invariants
///
/// The object is a [`UmemOdp`], and nobody else will release it.
pub struct OwnedUmemOdp(NonNull<ib_umem_odp>);

impl OwnedUmemOdp {
    /// Makes the umem of an explicit region of the current process: `[addr, addr + len)`, in whole
    /// pages, of the huge page size if `access` asks for huge pages. Corresponds to
    /// `ib_umem_odp_get()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `access` does not ask for on-demand paging, the range is empty, or the caller
    ///   has no address space;
    /// - `EOVERFLOW` if the range wraps around;
    /// - `ENOMEM`, `EOPNOTSUPP` as for [`DmaMap`];
    /// - `EINTR`, `ENOMEM` as `mmu_interval_notifier_insert()` gives them.
    ///
    /// # Safety
    ///
    /// `ops` must outlive the umem, and its callback must take the umem_mutex, record the sequence
    /// number under it, and unmap, as `include/rdma/ib_umem_odp.h` has it.
    pub unsafe fn get(
        device: &IbDevice,
        addr: u64,
        len: u64,
        access: AccessFlags,
        ops: NotifierOps,
    ) -> Result<Self> {
        if !access.is_on_demand() {
            return Err(EINVAL);
        }
        let shift = if access.is_hugetlb() {
            PageShift::HUGE
        } else {
            PageShift::BASE
        };
        let current = kernel::current!();
        let mm = current.mm().ok_or(EINVAL)?;
        let template = Template {
            device,
            writable: access.is_writable(),
            mm,
            tgid: Pid::current_thread_group(),
            shift,
        };
        // SAFETY: `current` keeps `mm` in use; the caller vouches for `ops`.
        unsafe { template.register(mm, addr, len, ops) }
    }

    /// Makes the parent of an implicit region, which stands for the whole address space of the
    /// current process. Corresponds to `ib_umem_odp_alloc_implicit()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `access` asks for huge pages: the children have base pages;
    /// - `ENOMEM`.
    pub fn implicit(device: &IbDevice, access: AccessFlags) -> Result<Self> {
        if access.is_hugetlb() {
            return Err(EINVAL);
        }
        let current = kernel::current!();
        let mm = current.mm().ok_or(EINVAL)?;
        let mut umem = Template {
            device,
            writable: access.is_writable(),
            mm,
            tgid: Pid::current_thread_group(),
            shift: PageShift::BASE,
        }
        .allocate()?;

        umem.is_implicit_odp = true;
        // An implicit umem has no notifier. C leaves this zero.
        umem.notifier.invalidate_seq = Pid::current_exec_id();
        // INVARIANT: An implicit umem has neither notifier nor table.
        Ok(Self(umem.into_raw()))
    }

    /// Makes the umem of `[addr, addr + len)` in the address space of an implicit region.
    /// Corresponds to `ib_umem_odp_alloc_child()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `root` is not implicit;
    /// - `EFAULT` if the owner has exited or runs another program since;
    /// - else as [`OwnedUmemOdp::get`].
    ///
    /// # Safety
    ///
    /// As for [`OwnedUmemOdp::get`].
    pub unsafe fn child(root: &UmemOdp, addr: u64, len: u64, ops: NotifierOps) -> Result<Self> {
        if !root.is_implicit() {
            return Err(EINVAL);
        }
        // SAFETY: These fields are constant once the umem exists; an RDMA device outlives it.
        let (mm, exec_id, device) = unsafe {
            let root = root.as_raw();
            (
                (*root).umem.owning_mm,
                (*root).notifier.invalidate_seq,
                IbDevice::from_raw((*root).umem.ibdev),
            )
        };
        // The parent does not grab the `mm_struct`, so that it may have been freed and its address
        // cannot be handed to `mmget_not_zero()`. Its owner, if it is still there, knows.
        let held = root
            .owner()
            .mmget_if(mm.cast::<Mm>(), NonZeroUsize::new(exec_id))
            .ok_or(EFAULT)?;
        let template = Template {
            device,
            writable: root.is_writable(),
            mm: &held,
            tgid: root.owner().into(),
            shift: PageShift::BASE,
        };
        // SAFETY: `held` keeps the address space in use; the caller vouches for `ops`.
        unsafe { template.register(&held, addr, len, ops) }
    }

    /// Takes over a umem from C.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not an ODP umem. It is left alone.
    ///
    /// # Safety
    ///
    /// As for [`UmemOdp::from_raw`], and the caller gives up the umem.
    pub unsafe fn from_raw(ptr: *mut ib_umem_odp) -> Result<Self> {
        // SAFETY: By the caller's promise.
        let umem = unsafe { UmemOdp::from_raw(ptr)? };
        // INVARIANT: By the caller's promise.
        Ok(Self(NonNull::from(&umem.0).cast()))
    }

    /// Hands the umem to C.
    pub fn into_raw(self) -> *mut ib_umem_odp {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Releases the umem, and tells what was still mapped. Corresponds to `ib_umem_odp_release()`.
    pub fn release(self) -> Unmapped {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again.
        unsafe { this.release_in_place() }
    }

    /// # Safety
    ///
    /// `self` must not be used afterwards, nor dropped.
    unsafe fn release_in_place(&mut self) -> Unmapped {
        let raw = self.0.as_ptr();
        let umem: &UmemOdp = self;
        // The pages go first: as long as one is mapped, an invalidation must be heard.
        let unmapped = match (umem.lock(), umem.range()) {
            (Ok(mut locked), Ok(range)) => locked.unmap(range.start(), range.end()),
            _ => Unmapped::default(),
        };
        let device = umem.device();

        // SAFETY: The umem is ours. A notifier that is registered is removed, which waits for
        // callbacks that still run, before what they use is freed. `kfree()` and `KBox` agree.
        unsafe {
            if !(*raw).is_implicit_odp {
                IntervalNotifier::remove(&raw mut (*raw).notifier);
                DmaMap::free(&raw mut (*raw).map, device);
            }
            bindings::put_pid((*raw).tgid);
            drop(KBox::from_raw(raw));
        }
        unmapped
    }
}

impl core::ops::Deref for OwnedUmemOdp {
    type Target = UmemOdp;

    fn deref(&self) -> &UmemOdp {
        // SAFETY: By the type invariants it is a live umem.
        unsafe { self.0.cast().as_ref() }
    }
}

impl Drop for OwnedUmemOdp {
    fn drop(&mut self) {
        // SAFETY: Nothing comes after `drop`.
        unsafe { self.release_in_place() };
    }
}

/// What all umems have in common.
struct Template<'a> {
    device: &'a IbDevice,
    writable: bool,
    mm: &'a Mm,
    tgid: ARef<Pid>,
    shift: PageShift,
}

impl Template<'_> {
    fn allocate(self) -> Result<NewUmem> {
        let mut umem = KBox::<ib_umem_odp>::new(
            // SAFETY: All zeroes is what C starts from: null pointers, empty lists, no flags.
            unsafe { core::mem::zeroed() },
            GFP_KERNEL_ACCOUNT,
        )?;
        umem.umem.ibdev = self.device.0.get();
        umem.umem.owning_mm = self.mm.as_raw();
        umem.umem.set_writable(self.writable.into());
        umem.umem.set_is_odp(1);
        umem.page_shift = self.shift.get();
        // The umem owns the reference from here on, and `NewUmem` drops it on an error.
        umem.tgid = ARef::into_raw(self.tgid).as_ptr().cast();
        let mut umem = NewUmem(umem);

        super::mutex::init(&mut umem.umem_mutex)?;
        Ok(umem)
    }

    /// Allocates a umem and its table, and registers its notifier. Nothing can be mapped before:
    /// the umem is returned to the caller only afterwards.
    ///
    /// # Safety
    ///
    /// `mm` must be the address space of the template, and `ops` as [`OwnedUmemOdp::get`] wants.
    unsafe fn register(
        self,
        mm: &MmWithUser,
        addr: u64,
        len: u64,
        ops: NotifierOps,
    ) -> Result<OwnedUmemOdp> {
        let range = PageRange::covering(UserVa::new(addr), len, self.shift)?;
        // SAFETY: An RDMA device is live while umems are made for it.
        let device = unsafe { DmaDevice::of(self.device.0.get()) };
        let mut umem = self.allocate()?;

        umem.umem.address = usize::try_from(addr)?;
        umem.umem.length = usize::try_from(len)?;
        umem.notifier.ops = ops;
        // SAFETY: The new umem is ours alone, and zeroed.
        unsafe { DmaMap::allocate(&raw mut umem.map, device, &range)? };

        // SAFETY: `mm` is in use, and the notifier stays where it is on the heap. If it cannot be
        // registered, nobody has seen the table.
        unsafe {
            IntervalNotifier::insert(&raw mut umem.notifier, mm, &range, ops)
                .inspect_err(|_| DmaMap::free(&raw mut umem.map, device))?;
        }
        // INVARIANT: Set up, registered, and only the result will release it.
        Ok(OwnedUmemOdp(umem.into_raw()))
    }
}

/// A umem that is not handed out yet. Dropping it frees the memory and gives up the pid, no more.
///
/// # Invariants
///
/// It holds a reference to its pid.
struct NewUmem(KBox<ib_umem_odp>);

impl NewUmem {
    /// Leaves the umem, with all that it holds, to the caller.
    fn into_raw(self) -> NonNull<ib_umem_odp> {
        let mut this = ManuallyDrop::new(self);

        NonNull::from(&mut *this.0)
    }
}

impl core::ops::Deref for NewUmem {
    type Target = ib_umem_odp;

    fn deref(&self) -> &ib_umem_odp {
        &self.0
    }
}

impl core::ops::DerefMut for NewUmem {
    fn deref_mut(&mut self) -> &mut ib_umem_odp {
        &mut self.0
    }
}

impl Drop for NewUmem {
    fn drop(&mut self) {
        // SAFETY: The umem holds a reference to its pid.
        unsafe { bindings::put_pid(self.0.tgid) };
    }
}
