// SPDX-License-Identifier: GPL-2.0

//! Turns: one at a time, none for newcomers while others wait, and none when they have ended.

use super::*;
use kernel::sync::{
    atomic::{Acquire, Atomic, Full, Release},
    Arc,
};
use odp::tests::{eventually, in_another_task};

/// Turns that many tasks want.
#[pin_data]
struct Shared {
    #[pin]
    turns: Turns,
    /// How many have a turn just now, and how many had one at the same time as another.
    inside: Atomic<i32>,
    together: Atomic<i32>,
    /// How many turns there were, and how many errors.
    had: Atomic<i32>,
    refused: Atomic<i32>,
}

fn shared() -> Result<Arc<Shared>> {
    Arc::pin_init(
        pin_init!(Shared {
            turns <- Turns::new(),
            inside: Atomic::new(0),
            together: Atomic::new(0),
            had: Atomic::new(0),
            refused: Atomic::new(0),
        }),
        GFP_KERNEL,
    )
}

impl Shared {
    /// Waits until so many tasks wait for a turn.
    fn await_waiting(&self, number: usize) -> bool {
        eventually(|| self.turns.queue.lock().waiting == number)
    }

    /// Takes a turn, and does something with it.
    fn turn(&self, with: fn(&Self)) {
        let Ok(turn) = self.turns.take() else {
            self.refused.fetch_add(1, Full);
            return;
        };
        if self.inside.fetch_add(1, Full) != 0 {
            self.together.fetch_add(1, Full);
        }
        with(self);
        self.inside.fetch_sub(1, Full);
        self.had.fetch_add(1, Release);
        drop(turn);
    }
}

/// Takes `turns` turns in another task.
fn turns_elsewhere(shared: &Arc<Shared>, turns: u32, with: fn(&Shared)) -> Result {
    let shared = shared.clone();

    in_another_task(move || {
        for _ in 0..turns {
            shared.turn(with);
        }
    })
}

#[kunit_tests(edu_odp_turns)]
mod suite {
    use super::*;

    /// Has the turn for a short time.
    fn shortly(_shared: &Shared) {
        fsleep(Delta::from_micros(20));
    }

    /// Has the turn until there are no more, and a little longer.
    fn to_the_end(shared: &Shared) {
        eventually(|| shared.turns.check_open().is_err());
        fsleep(Delta::from_millis(10));
    }

    #[test]
    fn a_turn_ends_when_it_is_dropped() -> Result {
        let shared = shared()?;

        for _ in 0..3 {
            let turn = shared.turns.take()?;
            assert_eq!(turn.check_open(), Ok(()));
        }
        assert_eq!(shared.turns.check_open(), Ok(()));
        Ok(())
    }

    #[test]
    fn one_at_a_time() -> Result {
        const TASKS: i32 = 6;
        const EACH: i32 = 100;
        let shared = shared()?;

        for _ in 0..TASKS {
            turns_elsewhere(&shared, EACH as u32, shortly)?;
        }
        assert!(eventually(|| shared.had.load(Acquire) == TASKS * EACH));
        assert_eq!(shared.together.load(Acquire), 0);
        assert_eq!(shared.refused.load(Acquire), 0);
        Ok(())
    }

    #[test]
    fn a_newcomer_does_not_overtake() -> Result {
        let shared = shared()?;

        for round in 1..=20 {
            let turn = shared.turns.take()?;
            turns_elsewhere(&shared, 1, shortly)?;
            assert!(shared.await_waiting(1));
            assert_eq!(shared.had.load(Acquire), round - 1);
            drop(turn);
            let turn = shared.turns.take()?;
            assert_eq!(shared.had.load(Acquire), round);
            drop(turn);
        }
        Ok(())
    }

    #[test]
    fn closing_ends_all_waiting() -> Result {
        let shared = shared()?;
        let turn = shared.turns.take()?;

        for _ in 0..4 {
            turns_elsewhere(&shared, 1, shortly)?;
        }
        assert!(shared.await_waiting(4));
        assert_eq!(shared.refused.load(Acquire), 0);
        shared.turns.close(EIO);
        assert!(eventually(|| shared.refused.load(Acquire) == 4));
        assert_eq!(turn.check_open(), Err(EIO));
        assert_eq!(shared.turns.take().err(), Some(EIO));
        drop(turn);
        assert_eq!(shared.turns.take().err(), Some(EIO));
        assert_eq!(shared.had.load(Acquire), 0);
        Ok(())
    }

    #[test]
    fn a_device_that_is_gone_does_not_come_back() -> Result {
        let one = shared()?;

        one.turns.close(EIO);
        one.turns.close(EBUSY);
        assert_eq!(one.turns.check_open(), Err(EBUSY));
        one.turns.close(ENODEV);
        one.turns.close(EIO);
        assert_eq!(one.turns.check_open(), Err(ENODEV));
        Ok(())
    }

    #[test]
    fn the_last_turn_is_waited_for() -> Result {
        for _ in 0..10 {
            let shared = shared()?;

            turns_elsewhere(&shared, 1, to_the_end)?;
            assert!(eventually(|| shared.inside.load(Acquire) == 1));
            shared.turns.close(ENODEV);
            shared.turns.wait_for_last();
            assert_eq!(shared.had.load(Acquire), 1);
        }
        let shared = shared()?;
        // Nothing to wait for.
        shared.turns.close(ENODEV);
        shared.turns.wait_for_last();
        Ok(())
    }
}
