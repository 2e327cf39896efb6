// SPDX-License-Identifier: GPL-2.0

//! One time limit for an operation with retries: when it begins to run, when it ends, and that it does
//! not end before the operation had its rounds.

use super::*;

/// A limit that is long for a test.
const LONG: Msecs = 60_000;

/// A deadline that has run since `ago` jiffies, after so many collisions.
fn begun(limit: Jiffies, ago: Jiffies, rounds: u32) -> Deadline {
    Deadline {
        limit,
        end: Some(now().wrapping_sub(ago).wrapping_add(limit)),
        rounds,
        tried: true,
    }
}

fn left(deadline: &Deadline) -> Result<usize> {
    deadline.remaining().map(NonZeroUsize::get)
}

#[kunit_tests(odp_deadline)]
mod suite {
    use super::*;
    use kernel::time::{delay::fsleep, Delta};

    #[test]
    fn time_runs_from_the_first_collision() {
        let mut deadline = Deadline::after_msecs(LONG);
        let all = msecs_to_jiffies(LONG);

        // Reading a page from a slow disk is not lost time.
        fsleep(Delta::from_millis(30));
        assert_eq!(left(&deadline), Ok(all));
        deadline.collided();
        fsleep(Delta::from_millis(30));
        let after = left(&deadline);
        assert!(after.is_ok_and(|left| left < all));
        // It is the first that counts.
        deadline.collided();
        assert!(left(&deadline).is_ok_and(|left| after.is_ok_and(|after| left <= after)));
    }

    #[test]
    fn time_is_up_at_the_end_of_the_limit() {
        let limit = 1_000_000;

        for rounds in [MIN_ROUNDS + 1, 100, u32::MAX] {
            // Ticks may come between.
            let soon = left(&begun(limit, limit - 10_000, rounds));
            assert!(soon.is_ok_and(|left| (1..=10_000).contains(&left)));
            assert_eq!(left(&begun(limit, limit, rounds)), Err(EBUSY));
            assert_eq!(left(&begun(limit, limit + 1, rounds)), Err(EBUSY));
            assert_eq!(left(&begun(limit, 1 << 62, rounds)), Err(EBUSY));
        }
    }

    #[test]
    fn an_operation_has_some_rounds_however_late() {
        let limit = 1_000_000;

        for rounds in 1..=MIN_ROUNDS {
            // A task that did not run for long does not fail for it.
            assert_eq!(left(&begun(limit, 1 << 40, rounds)), Ok(limit / 4));
            assert_eq!(left(&begun(limit, limit, rounds)), Ok(limit / 4));
        }
        let late = begun(limit, limit / 2, 1);
        assert!(left(&late).is_ok_and(|left| left > limit / 4));
    }

    #[test]
    fn the_time_left_is_never_zero() {
        // Zero is for ever to C.
        for rounds in [0, 1, MIN_ROUNDS, MIN_ROUNDS + 1] {
            for ago in 0..8 {
                let is = left(&begun(4, ago, rounds));
                assert!(is.is_err() || is.is_ok_and(|left| left > 0));
            }
        }
        assert_eq!(left(&Deadline::after_msecs(0)), Err(EBUSY));
        assert!(left(&Deadline::after_msecs(1)).is_ok());
    }

    #[test]
    fn the_first_attempt_has_not_lost() -> Result {
        let mut deadline = Deadline::after_msecs(0);

        // However short the time: it has not begun.
        deadline.again()?;
        assert_eq!(deadline.rounds, 0);
        assert!(deadline.end.is_none());
        assert_eq!(deadline.again(), Err(EAGAIN));
        assert_eq!(deadline.rounds, 1);
        Ok(())
    }

    #[test]
    fn attempts_end_with_the_time() {
        let mut deadline = Deadline::after_msecs(40);
        let mut attempts = 0;

        while deadline.again().is_ok() && attempts < 1000 {
            fsleep(Delta::from_millis(1));
            attempts += 1;
        }
        assert!(attempts > MIN_ROUNDS);
        assert!(attempts < 1000);
        assert_eq!(left(&deadline), Err(EBUSY));
        // For good.
        assert_eq!(deadline.again(), Err(EAGAIN));
    }

    #[test]
    fn collisions_are_not_counted_beyond_the_last_number() {
        let mut deadline = begun(1000, 2000, u32::MAX - 1);

        deadline.collided();
        deadline.collided();
        assert_eq!(deadline.rounds, u32::MAX);
        assert_eq!(left(&deadline), Err(EBUSY));
    }
}
