// SPDX-License-Identifier: GPL-2.0

//! Entries and their flags, for all combinations of flags and all orders, and what they mean for an
//! access. The layout is C's, by the constants of its header.

use super::*;
use crate::tests::{same, Random};
use kernel::prelude::*;

/// All that `enum hmm_pfn_flags` has as input flags of a walk or as its results.
const FLAGS: [usize; 6] = [
    odp_bindings::hmm_pfn_flags_HMM_PFN_VALID,
    odp_bindings::hmm_pfn_flags_HMM_PFN_WRITE,
    odp_bindings::hmm_pfn_flags_HMM_PFN_ERROR,
    odp_bindings::hmm_pfn_flags_HMM_PFN_DMA_MAPPED,
    odp_bindings::hmm_pfn_flags_HMM_PFN_P2PDMA,
    odp_bindings::hmm_pfn_flags_HMM_PFN_P2PDMA_BUS,
];

/// The flags of which bit `i` of `set` is set.
fn flags(set: usize) -> usize {
    let is_set = |i: &usize| set & (1 << i) != 0;

    (0..FLAGS.len())
        .filter(is_set)
        .fold(0, |all, i| all | FLAGS[i])
}

/// An entry as a walk leaves it: a page, the order of its mapping, flags.
fn entry(pfn: usize, order: usize, flags: usize) -> HmmPfn {
    HmmPfn::from_raw(pfn | order << HmmPfn::ORDER_SHIFT | flags)
}

/// Any entry.
fn any_entry(random: &mut Random) -> HmmPfn {
    let pfn = random.number() as usize & HmmPfn::PFN_MASK;
    let set = random.below(1 << FLAGS.len()) as usize;

    entry(pfn, random.below(32) as usize, flags(set))
}

#[kunit_tests(odp_hmm)]
mod suite {
    use super::*;

    const ROUNDS: u32 = 20_000;

    #[test]
    fn an_entry_has_room_for_all() {
        let all = FLAGS.iter().fold(0, |all, flag| all | flag);
        let order = HmmPfn::ORDER_MASK << HmmPfn::ORDER_SHIFT;

        // No two of them in the same bits, and nothing left.
        assert_eq!(FLAGS.iter().map(|flag| flag.count_ones()).sum::<u32>(), 6);
        assert_eq!(all.count_ones(), 6);
        assert_eq!(all & order, 0);
        assert_eq!(all & HmmPfn::PFN_MASK, 0);
        assert_eq!(order & HmmPfn::PFN_MASK, 0);
        assert_eq!(all | order | HmmPfn::PFN_MASK, usize::MAX);
    }

    #[test]
    fn an_entry_says_what_was_put_in() {
        let mut random = Random::new("an_entry_says_what_was_put_in");

        for _ in 0..ROUNDS {
            let pfn = random.number() as usize & HmmPfn::PFN_MASK;
            let (order, set) = (random.below(32), random.below(64) as usize);
            let entry = entry(pfn, order as usize, flags(set));

            let is = (
                entry.pfn(),
                u64::from(entry.map_order()),
                entry.is_valid(),
                entry.is_writable(),
                entry.is_dma_mapped(),
            );
            // What is writable is valid: of another page there is nothing to write to.
            let should = (pfn, order, set & 1 != 0, set & 3 == 3, set & 8 != 0);
            assert!(same(fmt!("{entry:?}"), is, should));
            assert_eq!(HmmPfn::from_raw(entry.as_raw()), entry);
        }
    }

    #[test]
    fn an_empty_entry_is_nothing() {
        let empty = HmmPfn::EMPTY;

        assert!(empty.is_empty());
        assert_eq!(empty, HmmPfn::default());
        assert!(!empty.is_valid() && !empty.is_writable());
        assert!(!empty.is_dma_mapped() && !empty.is_committed());
        // A DMA mapping that is left must not be taken for nothing, whatever else is gone.
        for flag in FLAGS {
            assert!(!HmmPfn::from_raw(flag).is_empty());
        }
    }

    #[test]
    fn accesses_are_satisfied_by_what_they_need() {
        for set in 0..1 << FLAGS.len() {
            let seen = entry(0x1234, 9, flags(set));
            let (valid, write) = (set & 1 != 0, set & 2 != 0);
            let is = [Access::Snapshot, Access::Read, Access::Write].map(|a| a.satisfied_by(seen));

            assert!(same(fmt!("{seen:?}"), is, [true, valid, valid && write]));
        }
    }

    #[test]
    fn a_walk_that_got_what_it_asked_for_satisfies() {
        for access in [Access::Snapshot, Access::Read, Access::Write] {
            // HMM fails unless all the flags that it is asked for are in the entry.
            let seen = entry(1, 0, access.request_flags());

            assert!(access.satisfied_by(seen));
        }
        assert_eq!(Access::Snapshot.request_flags(), 0);
        // One that got what a weaker access asks for does not satisfy.
        assert!(!Access::Read.satisfied_by(entry(1, 0, Access::Snapshot.request_flags())));
        assert!(!Access::Write.satisfied_by(entry(1, 0, Access::Read.request_flags())));
    }

    #[test]
    fn masks_of_the_c_interface() {
        let write = odp_bindings::hmm_pfn_flags_HMM_PFN_WRITE as u64;
        let valid = odp_bindings::hmm_pfn_flags_HMM_PFN_VALID as u64;

        assert!(!Access::mask_wants_write(0));
        assert!(!Access::mask_wants_write(valid));
        assert!(Access::mask_wants_write(write));
        assert!(Access::mask_wants_write(valid | write));
        assert!(!Access::mask_wants_write(!write));
        assert!(Access::mask_wants_write(
            Access::Write.request_flags() as u64
        ));
        assert!(!Access::mask_wants_write(
            Access::Read.request_flags() as u64
        ));
    }

    #[test]
    fn the_mark_of_a_commit_is_no_walk_s() {
        let mut random = Random::new("the_mark_of_a_commit_is_no_walk_s");

        // Orders that a mapping can have: at most that of the whole address space.
        for order in 0..=(crate::PageShift::MAX - crate::PageShift::BASE.get()).min(30) {
            for set in 0..1 << FLAGS.len() {
                assert!(!entry(7, order as usize, flags(set)).is_committed());
            }
        }
        for _ in 0..ROUNDS {
            let entry = any_entry(&mut random);
            let committed = entry.committed();

            assert!(committed.is_committed());
            assert_eq!(committed.committed(), committed);
            // It loses nothing but the order.
            let kept = |entry: HmmPfn| {
                (
                    entry.pfn(),
                    entry.is_valid(),
                    entry.is_writable(),
                    entry.is_dma_mapped(),
                )
            };
            assert!(same(fmt!("{entry:?}"), kept(committed), kept(entry)));
        }
    }

    #[test]
    fn access_grows_and_never_shrinks() {
        let mut random = Random::new("access_grows_and_never_shrinks");

        for _ in 0..ROUNDS {
            let (old, seen) = (any_entry(&mut random), any_entry(&mut random));
            let new = old.with_access_of(seen);
            let write = HmmPfn::WRITE;

            assert_eq!(new.as_raw() & !write, old.as_raw() & !write);
            assert_eq!(new.as_raw() & write, (old.as_raw() | seen.as_raw()) & write);
            assert!(!old.is_writable() || new.is_writable());
            assert_eq!(new.is_committed(), old.is_committed());
        }
    }

    #[test]
    fn a_forgotten_page_is_declared_valid_and_no_more() {
        let mut random = Random::new("a_forgotten_page_is_declared_valid_and_no_more");

        for _ in 0..ROUNDS {
            let entry = any_entry(&mut random);
            let again = entry.revalidated();

            assert!(again.is_valid());
            assert_eq!(
                again.as_raw() & !HmmPfn::VALID,
                entry.as_raw() & !HmmPfn::VALID
            );
            assert!(!entry.is_valid() || again == entry);
        }
    }

    #[test]
    fn only_looks_are_cut_into_pieces() {
        // A fault has to have all its pages at once, however many.
        assert_eq!(Access::Read.pages_at_once(), usize::MAX);
        assert_eq!(Access::Write.pages_at_once(), usize::MAX);
        assert!(Access::Snapshot.pages_at_once() >= 512);
        assert!(Access::Snapshot.pages_at_once() < usize::MAX);
    }
}
