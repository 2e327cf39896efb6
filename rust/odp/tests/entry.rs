// SPDX-License-Identifier: GPL-2.0

//! One page of a window: what the device may do, and when it is marked dirty, in any order of faults,
//! accesses and invalidations.

use super::*;
use crate::tests::{same, KernelPages, Random};

/// What a walk sees of a page.
fn seen(pages: &KernelPages, number: usize, write: bool) -> HmmPfn {
    let flags = match write {
        true => Access::Write.request_flags(),
        false => Access::Read.request_flags(),
    };

    HmmPfn::from_raw(pages.pfn(number) | flags)
}

/// An entry as the model has it: which page, what for, whether it was written.
#[derive(Clone, Copy, Debug)]
struct Model {
    number: usize,
    writable: bool,
    written: bool,
}

#[kunit_tests(odp_entry)]
mod suite {
    use super::*;

    const ACCESSES: [Access; 3] = [Access::Snapshot, Access::Read, Access::Write];

    #[test]
    fn an_empty_entry_allows_nothing() {
        let entry = Entry::zeroed();

        for access in ACCESSES {
            assert!(!entry.allows(access));
            assert!(entry.page(access).is_none());
        }
        assert!(!entry.unmap());
    }

    #[test]
    fn a_device_may_not_more_than_the_process_and_the_region() -> Result {
        let pages = KernelPages::new(1)?;

        for (process, region) in [(false, false), (false, true), (true, false), (true, true)] {
            let entry = Entry::zeroed();

            assert!(entry.enter(seen(&pages, 0, process), region));
            assert!(entry.allows(Access::Read));
            assert_eq!(entry.allows(Access::Write), process && region);
            assert_eq!(entry.page(Access::Write).is_some(), process && region);
            assert!(entry.unmap());
            assert_eq!(pages.was_dirtied(0), process && region);
        }
        Ok(())
    }

    #[test]
    fn only_what_was_handed_out_for_writing_is_dirty() -> Result {
        let pages = KernelPages::new(1)?;
        let entry = Entry::zeroed();

        entry.enter(seen(&pages, 0, true), true);
        entry.page(Access::Read);
        entry.unmap();
        assert!(!pages.was_dirtied(0));
        entry.enter(seen(&pages, 0, true), true);
        entry.page(Access::Write);
        // Another walk does not make that undone.
        entry.enter(seen(&pages, 0, false), true);
        entry.unmap();
        assert!(pages.was_dirtied(0));
        // Once.
        entry.enter(seen(&pages, 0, true), true);
        entry.unmap();
        assert!(!pages.was_dirtied(0));
        Ok(())
    }

    #[test]
    fn an_entry_agrees_with_a_model() -> Result {
        const PAGES: u64 = 3;
        let pages = KernelPages::new(PAGES as usize)?;
        let mut random = Random::new("an_entry_agrees_with_a_model");
        let entry = Entry::zeroed();
        let mut model: Option<Model> = None;

        for step in 0..20_000 {
            match random.below(4) {
                0 => {
                    let (write, region) = (random.coin(), random.coin());
                    // Until an invalidation it is the same page.
                    let number = model.map_or(random.below(PAGES) as usize, |old| old.number);
                    let new = entry.enter(seen(&pages, number, write), region);
                    assert_eq!(new, model.is_none());
                    model = Some(Model {
                        number,
                        writable: write && region || model.is_some_and(|old| old.writable),
                        written: model.is_some_and(|old| old.written),
                    });
                }
                1 => {
                    assert_eq!(entry.unmap(), model.is_some());
                    for number in 0..PAGES as usize {
                        let written = model.is_some_and(|old| old.written && old.number == number);
                        assert!(same(
                            fmt!("step {step}"),
                            pages.was_dirtied(number),
                            written
                        ));
                    }
                    model = None;
                }
                _ => {
                    let write = random.coin();
                    let access = match write {
                        true => Access::Write,
                        false => Access::Read,
                    };
                    let allowed = model.filter(|old| old.writable || !write);
                    if let Some(old) = model.as_mut().filter(|old| old.writable) {
                        old.written |= write;
                    }
                    // SAFETY: Only computes an address.
                    let page = allowed.map(|old| unsafe {
                        odp_bindings::pfn_to_kaddr(pages.pfn(old.number)).cast::<u8>()
                    });
                    assert!(same(
                        fmt!("step {step}: {access:?}"),
                        (
                            entry.allows(access),
                            entry.page(access).map(NonNull::as_ptr)
                        ),
                        (allowed.is_some(), page)
                    ));
                }
            }
        }
        Ok(())
    }
}
