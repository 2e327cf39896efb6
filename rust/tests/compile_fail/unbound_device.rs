// SPDX-License-Identifier: GPL-2.0

//! Only a device that is bound to its driver can be given memory: for another one there is nobody who
//! takes it back.

use kernel::{
    device::{Bound, Device},
    prelude::*,
    sync::Arc,
};
use odp::BusDevice;

#[cfg(correct)]
type Known = Device<Bound>;
#[cfg(not(correct))]
type Known = Device;

pub fn prepare(device: &Known) -> Result<Arc<BusDevice>> {
    BusDevice::new(device) //~ ERROR E0308: expected &Device<Bound>, found &Device
}
