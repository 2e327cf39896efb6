// SPDX-License-Identifier: GPL-2.0

//! What is asked of mappings: where the next one is, and whether all of a range are of a kind.

use super::*;
use crate::{
    tests::{same, with_mm, Protection, Random, UserMemory, PAGE},
    PageShift,
};

const PAGES: usize = 24;

#[kunit_tests(odp_vma)]
mod suite {
    use super::*;

    #[test]
    fn the_next_mapping_is_found_over_any_hole() -> Result {
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let mut random = Random::new("the_next_mapping_is_found_over_any_hole");
        let mut mapped = [true; PAGES];

        // What is beyond does not matter to the model: it looks for the first page up to the last.
        for _ in 0..500 {
            let page = random.below(PAGES as u64 - 1) as usize;
            mapped[page] = random.coin();
            match mapped[page] {
                true => memory.replace(page as u64, 1, Protection::Read)?,
                false => memory.unmap(page as u64, 1)?,
            }
            let at = random.below((PAGES as u64 - 1) * PAGE);
            let first = (at / PAGE) as usize;
            let found = (first..PAGES).find(|page| mapped[*page]);
            let should = found.map(|page| memory.at(at.max(page as u64 * PAGE)));

            let is = with_mm(|mm| Ok(first_from(mm, memory.at(at))))?;
            assert!(same(fmt!("from {at:#x}"), is, Ok(should)));
        }
        Ok(())
    }

    #[test]
    fn there_is_nothing_after_the_last_mapping() -> Result {
        let _memory = UserMemory::new(1, 0)?;

        with_mm(|mm| {
            for va in [1 << 47, 1 << 63, u64::MAX] {
                assert_eq!(first_from(mm, UserVa::new(va)), Ok(None));
            }
            Ok(())
        })
    }

    #[test]
    fn each_mapping_of_a_range_is_asked_once() -> Result {
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let asked = |range: &PageRange| {
            let starts = core::cell::RefCell::new(KVec::new());
            with_mm(|mm| {
                ReadLocked::new(mm)?.for_each(range, |vma| {
                    let start = vma.start() as u64;
                    Ok(starts.borrow_mut().push(start, GFP_KERNEL)?)
                })
            })?;
            Ok::<_, Error>(starts.into_inner())
        };

        // Three of them, and a hole.
        memory.replace(8, 4, Protection::Read)?;
        memory.unmap(20, 1)?;
        let all = asked(&memory.range()?)?;
        let should = [0, 8, 12, 21].map(|page| memory.page(page).get());
        assert_eq!(all.as_slice(), should.as_slice());
        // Parts of them.
        assert_eq!(asked(&memory.part(9, 1)?)?.as_slice(), &should[1..2]);
        assert_eq!(asked(&memory.part(7, 2)?)?.as_slice(), &should[..2]);
        assert_eq!(asked(&memory.part(11, 2)?)?.as_slice(), &should[1..3]);
        assert_eq!(asked(&memory.part(20, 1)?)?.len(), 0);
        Ok(())
    }

    #[test]
    fn the_first_refusal_ends_it() -> Result {
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let times = core::cell::Cell::new(0);

        memory.replace(8, 4, Protection::Read)?;
        let refused = with_mm(|mm| {
            ReadLocked::new(mm)?.for_each(&memory.range()?, |_| {
                times.set(times.get() + 1);
                Err(EFAULT)
            })
        });
        assert_eq!(refused, Err(EFAULT));
        assert_eq!(times.get(), 1);
        Ok(())
    }

    #[test]
    fn anonymous_memory_is_no_secret_and_not_persistent() -> Result {
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let hole = PageRange::covering(UserVa::new(PAGE), PAGE, PageShift::BASE)?;

        with_mm(|mm| {
            assert_eq!(check(mm, &memory.range()?), Ok(()));
            assert_eq!(check_persistent(mm, &memory.range()?), Err(EINVAL));
            // Where there is no memory there is none to refuse.
            assert_eq!(check(mm, &hole), Ok(()));
            assert_eq!(check_persistent(mm, &hole), Ok(()));
            Ok(())
        })
    }
}
