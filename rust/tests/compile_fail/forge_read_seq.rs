// SPDX-License-Identifier: GPL-2.0

//! A sequence number comes from the notifier whose changes it counts.

use odp::{IntervalNotifier, ReadSeq};

pub fn begin(notifier: &IntervalNotifier) -> ReadSeq<'_> {
    #[cfg(correct)]
    return notifier.read_begin();
    #[cfg(not(correct))]
    return ReadSeq { notifier, seq: 1 }; //~ ERROR E0451: field seq of struct ReadSeq is private
}
