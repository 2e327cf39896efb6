// SPDX-License-Identifier: GPL-2.0

//! Counters that files show: what is counted when, and that the numbers are nobody's memory but the
//! folder's.

use super::*;
use core::mem::ManuallyDrop;

#[kunit_tests(odp_debugfs)]
mod suite {
    use super::*;

    #[test]
    fn a_counter_counts_while_it_is_shown() -> Result {
        static COUNTER: ShownCounter = ShownCounter::new();

        for _ in 0..2 {
            COUNTER.add(1);
            assert_eq!(COUNTER.get(), 0);
            let mut dir = CounterDir::new(c"odp_kunit");
            dir.add(c"counter", &COUNTER)?;
            COUNTER.add(2);
            COUNTER.add(3);
            assert_eq!(COUNTER.get(), 5);
        }
        assert_eq!(COUNTER.get(), 0);
        Ok(())
    }

    #[test]
    fn a_counter_is_shown_once() -> Result {
        static COUNTER: ShownCounter = ShownCounter::new();
        let mut dir = CounterDir::new(c"odp_kunit");
        let mut other = CounterDir::new(c"odp_kunit_other");

        dir.add(c"counter", &COUNTER)?;
        COUNTER.add(1);
        assert_eq!(dir.add(c"again", &COUNTER), Err(EBUSY));
        assert_eq!(other.add(c"counter", &COUNTER), Err(EBUSY));
        assert_eq!(COUNTER.get(), 1);
        drop(dir);
        other.add(c"counter", &COUNTER)?;
        assert_eq!(COUNTER.get(), 0);
        Ok(())
    }

    #[test]
    fn what_a_leaked_folder_shows_stays() -> Result {
        static COUNTER: ShownCounter = ShownCounter::new();
        let mut dir = ManuallyDrop::new(CounterDir::new(c"odp_kunit"));

        dir.add(c"counter", &COUNTER)?;
        let number = COUNTER.0.load(Acquire);
        COUNTER.add(7);
        // The file reads this, whatever becomes of the module with its statics.
        // SAFETY: Nobody frees it.
        assert_eq!(unsafe { (*number).get() }, 7);
        let in_static = number.addr().abs_diff(core::ptr::from_ref(&COUNTER).addr());
        assert!(in_static >= size_of::<ShownCounter>());
        // SAFETY: Once, at the end.
        unsafe { ManuallyDrop::drop(&mut dir) };
        Ok(())
    }
}
