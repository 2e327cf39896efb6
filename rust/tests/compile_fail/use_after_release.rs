// SPDX-License-Identifier: GPL-2.0

//! A released umem is gone.

use odp::{dma::Unmapped, OwnedUmemOdp};

pub fn release(umem: OwnedUmemOdp) -> Unmapped {
    let first = umem.release();

    #[cfg(correct)]
    return first;
    #[cfg(not(correct))]
    return first.and(umem.release()); //~ ERROR E0382: use of moved value: umem
}
