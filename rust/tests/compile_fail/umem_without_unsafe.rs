// SPDX-License-Identifier: GPL-2.0

//! A umem is an object that was set up and registered, which C code has to vouch for.

use kernel::{prelude::*, types::Opaque};
use odp::UmemOdp;

pub fn borrow(raw: &mut Opaque<odp_bindings::ib_umem_odp>) -> Result<&UmemOdp> {
    #[cfg(correct)]
    // SAFETY: This is compiled, not run.
    return unsafe { UmemOdp::from_raw(raw.get()) };
    #[cfg(not(correct))]
    return UmemOdp::from_raw(raw.get()); //~ ERROR E0133: call to unsafe function UmemOdp::from_raw
}
