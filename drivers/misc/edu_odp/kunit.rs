// SPDX-License-Identifier: GPL-2.0

//! KUnit suites of what is not about the device itself: turns, ranges, and transfers, which a processor
//! does here in the place of the device's DMA engine.

#[path = "tests/ffi.rs"]
mod engine;
mod ranges;
mod transfer;
// The engine itself has other uses for it.
#[allow(dead_code)]
mod turns;

mod tests {
    mod ranges;
    mod transfer;
}
