// SPDX-License-Identifier: GPL-2.0

//! Only taking the lock of a umem makes the proof that it is held.

use kernel::prelude::*;
use odp::{umem::Hold, Locked, PageRange, UmemOdp};

pub fn lock<'a>(umem: &'a UmemOdp, _range: PageRange, _hold: Hold<'a>) -> Result<Locked<'a>> {
    #[cfg(correct)]
    return umem.lock();
    #[cfg(not(correct))]
    let (range, hold) = (_range, _hold);
    #[cfg(not(correct))]
    return Ok(Locked { umem, range, hold });
    //~^ ERROR E0451: field hold of struct Locked is private
}
