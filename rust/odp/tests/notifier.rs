// SPDX-License-Identifier: GPL-2.0

//! The rules of the sequence number, against real memory: who is told of what, which sections are
//! valid, and what is not told where the kernel cannot wait.

use super::*;
use crate::tests::{same, watch, with_mm, Protection, Random, UserMemory, Watcher, PAGE};

type Watched = Watch<Watcher>;

/// Whether a section that began before `between` is valid after it.
fn is_valid_after(watch: &Watched, between: impl FnOnce() -> Result) -> Result<bool> {
    let seq = watch.notifier().read_begin();

    between()?;
    Ok(seq.validate(&Watcher::lock(watch)))
}

/// Calls the callback as the kernel does where it can or cannot wait. Returns whether it has done
/// what it was asked.
fn invalidate(watch: &Watched, range: &PageRange, may_sleep: bool) -> bool {
    let flags = match may_sleep {
        true => bindings::MMU_NOTIFIER_RANGE_BLOCKABLE,
        false => 0,
    };
    let range = bindings::mmu_notifier_range {
        mm: watch.notifier().mm().as_raw(),
        start: range.start().get() as usize,
        end: range.end().get() as usize,
        flags,
        event: bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR,
        owner: core::ptr::null_mut(),
    };
    // SAFETY: The notifier is inserted.
    unsafe {
        // Odd, as all numbers of invalidations are, and another one than now.
        let seq = (*watch.notifier().as_raw()).invalidate_seq.wrapping_sub(2);
        Watched::callback(watch.notifier().as_raw(), &range, seq)
    }
}

#[kunit_tests(odp_notifier)]
mod suite {
    use super::*;

    #[test]
    fn what_happens_in_the_range_is_told() -> Result {
        let memory = UserMemory::new(16, 0)?;
        let watch = watch(&memory.part(4, 8)?)?;

        memory.unmap(6, 2)?;
        let told = *Watcher::lock(&watch).told;
        assert!(told.times >= 1);
        assert!(told.start <= memory.page(6) && told.end >= memory.page(8));
        // New memory in the place of old is another invalidation.
        memory.replace(4, 1, Protection::Write)?;
        assert!(Watcher::lock(&watch).told.times > told.times);
        Ok(())
    }

    #[test]
    fn what_happens_elsewhere_is_not_told() -> Result {
        let memory = UserMemory::new(16, 0)?;
        let watch = watch(&memory.part(4, 8)?)?;

        // To the very pages before and after.
        let valid = is_valid_after(&watch, || {
            memory.unmap(3, 1)?;
            memory.unmap(12, 1)
        })?;
        assert!(valid);
        assert_eq!(Watcher::lock(&watch).told.times, 0);
        Ok(())
    }

    #[test]
    fn a_section_is_valid_unless_something_went() -> Result {
        let memory = UserMemory::new(16, 0)?;
        let watch = watch(&memory.part(4, 8)?)?;

        assert!(is_valid_after(&watch, || Ok(()))?);
        assert!(!is_valid_after(&watch, || memory.unmap(4, 1))?);
        // The next one does not see it any more.
        assert!(is_valid_after(&watch, || Ok(()))?);
        // The last page, from outside too.
        assert!(!is_valid_after(&watch, || memory.unmap(11, 5))?);
        Ok(())
    }

    #[test]
    fn sections_agree_with_a_model() -> Result {
        const PAGES: u64 = 24;
        let memory = UserMemory::new(PAGES, 0)?;
        let (first, after) = (8, 16);
        let watch = watch(&memory.part(first, after - first)?)?;
        let mut random = Random::new("sections_agree_with_a_model");

        for _ in 0..500 {
            let at = random.below(PAGES);
            let pages = random.below(PAGES - at) + 1;
            let is = is_valid_after(&watch, || memory.replace(at, pages, Protection::Write))?;
            let outside = at >= after || at + pages <= first;

            assert!(same(fmt!("{pages} pages from {at} on"), is, outside));
        }
        Ok(())
    }

    #[test]
    fn another_lock_proves_nothing() -> Result {
        let memory = UserMemory::new(16, 0)?;
        let (one, other) = (watch(&memory.part(0, 8)?)?, watch(&memory.part(0, 8)?)?);

        let seq = one.notifier().read_begin();
        assert!(!seq.validate(&Watcher::lock(&other)));
        let seq = one.notifier().read_begin();
        assert!(seq.validate(&Watcher::lock(&one)));
        Ok(())
    }

    #[test]
    fn a_section_continues_another_unless_something_went() -> Result {
        let memory = UserMemory::new(16, 0)?;
        let (one, other) = (watch(&memory.part(0, 8)?)?, watch(&memory.part(0, 8)?)?);

        let earlier = one.notifier().read_begin();
        let later = one.notifier().read_begin();
        assert!(later.continues(&earlier));
        assert!(later.validate(&Watcher::lock(&one)));
        // Of another notifier, be the number the same.
        let foreign = other.notifier().read_began(earlier.seq);
        assert!(!foreign.continues(&earlier));
        assert!(!foreign.validate(&Watcher::lock(&one)));

        memory.unmap(7, 1)?;
        let later = one.notifier().read_begin();
        assert!(!later.continues(&earlier));
        assert!(!earlier.validate(&Watcher::lock(&one)));
        assert!(later.validate(&Watcher::lock(&one)));
        Ok(())
    }

    #[test]
    fn all_who_watch_are_told() -> Result {
        let memory = UserMemory::new(16, 0)?;
        let (left, right) = (watch(&memory.part(0, 9)?)?, watch(&memory.part(8, 8)?)?);
        let inner = watch(&memory.part(8, 1)?)?;

        memory.unmap(8, 1)?;
        for watch in [&left, &right, &inner] {
            assert!(Watcher::lock(watch).told.times > 0);
        }
        let before = Watcher::lock(&inner).told.times;
        memory.unmap(9, 1)?;
        assert_eq!(Watcher::lock(&inner).told.times, before);
        Ok(())
    }

    #[test]
    fn what_cannot_wait_is_not_done_while_a_device_is_busy() -> Result {
        let memory = UserMemory::new(4, 0)?;
        let range = memory.range()?;
        let watch = watch(&range)?;
        let seq = watch.notifier().read_begin();

        Watcher::lock(&watch).told.busy = true;
        assert!(!invalidate(&watch, &range, false));
        // Nothing has happened: neither was anybody told, nor is a walk spoilt by it.
        assert_eq!(Watcher::lock(&watch).told.times, 0);
        let again = watch.notifier().read_begin();
        assert!(again.continues(&seq));
        // Where it can wait it is done, and where there is nothing to wait for too.
        assert!(invalidate(&watch, &range, true));
        assert_eq!(Watcher::lock(&watch).told.times, 1);
        Watcher::lock(&watch).told.busy = false;
        assert!(invalidate(&watch, &range, false));
        assert_eq!(Watcher::lock(&watch).told.times, 2);
        assert!(!again.validate(&Watcher::lock(&watch)));
        let _ = seq;
        Ok(())
    }

    #[test]
    fn nobody_is_told_afterwards() -> Result {
        let memory = UserMemory::new(16, 0)?;
        let (one, other) = (watch(&memory.range()?)?, watch(&memory.range()?)?);

        drop(one);
        memory.unmap(0, 16)?;
        assert!(Watcher::lock(&other).told.times > 0);
        Ok(())
    }

    #[test]
    fn a_watch_wants_a_range_of_the_interval_tree() -> Result {
        let memory = UserMemory::new(1, 0)?;
        let edge =
            PageRange::covering(UserVa::new(!(2 * PAGE - 1)), PAGE, memory.range()?.shift())?;

        // Neither the first nor the last page that there can be is too much.
        for range in [
            edge,
            PageRange::covering(UserVa::new(0), PAGE, edge.shift())?,
        ] {
            let watch = watch(&range)?;
            assert!(is_valid_after(&watch, || memory.unmap(0, 1))?);
        }
        with_mm(|_| Ok(()))
    }
}
