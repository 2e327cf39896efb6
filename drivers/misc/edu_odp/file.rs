// SPDX-License-Identifier: GPL-2.0

//! `/dev/edu_odp`: what user space may ask for, and all that it may get wrong.
//!
//! A call may come from many threads at once, with any numbers in it, and after the device has gone.

use crate::{
    engine::{Direction, BUFFER_BYTES},
    pci::{device, Device},
    ranges::{Range, Ranges},
    transfer::{Memory, Transfer},
};
use edu_odp_uapi::*;
use kernel::{
    fs,
    miscdevice::{MiscDevice, MiscDeviceRegistration},
    prelude::*,
    sync::Arc,
    uaccess::{UserPtr, UserSlice},
};
use odp::{task, umem::AccessFlags, Access, BusDevice, DmaMode, UserVa};

/// An open file. The ranges that were registered through it go with it.
#[pin_data]
pub(crate) struct File {
    device: Arc<Device>,
    #[pin]
    ranges: Ranges,
}

#[vtable]
impl MiscDevice for File {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &fs::File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        let device = device()?;

        KBox::pin_init(
            pin_init!(Self {
                device,
                ranges <- Ranges::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn ioctl(this: Pin<&Self>, _file: &fs::File, command: u32, arg: usize) -> Result<isize> {
        let argument = UserPtr::from_addr(arg);

        this.device.engine.check_there()?;
        match command {
            EDU_ODP_IOC_DEVICE => exchange(argument, |arg| this.describe(arg)),
            EDU_ODP_IOC_REGISTER => this.register(argument),
            EDU_ODP_IOC_DEREGISTER => accept(argument, |arg| this.deregister(arg)),
            EDU_ODP_IOC_DMA => exchange(argument, |arg| this.dma(arg)),
            EDU_ODP_IOC_PREFETCH => accept(argument, |arg| this.prefetch(arg)),
            EDU_ODP_IOC_QUERY => exchange(argument, |arg| this.query(arg)),
            EDU_ODP_IOC_PEEK => exchange(argument, |arg| this.peek(arg)),
            EDU_ODP_IOC_RAW_DMA => accept(argument, |arg| this.raw_dma(arg)),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }
}

/// Calls `handle` with the structure at `argument`.
fn accept<T: FromBytes + IntoBytes>(
    argument: UserPtr,
    handle: impl FnOnce(&mut T) -> Result,
) -> Result {
    let mut value = T::new_zeroed();

    UserSlice::new(argument, size_of::<T>())
        .reader()
        .read_slice(value.as_mut_bytes())?;
    handle(&mut value)
}

/// [`accept`], and writes the structure back, be the result an error or not.
fn exchange<T: FromBytes + IntoBytes>(
    argument: UserPtr,
    handle: impl FnOnce(&mut T) -> Result,
) -> Result {
    accept(argument, |value| {
        let result = handle(value);

        give_back(argument, value).and(result)
    })
}

fn give_back<T: FromBytes + IntoBytes>(argument: UserPtr, value: &mut T) -> Result {
    UserSlice::new(argument, size_of::<T>())
        .writer()
        .write_slice(value.as_mut_bytes())
}

/// `EINVAL` if what must be zero is not.
fn check_zero(value: impl Into<u64>) -> Result {
    match value.into() {
        0 => Ok(()),
        _ => Err(EINVAL),
    }
}

/// `EINVAL` if what must not be zero is.
fn check_not_zero(value: u64) -> Result {
    match value {
        0 => Err(EINVAL),
        _ => Ok(()),
    }
}

fn mode_number(mode: DmaMode) -> u32 {
    match mode {
        DmaMode::Iova => EDU_ODP_MODE_IOVA,
        DmaMode::List => EDU_ODP_MODE_LIST,
        DmaMode::Direct => EDU_ODP_MODE_DIRECT,
    }
}

impl File {
    fn describe(&self, arg: &mut edu_odp_device) -> Result {
        check_zero(arg.reserved)?;

        arg.abi_version = EDU_ODP_ABI_VERSION;
        arg.buffer = EDU_ODP_BUFFER;
        arg.mode = match &self.device.bus {
            Ok(bus) => mode_number(BusDevice::mode(bus)?),
            Err(_) => EDU_ODP_MODE_NONE,
        };
        Ok(())
    }

    fn register(&self, argument: UserPtr) -> Result {
        accept(argument, |arg: &mut edu_odp_register| {
            arg.handle = self.ranges.add(self.new_range(arg)?)?;

            give_back(argument, arg).inspect_err(|_| {
                // Nobody knows it. If somebody has guessed it meanwhile it may be gone already.
                let _ = self.ranges.remove(arg.handle);
            })
        })
    }

    fn new_range(&self, arg: &edu_odp_register) -> Result<Arc<Range>> {
        let writable = arg.flags & EDU_ODP_REGISTER_WRITE != 0;
        let all = arg.flags & EDU_ODP_REGISTER_ALL != 0;
        let access = AccessFlags::local(writable);

        check_zero(arg.flags & !(EDU_ODP_REGISTER_WRITE | EDU_ODP_REGISTER_ALL))?;
        if all {
            check_zero(arg.address)?;
            check_zero(arg.length)?;
            Range::all(self.device.bus.clone()?, access)
        } else {
            check_not_zero(arg.length)?;
            let start = UserVa::new(arg.address);
            Range::new(self.device.bus.clone()?, start, arg.length, access)
        }
    }

    fn deregister(&self, arg: &mut edu_odp_deregister) -> Result {
        check_zero(arg.reserved)?;
        self.ranges.remove(arg.handle)
    }

    fn dma(&self, arg: &mut edu_odp_dma) -> Result {
        let (reads, writes) = match arg.op {
            EDU_ODP_READ => (true, false),
            EDU_ODP_WRITE => (false, true),
            EDU_ODP_COPY => (true, true),
            _ => return Err(EINVAL),
        };
        check_zero(arg.flags)?;
        check_zero(arg.done)?;
        check_not_zero(arg.length)?;

        let transfer = Transfer {
            engine: &self.device.engine,
            ranges: &self.ranges,
            source: self.memory(
                reads,
                Direction::ToDevice,
                arg.source_handle,
                arg.source,
                arg.length,
            )?,
            target: self.memory(
                writes,
                Direction::ToMemory,
                arg.target_handle,
                arg.target,
                arg.length,
            )?,
            len: arg.length,
        };
        transfer.run(&mut arg.done)
    }

    /// Memory for a DMA, if it is `wanted`. If not, it must not be named.
    fn memory(
        &self,
        wanted: bool,
        direction: Direction,
        handle: u32,
        va: u64,
        len: u64,
    ) -> Result<Option<Memory>> {
        if wanted {
            Memory::find(&self.ranges, handle, va, len, direction).map(Some)
        } else {
            check_zero(handle)?;
            check_zero(va)?;
            Ok(None)
        }
    }

    fn prefetch(&self, arg: &mut edu_odp_prefetch) -> Result {
        let no_fault = arg.flags & EDU_ODP_PREFETCH_NO_FAULT != 0;
        let write = arg.flags & EDU_ODP_PREFETCH_WRITE != 0;

        check_zero(arg.flags & !(EDU_ODP_PREFETCH_NO_FAULT | EDU_ODP_PREFETCH_WRITE))?;
        check_not_zero(arg.length)?;
        let range = self.ranges.get(arg.handle)?;
        let start = range.part(arg.address, arg.length)?;
        if write && !range.region.is_writable() {
            return Err(EPERM);
        }

        let access = match (no_fault, write) {
            (true, _) => Access::Snapshot,
            (false, false) => Access::Read,
            (false, true) => Access::Write,
        };
        match range.region.prefetch(start, arg.length, access) {
            // The region is out of time, or of memory.
            Err(EBUSY | ENOMEM) => Err(EAGAIN),
            result => result,
        }
    }

    fn query(&self, arg: &mut edu_odp_query) -> Result {
        check_zero(arg.reserved)?;
        let range = self.ranges.get(arg.handle)?;
        let counters = range.region.counters();

        arg.page_faults = counters.page_faults.get();
        arg.page_faults_handled = counters.page_faults_handled.get();
        arg.page_invalidations = counters.page_invalidations.get();
        arg.page_invalidations_handled = counters.page_invalidations_handled.get();
        arg.page_prefetch = counters.page_prefetch.get();
        Ok(())
    }

    fn peek(&self, arg: &mut edu_odp_peek) -> Result {
        if !task::has_raw_io() {
            return Err(EPERM);
        }
        let range = self.ranges.get(arg.handle)?;
        let found = range.region.peek(range.part(arg.address, 1)?)?;

        (arg.dma_address, arg.mode) = match found {
            Some((address, mode)) => (address, mode_number(mode)),
            None => (0, EDU_ODP_MODE_NONE),
        };
        Ok(())
    }

    fn raw_dma(&self, arg: &mut edu_odp_raw_dma) -> Result {
        if !task::has_raw_io() {
            return Err(EPERM);
        }
        let direction = match arg.op {
            EDU_ODP_READ => Direction::ToDevice,
            EDU_ODP_WRITE => Direction::ToMemory,
            _ => return Err(EINVAL),
        };
        // CAST: A `usize` has room for it.
        let len = arg.length as usize;
        if len == 0 || len > BUFFER_BYTES {
            return Err(EINVAL);
        }
        arg.dma_address
            .checked_add(arg.length.into())
            .ok_or(EINVAL)?;
        if !self.device.is_translated {
            return Err(EOPNOTSUPP);
        }
        let turn = self.device.engine.turn()?;
        turn.run(direction, arg.dma_address, 0, len)
    }
}
