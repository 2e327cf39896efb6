// SPDX-License-Identifier: GPL-2.0

//! Whoever maps memory for a device waits for it: a mapping that is passed on could be held by nobody
//! who knows when the device has done.

use odp::region::Mapping;

fn pass_on<T: Send>(_: T) {}

pub fn mapping(mapping: Mapping<'_>) {
    #[cfg(correct)]
    pass_on(mapping.address());
    #[cfg(not(correct))]
    pass_on(mapping); //~ ERROR E0277: cannot be sent between threads safely
}
