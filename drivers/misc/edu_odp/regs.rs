// SPDX-License-Identifier: GPL-2.0

//! The registers of QEMU's edu device, all in BAR 0.
//!
//! Reference: <https://www.qemu.org/docs/master/specs/edu.html>

use kernel::{io::register, pci};

register! {
    /// What the device is.
    pub(crate) IDENTIFICATION(u32) @ 0x00 {
        31:24 major;
        23:16 minor;
        7:0 edu;
    }

    /// Gives the inverse of what was written to it.
    pub(crate) LIVENESS(u32) @ 0x04 {
        31:0 value;
    }

    /// Why the device has raised its interrupt.
    pub(crate) INTERRUPT_STATUS(u32) @ 0x24 {
        8:8 dma;
    }

    /// Clears the bits of the interrupt status that are written to it.
    pub(crate) INTERRUPT_ACKNOWLEDGE(u32) @ 0x64 {
        31:0 bits;
    }

    /// Where the next DMA reads: a bus address, or one in the device's own address space.
    pub(crate) DMA_SOURCE(u64) @ 0x80 {
        63:0 address;
    }

    /// Where the next DMA writes.
    pub(crate) DMA_TARGET(u64) @ 0x88 {
        63:0 address;
    }

    /// How many bytes the next DMA moves.
    pub(crate) DMA_COUNT(u64) @ 0x90 {
        63:0 bytes;
    }

    /// Starts a DMA.
    pub(crate) DMA_COMMAND(u64) @ 0x98 {
        /// Raise an interrupt at the end.
        2:2 interrupt;
        /// From the device to memory.
        1:1 to_memory;
        /// Start. The device clears it when the DMA has ended.
        0:0 run;
    }
}

/// The lowest byte of [`struct@IDENTIFICATION`].
pub(crate) const EDU: u32 = 0xed;

/// What a read gives when no device answers.
pub(crate) const NO_ANSWER: u32 = u32::MAX;

/// Where the buffer for DMA is in the device's own address space.
pub(crate) const BUFFER: u64 = 0x40000;

/// How much of BAR 0 the driver uses.
const SIZE: usize = 0xa0;

/// The registers, as long as the device is bound to the driver.
pub(crate) type Registers = pci::DevresBar<SIZE>;

/// The registers, of a device that is known to be bound.
pub(crate) type Bar<'bound> = pci::Bar<'bound, SIZE>;
