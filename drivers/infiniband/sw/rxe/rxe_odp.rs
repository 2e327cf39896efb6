// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The on-demand paging of soft-RoCE.
//!
//! The rest of the driver is C, from the kernel's own source; this crate takes the place of its
//! `rxe_odp.c`.
//!
//! - [`ffi`]: what C calls, and what it is made of; `ffi/wait.rs`: queue pairs that park;
//!   `ffi/netlink.rs`: what `rdma` shows; `ffi/reach.rs`: what a peer may reach;
//!   `ffi/ring.rs`: requests that C took out of a ring;
//! - [`mr`]: a memory region, from the addresses that peers use to those of the process;
//! - [`reach`]: what a peer may reach of it, with on-demand paging or without;
//! - [`advise`]: prefetches, by `ibv_advise_mr()`;
//! - [`work_request`]: what is right in a work request that a process wrote into a ring.
//!
//! The memory itself, faults and invalidations are [`odp::region`]'s.

mod advise;
mod ffi;
mod mr;
mod reach;
mod work_request;

/// What the kernel's print macros put before a line.
const __LOG_PREFIX: &[u8] = b"rdma_rxe\0";
