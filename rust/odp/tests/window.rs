// SPDX-License-Identifier: GPL-2.0

//! The life of a window, on real memory: use, idleness and retirement, what is entered and what an
//! invalidation takes, and how far to look around.
//!
//! Nothing is asserted with the lock held: a failure ends the thread there and then.

use super::*;
use crate::{
    deadline::Deadline,
    region::{map::Find, CpuPages},
    snapshot::PfnBuffer,
    tests::{eventually, same, with_mm, Protection, Random, UserMemory},
};
use kernel::{
    sync::{rcu, Arc},
    time::Msecs,
};

const LIMIT: Msecs = 60_000;

/// A region of one window, which is in use.
struct Region {
    memory: UserMemory,
    shared: Arc<Shared<CpuPages>>,
    window: NonNull<Window<CpuPages>>,
}

// SAFETY: The window may be used by any thread, and stays while it is in use.
unsafe impl Send for Region {}
// SAFETY: As above.
unsafe impl Sync for Region {}

impl Region {
    fn new(pages: u64, least: PageShift) -> Result<Self> {
        let memory = UserMemory::new(pages, 0)?;
        let range = memory.range()?;

        with_mm(|mm| {
            let shared = Arc::pin_init(Shared::new((), mm, range, true, least), GFP_KERNEL)?;
            let made = WindowBox::new(&shared, mm, range, Memory::Patient)?;
            let window = shared
                .windows
                .insert(0, made, Memory::Patient)
                .map_err(|(error, _)| error)?;

            Ok(Self {
                memory,
                shared,
                window,
            })
        })
    }

    fn window(&self) -> &Window<CpuPages> {
        // SAFETY: It is in use, until `Region::end`.
        unsafe { self.window.as_ref() }
    }

    /// Ends the use, and the region. Returns whether the window went with its last user.
    fn end(self) -> bool {
        let last = self.window().write().leave_use();

        if last {
            // SAFETY: We were told to.
            unsafe { free(self.window) };
        }
        Shared::end(&self.shared);
        last
    }

    /// Enters what a walk sees of pages, if `between` does not spoil it.
    fn enter(
        &self,
        first: u64,
        pages: u64,
        access: Access,
        between: impl FnOnce() -> Result,
    ) -> Result<bool> {
        let mut buffer = PfnBuffer::new();
        let part = self.memory.part(first, pages)?;

        with_mm(|mm| {
            let (window, deadline) = (self.window(), Deadline::after_msecs(LIMIT));
            let notifier = window.notifier();
            let snapshot = Snapshot::walk(&mut buffer, part, notifier, mm, access, &deadline)?;

            between()?;
            window.write().enter(snapshot, self.shared.least)
        })
    }

    /// How many pages there are, by the window's own count and by looking.
    fn present(&self) -> Result<(usize, usize)> {
        let mut locked = self.window().write();
        let all = self.memory.range()?;
        let counted = locked.count(&all, Access::Read)?;

        Ok((locked.table().present, counted))
    }

    fn is_in_map(&self) -> bool {
        self.shared.windows.next(0, Find::Any).is_some()
    }
}

#[kunit_tests(odp_window)]
mod suite {
    use super::*;

    #[test]
    fn a_window_stays_while_it_is_used() -> Result {
        let region = Region::new(4, PageShift::BASE)?;
        let window = region.window();

        assert!(window.write().enter_use());
        // Retired, but not to be freed: two still use it.
        assert!(!window.write().retire());
        assert!(window.write().table().is_retired());
        assert!(!region.is_in_map());
        // Nobody else may begin.
        assert!(!window.write().enter_use());
        assert!(!window.write().retire());
        assert!(!window.write().leave_use());
        assert!(region.end());
        Ok(())
    }

    #[test]
    fn a_window_is_retired_when_it_is_idle() -> Result {
        let region = Region::new(4, PageShift::BASE)?;
        let window = region.window();

        assert!(region.enter(1, 2, Access::Write, || Ok(()))?);
        // In use, then in use no more but with pages.
        assert!(!window.write().retire_if_idle());
        assert!(!window.write().leave_use());
        assert!(!window.write().retire_if_idle());
        assert!(region.is_in_map());
        assert!(region.shared.windows.next(0, Find::Idle).is_none());
        // The last page goes: so does the window, by the reaper.
        region.memory.unmap(1, 1)?;
        assert!(region.is_in_map());
        region.memory.unmap(2, 1)?;
        assert!(eventually(|| !region.is_in_map()));
        Shared::end(&region.shared);
        Ok(())
    }

    #[test]
    fn a_window_that_nobody_used_goes_with_its_region() -> Result {
        let region = Region::new(4, PageShift::BASE)?;

        assert!(region.enter(0, 4, Access::Write, || Ok(()))?);
        // Not with its last user, as it has pages.
        assert!(!region.end());
        Ok(())
    }

    #[test]
    fn pages_are_counted_once() -> Result {
        let region = Region::new(16, PageShift::BASE)?;

        assert!(region.enter(2, 4, Access::Read, || Ok(()))?);
        assert_eq!(region.present()?, (4, 4));
        assert!(region.enter(0, 6, Access::Write, || Ok(()))?);
        assert_eq!(region.present()?, (6, 6));
        assert!(region.enter(0, 16, Access::Snapshot, || Ok(()))?);
        assert_eq!(region.present()?, (6, 6));
        // One page that is there, and three that are not.
        let counters = &region.shared.counters;
        let before = counters.page_invalidations.get();
        region.memory.unmap(5, 4)?;
        assert_eq!(region.present()?, (5, 5));
        assert_eq!(counters.page_invalidations.get(), before + 1);
        region.end();
        Ok(())
    }

    #[test]
    fn what_collided_is_not_entered() -> Result {
        let region = Region::new(16, PageShift::BASE)?;
        let replaced = || region.memory.replace(15, 1, Protection::Write);

        // Another page of the window, and yet: what was walked may be of before or after.
        assert!(!region.enter(0, 4, Access::Write, replaced)?);
        assert_eq!(region.present()?, (0, 0));
        assert!(region.enter(0, 4, Access::Write, || Ok(()))?);
        assert_eq!(region.present()?, (4, 4));
        region.end();
        Ok(())
    }

    #[test]
    fn what_the_cpu_maps_by_less_is_left_out() -> Result {
        let region = Region::new(16, PageShift::TWO_MIB)?;

        assert!(region.enter(0, 16, Access::Write, || Ok(()))?);
        assert_eq!(region.present()?, (0, 0));
        region.end();
        Ok(())
    }

    #[test]
    fn another_window_s_part_is_refused() -> Result {
        let region = Region::new(16, PageShift::BASE)?;
        let beyond = region.memory.part(15, 2)?;
        let write = || region.window().write();

        assert_eq!(write().count(&beyond, Access::Read), Err(EINVAL));
        assert_eq!(write().prepare(&beyond), Err(EINVAL));
        assert!(write().around(&beyond).is_none());
        region.end();
        Ok(())
    }

    #[test]
    fn how_far_to_look_stays_within_bounds() -> Result {
        let region = Region::new(512, PageShift::BASE)?;
        let mut random = Random::new("how_far_to_look_stays_within_bounds");
        let window = region.window();

        for _ in 0..2000 {
            let (before, enough) = (window.write().table().around, random.coin());
            window.write().looked_around(enough);
            let after = window.write().table().around;

            assert!(after.is_power_of_two());
            assert!((LEAST_AROUND..=WINDOW_PAGES).contains(&after));
            // It falls faster than it rises, but does either, unless it is at the end.
            let should = match enough {
                true => after == 2 * before || after == WINDOW_PAGES,
                false => after == before / 4 || after == LEAST_AROUND,
            };
            assert!(should);
        }
        region.end();
        Ok(())
    }

    #[test]
    fn a_look_around_is_at_more_than_what_is_wanted() -> Result {
        let region = Region::new(500, PageShift::BASE)?;
        let mut random = Random::new("a_look_around_is_at_more_than_what_is_wanted");
        let window = region.window();

        for _ in 0..2000 {
            let first = random.below(500);
            let part = region
                .memory
                .part(first, random.below(500 - first) % 40 + 1)?;
            window.write().looked_around(random.coin());
            let around = window.write().table().around as u64;
            // The block of that size around the first page, to the end of the window.
            let block = first / around * around;
            let end = (block + around).min(500);
            let whole = region.memory.part(block, end - block)?;
            let should = (whole.contains(&part) && whole != part).then_some(whole);

            assert!(same(
                fmt!("{around} around {part:?}"),
                window.write().around(&part),
                should
            ));
        }
        region.end();
        Ok(())
    }

    #[test]
    fn a_window_found_is_the_one_of_the_address() -> Result {
        let memory = UserMemory::new(1100, 500)?;
        let range = memory.range()?;

        with_mm(|mm| {
            let shared: Arc<Shared<CpuPages>> = Arc::pin_init(
                Shared::new((), mm, range, true, PageShift::BASE),
                GFP_KERNEL,
            )?;
            let mut random = Random::new("a_window_found_is_the_one_of_the_address");

            // Windows are those of the address space, however the region lies in them.
            for (page, index) in [(0, 0), (11, 0), (12, 1), (523, 1), (524, 2), (1099, 3)] {
                assert_eq!(shared.index_of(memory.page(page)), index);
            }
            for _ in 0..1000 {
                let va = UserVa::new(random.number() >> 17);
                let (first, window) = (range.start().get() >> 21, va.get() >> 21);
                let should = window.wrapping_sub(first) as usize;
                assert!(same(
                    fmt!("{va:?} in {range:?}"),
                    shared.index_of(va),
                    should
                ));
            }
            let before = shared.index_of(UserVa::new(0));
            let found = shared.windows.get(before, &rcu::read_lock()).is_some();
            assert!(!found);
            Ok(())
        })
    }
}
