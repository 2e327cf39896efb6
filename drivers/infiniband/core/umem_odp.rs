// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! On-demand paging of ib_core, served by Rust: a livepatch of the six `ib_umem_odp` functions.
//!
//! - [`ffi`]: the functions as C calls them;
//! - [`counters`]: what they did, under `/sys/kernel/debug/rust_umem_odp`;
//! - `livepatch.c`: which function of ib_core each one replaces.
//!
//! All that they do is in the crate [`odp`]. A umem has no pointer into this module, so that umems
//! made by C and by Rust live on under the other when the module comes and goes.

use kernel::{error::to_result, prelude::*};
use odp::debugfs::CounterDir;

mod counters;
mod ffi;

use counters::COUNTERS;

module! {
    type: UmemOdpModule,
    name: "rust_umem_odp",
    authors: ["The ODP in Rust developers"],
    description: "RDMA on-demand paging in Rust, as a livepatch of ib_core",
    license: "Dual BSD/GPL",
}

struct UmemOdpModule {
    _counters: CounterDir,
}

impl kernel::Module for UmemOdpModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let counters = COUNTERS.publish()?;

        // Last, and never undone here: from now on ib_core calls into this module. The module can
        // be unloaded once the patch was disabled through sysfs and no task runs it any more.
        to_result(ffi::enable_livepatch())?;
        Ok(Self {
            _counters: counters,
        })
    }
}
