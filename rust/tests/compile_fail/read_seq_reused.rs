// SPDX-License-Identifier: GPL-2.0

//! A sequence number says nothing of what was read after it was checked.

use odp::{IntervalNotifier, Locked};

pub fn check(notifier: &IntervalNotifier, locked: &mut Locked<'_>) -> bool {
    let hold = locked.parts().0;
    let seq = notifier.read_begin();
    let first = seq.validate(hold);

    #[cfg(correct)]
    let seq = notifier.read_begin();
    first && seq.validate(hold) //~ ERROR E0382: use of moved value: seq
}
