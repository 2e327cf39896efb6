// SPDX-License-Identifier: GPL-2.0

//! A static goes with its module, and a folder that is leaked does not: its files would read what has been
//! freed.

use kernel::prelude::*;
#[cfg(not(correct))]
use odp::counter::Counter;
use odp::debugfs::CounterDir;
#[cfg(correct)]
use odp::debugfs::ShownCounter;

#[cfg(correct)]
static COUNTER: ShownCounter = ShownCounter::new();
#[cfg(not(correct))]
static COUNTER: Counter = Counter::new();

pub fn show(mut dir: CounterDir) {
    let _ = dir.add(c"counter", &COUNTER); //~ ERROR E0308: expected &ShownCounter, found &Counter
    core::mem::forget(dir);
}
