// SPDX-License-Identifier: GPL-2.0

//! Counting what is under way: waiting ends with the last, and not before.

use super::*;
use crate::tests::{eventually, in_another_task};
use kernel::{
    sync::{atomic::Release, Arc},
    time::{delay::fsleep, Delta},
};

/// How many operations end at the same time.
const MANY: u32 = 8;

/// Operations, and whether somebody still waits for them.
struct Waited {
    operations: InFlight,
    returned: Atomic<bool>,
}

fn waited() -> Result<Arc<Waited>> {
    let waited = Waited {
        operations: InFlight::new(),
        returned: Atomic::new(false),
    };
    Ok(Arc::new(waited, GFP_KERNEL)?)
}

/// Waits in another task.
fn wait_elsewhere(waited: &Arc<Waited>) -> Result {
    let waited = waited.clone();

    in_another_task(move || {
        let ended = waited.operations.wait();
        waited.returned.store(ended, Release);
    })
}

#[kunit_tests(odp_in_flight)]
mod suite {
    use super::*;

    #[test]
    fn nothing_is_not_waited_for() {
        let operations = InFlight::new();

        assert!(!operations.any());
        assert!(operations.wait());
        assert!(operations.begin() && operations.begin());
        operations.end();
        assert!(operations.any());
        operations.end();
        assert!(!operations.any());
        assert!(operations.wait());
    }

    #[test]
    fn what_was_leaked_is_never_forgotten() {
        let operations = InFlight::new();

        operations.number.store(MOST - 1, Relaxed);
        assert!(operations.begin());
        // The next ones would be too many, and one day none.
        assert!(!operations.begin());
        assert!(operations.any());
        operations.end();
        assert!(operations.begin());
    }

    #[test]
    fn waiting_has_an_end() {
        let operations = InFlight::new();
        let begun = |ago: Msecs| {
            let at = now().wrapping_sub(msecs_to_jiffies(ago));
            operations.begun.store(at, Relaxed);
        };

        assert!(operations.begin());
        for ago in [PATIENCE - 20, PATIENCE, 2 * PATIENCE] {
            begun(ago);
            assert!(!operations.wait());
        }
        operations.end();
        assert!(operations.wait());
        // A new one has all the time again.
        assert!(operations.begin());
        assert!(left_until(operations.begun.load(Relaxed)) > -100);
        operations.end();
    }

    #[test]
    fn waiting_ends_with_the_last() -> Result {
        let waited = waited()?;

        assert!(waited.operations.begin() && waited.operations.begin());
        wait_elsewhere(&waited)?;
        fsleep(Delta::from_millis(20));
        assert!(!waited.returned.load(Acquire));
        // Not with the first, and not when another begins before the last has ended.
        waited.operations.end();
        assert!(waited.operations.begin());
        waited.operations.end();
        fsleep(Delta::from_millis(20));
        assert!(!waited.returned.load(Acquire));
        waited.operations.end();
        assert!(eventually(|| waited.returned.load(Acquire)));
        Ok(())
    }

    #[test]
    fn no_end_is_missed() -> Result {
        for _ in 0..200 {
            let waited = waited()?;

            for _ in 0..MANY {
                assert!(waited.operations.begin());
            }
            wait_elsewhere(&waited)?;
            for _ in 0..MANY {
                let waited = waited.clone();
                in_another_task(move || waited.operations.end())?;
            }
            assert!(eventually(|| waited.returned.load(Acquire)));
            assert!(!waited.operations.any());
        }
        Ok(())
    }
}
