// SPDX-License-Identifier: GPL-2.0

//! DMA of QEMU's edu device on user memory that is not pinned.
//!
//! The smallest device that can do what a network adapter with on-demand paging does: its DMA engine
//! moves data between memory and a buffer of 4 KiB. A process registers its memory by ioctls on
//! `/dev/edu_odp` (`edu_odp.h`), and the device works on it at user addresses.
//!
//! The device cannot tell how many bits of an address it has. Unless QEMU is told otherwise there are
//! 28, too few: `-device edu,dma_mask=0xffffffffffffffff`.
//!
//! It is also the example of how to write a driver with on-demand paging in Rust. All that is about
//! memory is in the crate `odp`; what is left is a driver as any:
//!
//! - `pci`: the module, its device, and what happens when the device goes;
//! - `regs`: the registers;
//! - `turns`, `engine`: one DMA at a time, and waiting for it;
//! - `transfer`: **a DMA on user memory**, which maps, faults in what is missing, and tries again;
//! - `ranges`: what a file has registered;
//! - `file`: the ioctls, and all that user space may get wrong.

mod engine;
mod file;
mod pci;
mod ranges;
mod regs;
mod transfer;
mod turns;

use kernel::prelude::*;
use pci::Module;

module! {
    type: Module,
    name: "edu_odp",
    authors: ["The ODP in Rust developers"],
    description: "DMA of QEMU's edu device on user memory that is not pinned",
    license: "GPL",
    params: {
        dma_bits: u32 {
            default: 64,
            description: "Bits of a DMA address that the device has, as QEMU was told (1 to 64)",
        },
    },
}
