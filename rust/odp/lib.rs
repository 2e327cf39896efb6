// SPDX-License-Identifier: GPL-2.0

//! On-demand paging: device access to user memory that is not pinned.
//!
//! A device that supports on-demand paging (ODP) keeps a table of the pages behind a user memory
//! region. A page enters the table when the device first touches it and leaves when the kernel
//! takes the page away from the process. This crate is the kernel side of both directions, safe to
//! use from a driver: what would be a use after free when done in the wrong order does not compile.
//!
//! There are two kinds of region on the same ground: [`UmemOdp`] has C's layout, one table under one
//! mutex, for C drivers; a [`Region`] is sparse, for drivers in Rust, of virtual devices and of those
//! that do DMA. The three paths of a [`region`] are told there; what follows is a umem's.
//!
//! # The fault path
//!
//! [`UmemOdp::map_and_lock`] is the whole of it, in this order:
//!
//! 1. [`Pid::has_task`] and [`Mm::mmget_not_zero`]: only a [`MmWithUser`] can be walked, because
//!    `exit_mmap()` does not respect the mmap lock.
//! 2. [`Snapshot::walk`]: `hmm_range_fault()` into a private array, under a sequence number that
//!    was read before. No walk ever writes a live table.
//! 3. [`UmemOdp::lock`], then [`Snapshot::validate`]: a snapshot that collided with an invalidation
//!    is worth nothing and its contents cannot be read.
//! 4. The validated entries are copied into the table, and the lock stays held, so that the driver
//!    can update its device's page table before an invalidation can come.
//!
//! # The invalidate path
//!
//! The driver's [`mmu_interval_notifier_ops`] callback takes the umem_mutex, records the new
//! sequence number, stops the device from using the range, and calls [`Locked::unmap`], which undoes
//! the DMA mappings, marks pages dirty that the device may have written, and empties the entries.
//!
//! # Lock order
//!
//! ```text
//! mmap_lock
//!   folio lock, i_mmap_rwsem, anon_vma lock   (held by reclaim around the notifier)
//!     mmu notifier srcu / invalidate_range_start
//!       umem_mutex
//! ```
//!
//! The notifier's callback takes the umem_mutex inside all of the others. So while the umem_mutex is
//! held nothing may allocate memory that can enter reclaim, take the mmap lock, or wait for an
//! invalidation: [`Snapshot::walk`] and [`mmput()`] come before and after, never within.
//!
//! [`Mm::mmget_not_zero`]: kernel::mm::Mm::mmget_not_zero
//! [`MmWithUser`]: kernel::mm::MmWithUser
//! [`mmput()`]: kernel::mm::MmWithUserAsync
//! [`mmu_interval_notifier_ops`]: srctree/include/linux/mmu_notifier.h

#![crate_name = "odp"]

pub mod charge;
pub mod counter;
pub mod deadline;
pub mod debugfs;
pub mod dma;
pub mod hmm;
mod in_flight;
pub mod notifier;
pub mod page;
pub mod pid;
mod queue;
pub mod region;
pub mod rwlock;
pub mod snapshot;
pub mod task;
#[cfg(odp_kunit)]
pub mod tests;
pub mod umem;
mod vma;

pub use dma::{DmaMap, DmaMode};
pub use hmm::{Access, HmmPfn};
pub use notifier::{IntervalNotifier, Invalidate, InvalidateLocked, ReadSeq, Watch};
pub use page::{PageIndex, PageRange, PageShift, UserVa};
pub use pid::Pid;
pub use region::{BusDevice, CpuPages, DmaPages, FaultWorkers, Region};
pub use snapshot::{Snapshot, Validated};
pub use umem::{IbDevice, Locked, OwnedUmemOdp, UmemOdp};
