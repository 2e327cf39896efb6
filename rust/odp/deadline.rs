// SPDX-License-Identifier: GPL-2.0

//! One time limit for an operation with several retries in it.
//!
//! C header: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use core::num::NonZeroUsize;
use kernel::{
    bindings,
    prelude::*,
    time::{msecs_to_jiffies, Jiffies, Msecs},
};

/// How long an operation may lose against concurrent ones before it gives up.
///
/// C's ODP gives each retry of a fault the full time again, so that a storm of invalidations can
/// hold a fault for ever. Here all retries of an operation share one limit. It runs from the first
/// collision: the time in which pages are read from a slow disk is not lost to anybody. And it does
/// not end before the operation had some rounds, so that a task that did not run for as long, as
/// happens in a virtual machine, does not fail for it.
#[derive(Clone)]
pub struct Deadline {
    limit: Jiffies,
    end: Option<Jiffies>,
    rounds: u32,
    tried: bool,
}

/// The collisions after which the time counts, and the share of the limit that a round has anyway.
const MIN_ROUNDS: u32 = 4;

/// The time that is left until `end`.
pub(crate) fn left_until(end: Jiffies) -> isize {
    // CAST: As in C's `time_after()`, the sign of the wrapping difference tells.
    end.wrapping_sub(now()) as isize
}

/// The time.
pub(crate) fn now() -> Jiffies {
    // SAFETY: The tick writes `jiffies` while anyone may read it; a word is read in one piece.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}

impl Deadline {
    /// A limit of so many milliseconds, not yet running.
    pub fn after_msecs(limit: Msecs) -> Self {
        Self {
            limit: msecs_to_jiffies(limit),
            end: None,
            rounds: 0,
            tried: false,
        }
    }

    /// Tells that the operation lost against another one: the time runs from the first call on.
    pub fn collided(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        self.end
            .get_or_insert_with(|| now().wrapping_add(self.limit));
    }

    /// Tells that the operation begins, or begins again: all but the first time it has lost.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is no time left for it.
    pub fn again(&mut self) -> Result {
        if self.tried {
            self.collided();
            self.remaining().map_err(|_| EAGAIN)?;
        }
        self.tried = true;
        Ok(())
    }

    /// The time that is left, in jiffies. It is never zero, which C reads as "for ever".
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is none left.
    pub fn remaining(&self) -> Result<NonZeroUsize> {
        // CAST: A limit in jiffies is far from the sign bit.
        let least = match self.rounds {
            0..=MIN_ROUNDS => (self.limit / MIN_ROUNDS as usize) as isize,
            _ => 0,
        };
        let left = match self.end {
            None => self.limit as isize,
            Some(end) => left_until(end),
        };

        usize::try_from(left.max(least))
            .ok()
            .and_then(NonZeroUsize::new)
            .ok_or(EBUSY)
    }
}

#[cfg(odp_kunit)]
#[path = "tests/deadline.rs"]
mod tests;
