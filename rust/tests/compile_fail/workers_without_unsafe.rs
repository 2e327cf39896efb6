// SPDX-License-Identifier: GPL-2.0

//! A region that is left when its module goes would have the kernel call what has been freed. That none is
//! leaked is a promise that nobody checks.

use kernel::{prelude::*, sync::Arc};
use odp::FaultWorkers;

pub fn workers() -> Result<Arc<FaultWorkers>> {
    #[cfg(correct)]
    // SAFETY: Nothing is made with it.
    unsafe {
        FaultWorkers::new()
    }
    #[cfg(not(correct))]
    FaultWorkers::new() //~ ERROR E0133: call to unsafe function
}
