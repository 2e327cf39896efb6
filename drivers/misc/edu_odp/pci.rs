// SPDX-License-Identifier: GPL-2.0

//! From a PCI device to a file that can be opened, and back.
//!
//! All that the driver has to vouch for itself is here: what the kernel has only as unsafe functions.
//!
//! # When the device goes
//!
//! Files outlive the device. When it is unbound, by `rmmod`, by `remove` in sysfs or because it was
//! pulled out, then first, while it still may do DMA (`unbind`):
//!
//! 1. the engine ends the DMA that is under way, and starts no more: every call from then on gives
//!    `ENODEV`;
//! 2. [`BusDevice::take_back`] unmaps all memory that was mapped for it;
//! 3. it is no bus master any more;
//!
//! and then the fields of [`Probed`] go: nobody can open the device, and there are no more interrupts.
//! The kernel releases the registers.

use crate::{
    engine::{Engine, Interrupts, Turn},
    file::File,
    module_parameters, regs,
};
use kernel::{
    dev_err,
    device::{self, Bound, Core},
    dma::{Device as _, DmaMask},
    driver,
    io::{register, Io},
    irq,
    miscdevice::{MiscDeviceOptions, MiscDeviceRegistration},
    pci::{self, IrqType, IrqTypes, IrqVectorRegistration},
    prelude::*,
    sync::{global_lock, Arc},
    InPlaceModule, ModuleMetadata,
};
use odp::{BusDevice, DmaMode};

/// What the files of a device have in common.
pub(crate) struct Device {
    /// What does the work.
    pub(crate) engine: Arc<Engine>,
    /// What memory is mapped for, or why it cannot be: who registers some is told.
    pub(crate) bus: Result<Arc<BusDevice>>,
    /// Whether an IOMMU translates the addresses that the device uses, so that it can do no harm.
    pub(crate) is_translated: bool,
}

global_lock! {
    // SAFETY: It is initialised with the module, before the driver is registered.
    unsafe(uninit) static DEVICE: Mutex<Option<Arc<Device>>> = None;
}

/// The device that is there now.
///
/// # Errors
///
/// `ENODEV` if there is none.
pub(crate) fn device() -> Result<Arc<Device>> {
    DEVICE.lock().clone().ok_or(ENODEV)
}

/// Stops the device from reading and writing memory, for good. Having the turn keeps the device from
/// being unbound.
pub(crate) fn take_bus_from(device: &device::Device, _turn: &Turn<'_>) {
    // SAFETY: A device is unbound after its last turn, see `Published`.
    let device = unsafe { device.as_bound() };

    if let Ok(device) = <&pci::Device<Bound>>::try_from(device) {
        clear_master(device);
    }
}

fn clear_master(device: &pci::Device<Bound>) {
    register! {
        COMMAND(u16) @ 0x04 {
            2:2 bus_master;
        }
    }

    device
        .config_space()
        .update(COMMAND, |command| command.with_const_bus_master::<0>());
}

/// A device that files can be opened on. Dropping it ends all use of the device.
struct Published(Arc<Device>);

impl Published {
    /// # Errors
    ///
    /// `EBUSY` if there is one already.
    fn new(device: Arc<Device>) -> Result<Self> {
        let mut published = DEVICE.lock();

        if published.is_some() {
            return Err(EBUSY);
        }
        *published = Some(device.clone());
        Ok(Self(device))
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        *DEVICE.lock() = None;
        self.0.engine.shut_down();
    }
}

/// What there is as long as the device is bound to the driver. It is dropped from top to bottom.
#[pin_data]
struct Probed<'bound> {
    #[pin]
    _files: MiscDeviceRegistration<File>,
    published: Published,
    #[pin]
    _interrupt: irq::Registration<'bound, Interrupts>,
    vectors: IrqVectorRegistration<'bound>,
}

struct Driver;

/// QEMU's own vendor of devices that no hardware has. The PCI SIG does not know it, so the kernel has
/// no name for it, and only names make a [`pci::Vendor`].
// SAFETY: It is a transparent `u16`, and any will do.
const EDU_VENDOR: pci::Vendor = unsafe { core::mem::transmute(0x1234_u16) };

kernel::pci_device_table!(
    DEVICES,
    <Driver as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(EDU_VENDOR, 0x11e8), ())]
);

impl pci::Driver for Driver {
    type IdInfo = ();
    type Data<'bound> = Probed<'bound>;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &DEVICES;

    fn probe<'bound>(
        device: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            let shared = start(device)?;
            let engine = shared.engine.clone();
            let types = IrqTypes::default().with(IrqType::Msi).with(IrqType::Intx);

            Ok(try_pin_init!(Probed {
                vectors: device.alloc_irq_vectors(1, 1, types)?,
                // SAFETY: `vectors` is pinned, and dropped after `_interrupt`, which is not leaked.
                _interrupt <- unsafe {
                    irq::Registration::new(
                        (*core::ptr::from_ref(vectors)).index(0)?.into(),
                        irq::Flags::SHARED,
                        c"edu_odp",
                        Ok(Interrupts::of(engine)),
                    )
                },
                published: Published::new(shared)
                    .inspect_err(|_| dev_err!(device, "there is another edu device already\n"))?,
                _files <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"edu_odp" }),
            }))
        })
    }

    fn unbind<'bound>(device: &'bound pci::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        let shared = &this.published.0;

        shared.engine.shut_down();
        if let Ok(bus) = &shared.bus {
            bus.take_back();
        }
        clear_master(device);
    }
}

/// Makes the device ready for DMA.
fn start(device: &pci::Device<Core<'_>>) -> Result<Arc<Device>> {
    device.enable_device_mem()?;
    let bar = device.iomap_region_sized(0, c"edu_odp")?;
    if !is_edu(&bar) {
        dev_err!(device, "it does not behave like an edu device\n");
        return Err(ENODEV);
    }

    // SAFETY: Nobody else knows the device yet.
    unsafe { device.dma_set_mask_and_coherent(dma_mask()?) }
        .inspect_err(|_| dev_err!(device, "DMA with dma_bits={} is impossible\n", dma_bits()))?;
    device.set_master();

    let bus = BusDevice::new(device.as_ref());
    if matches!(bus, Err(ENOMEM)) {
        return Err(ENOMEM);
    }
    // No IOVA is in use yet. Only an IOMMU has some.
    let is_translated = matches!(bus.as_ref().map(BusDevice::mode), Ok(Ok(DmaMode::Iova)));
    let engine = Engine::new(bar.into_devres()?)?;

    Ok(Arc::new(
        Device {
            engine,
            bus,
            is_translated,
        },
        GFP_KERNEL,
    )?)
}

fn is_edu(bar: &regs::Bar<'_>) -> bool {
    const WORD: u32 = 0x600d_cafe;

    bar.write_reg(regs::LIVENESS::from_raw(WORD));
    bar.read(regs::IDENTIFICATION).edu() == regs::EDU
        && bar.read(regs::LIVENESS).into_raw() == !WORD
}

fn dma_bits() -> u32 {
    module_parameters::dma_bits.value()
}

/// # Errors
///
/// `EINVAL` if `dma_bits` is not from 1 to 64.
fn dma_mask() -> Result<DmaMask> {
    match dma_bits() {
        0 => Err(EINVAL),
        bits => DmaMask::try_new(bits),
    }
}

/// The module.
#[pin_data]
pub(crate) struct Module {
    #[pin]
    driver: driver::Registration<pci::Adapter<Driver>>,
}

impl InPlaceModule for Module {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            dma_mask().inspect_err(|_| pr_err!("dma_bits is not from 1 to 64\n"))?;
            // SAFETY: This is called once.
            unsafe { DEVICE.init() };

            Ok(try_pin_init!(Self {
                driver <- driver::Registration::new(<Self as ModuleMetadata>::NAME, module),
            }))
        })
    }
}
