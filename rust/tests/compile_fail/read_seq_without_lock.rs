// SPDX-License-Identifier: GPL-2.0

//! A sequence number that is checked without the lock may be out of date right after.

use odp::{IntervalNotifier, Locked};

pub fn check(notifier: &IntervalNotifier, _locked: &mut Locked<'_>) -> bool {
    let seq = notifier.read_begin();

    #[cfg(correct)]
    let proof = _locked.parts().0;
    #[cfg(not(correct))]
    let proof = notifier;

    seq.validate(proof) //~ ERROR E0277: IntervalNotifier: InvalidateLocked is not satisfied
}
