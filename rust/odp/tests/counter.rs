// SPDX-License-Identifier: GPL-2.0

//! Counters that many tasks count at once.

use super::*;
use crate::tests::{eventually, in_another_task};
use kernel::{
    prelude::*,
    sync::atomic::{Acquire, Release},
};

/// How many tasks count.
const TASKS: u64 = 4;

/// How often each of them.
const EACH: u64 = 100_000;

#[kunit_tests(odp_counter)]
mod suite {
    use super::*;

    #[test]
    fn a_counter_wraps_around() {
        let counter = Counter::new();

        assert_eq!(counter.get(), 0);
        counter.add(0);
        assert_eq!(counter.get(), 0);
        counter.add(u64::MAX);
        assert_eq!(counter.get(), u64::MAX);
        counter.add(3);
        assert_eq!(counter.get(), 2);
    }

    #[test]
    fn debugfs_reads_the_same_number() {
        let counter = Counter::new();

        counter.add(0x1234_5678_9abc_def0);
        // SAFETY: A counter is a word, and nobody else counts.
        assert_eq!(unsafe { counter.as_ptr().read() }, counter.get());
    }

    #[test]
    fn nothing_is_lost_between_tasks() -> Result {
        static COUNTER: Counter = Counter::new();
        static ENDED: Atomic<u64> = Atomic::new(0);
        let before = COUNTER.get();

        ENDED.store(0, Relaxed);
        for task in 0..TASKS {
            in_another_task(move || {
                for _ in 0..EACH {
                    COUNTER.add(task + 1);
                }
                ENDED.fetch_add(1, Release);
            })?;
        }
        assert!(eventually(|| ENDED.load(Acquire) == TASKS));
        assert_eq!(COUNTER.get().wrapping_sub(before), EACH * (1 + 2 + 3 + 4));
        Ok(())
    }
}
