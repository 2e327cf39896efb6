// SPDX-License-Identifier: GPL-2.0

//! From the walk to entries that may be used, on real memory: what a walk sees for each access, that
//! it is the right pages, and that it is worth nothing once something was invalidated.

use super::*;
use crate::{
    notifier::Watch,
    tests::{same, watch, with_mm, Protection, Random, UserMemory, Watcher},
};
use kernel::time::Msecs;

const LIMIT: Msecs = 60_000;

/// What is seen of a page: whether it is there, and whether it may be written.
type Seen = Option<bool>;

/// What a walk over `range` for `access` sees, if it holds after `between`.
fn look(
    watch: &Watch<Watcher>,
    range: PageRange,
    access: Access,
    between: impl FnOnce() -> Result,
) -> Result<Result<KVec<HmmPfn>, Collision>> {
    let mut buffer = PfnBuffer::new();

    with_mm(|mm| {
        let deadline = Deadline::after_msecs(LIMIT);
        let notifier = watch.notifier();
        let snapshot = Snapshot::walk(&mut buffer, range, notifier, mm, access, &deadline)?;
        let mut entries = KVec::with_capacity(range.base_pages() + 1, GFP_KERNEL)?;

        between()?;
        let locked = <Watcher as crate::Invalidate>::lock(watch);
        let seen = match snapshot.validate(&locked) {
            Ok(seen) => seen,
            Err(collision) => return Ok(Err(collision)),
        };
        if seen.range() != &range {
            return Err(EIO);
        }
        // One more than there are, which is to be empty.
        for (i, _) in (0..=range.base_pages()).enumerate() {
            let entry = seen.get(PageIndex::from_number(i));
            entries.push_within_capacity(entry).map_err(|_| ENOMEM)?;
        }
        Ok(Ok(entries))
    })
}

/// [`look`] with nothing between, in short.
fn pages_seen(watch: &Watch<Watcher>, range: PageRange, access: Access) -> Result<KVec<Seen>> {
    let entries = look(watch, range, access, || Ok(()))?.map_err(|_| EAGAIN)?;
    let mut seen = KVec::with_capacity(entries.len(), GFP_KERNEL)?;

    for entry in entries.iter() {
        let page = entry.is_valid().then(|| entry.is_writable());
        seen.push_within_capacity(page).map_err(|_| ENOMEM)?;
    }
    Ok(seen)
}

/// The first byte of the page of an entry.
fn first_byte(entry: HmmPfn) -> u8 {
    // SAFETY: The page is the test's own, and stays.
    unsafe {
        odp_bindings::pfn_to_kaddr(entry.pfn())
            .cast::<u8>()
            .read_volatile()
    }
}

#[kunit_tests(odp_snapshot)]
mod suite {
    use super::*;

    #[test]
    fn a_buffer_has_room_for_what_is_asked() -> Result {
        let mut random = Random::new("a_buffer_has_room_for_what_is_asked");
        let mut buffer = PfnBuffer::new();

        for len in [0, 1, INLINE_PFNS] {
            assert_eq!(buffer.entries(len)?.len(), len);
            // Small walks, which are most of them, allocate nothing.
            assert_eq!(buffer.heap.len(), 0);
        }
        assert_eq!(buffer.entries(INLINE_PFNS + 1)?.len(), INLINE_PFNS + 1);
        assert!(buffer.heap.len() > INLINE_PFNS);
        for _ in 0..200 {
            let len = random.of_any_length() as usize % 10_000;
            let entries = buffer.entries(len)?;

            assert_eq!(entries.len(), len);
            entries.fill(HmmPfn::from_raw(usize::MAX));
        }
        Ok(())
    }

    #[test]
    fn a_buffer_that_cannot_be_is_refused() -> Result {
        let mut buffer = PfnBuffer::new();

        buffer.entries(100)?;
        assert_eq!(buffer.entries(usize::MAX).err(), Some(ENOMEM));
        assert_eq!(buffer.entries(1 << 50).err(), Some(ENOMEM));
        // It can go on.
        assert_eq!(buffer.entries(200)?.len(), 200);
        Ok(())
    }

    #[test]
    fn a_look_sees_what_is_there() -> Result {
        let memory = UserMemory::new(40, 0)?;
        let watch = watch(&memory.range()?)?;

        for page in [3, 17, 39] {
            memory.write(page * crate::tests::PAGE, &[1])?;
        }
        let seen = pages_seen(&watch, memory.range()?, Access::Snapshot)?;
        for (i, page) in seen.iter().enumerate() {
            let should = [3, 17, 39].contains(&i).then_some(true);
            assert!(same(fmt!("page {i}"), *page, should));
        }
        // It has brought nothing in.
        let again = pages_seen(&watch, memory.range()?, Access::Snapshot)?;
        assert_eq!(again.iter().flatten().count(), 3);
        Ok(())
    }

    #[test]
    fn a_read_brings_pages_in_and_a_write_makes_them_writable() -> Result {
        let memory = UserMemory::new(20, 0)?;
        let watch = watch(&memory.range()?)?;

        // Pages that nobody has written to are all the same one, of zeroes.
        let read = pages_seen(&watch, memory.part(0, 18)?, Access::Read)?;
        assert_eq!(read.iter().flatten().count(), 18);
        assert_eq!(read.get(18), Some(&None));
        let written = pages_seen(&watch, memory.part(5, 3)?, Access::Write)?;
        assert_eq!(
            written
                .iter()
                .flatten()
                .filter(|writable| **writable)
                .count(),
            3
        );

        let seen = pages_seen(&watch, memory.range()?, Access::Snapshot)?;
        for (i, page) in seen.iter().enumerate() {
            let should = match i {
                5..=7 => Some(true),
                0..=17 => Some(false),
                _ => None,
            };
            assert!(same(fmt!("page {i}"), *page, should));
        }
        Ok(())
    }

    #[test]
    fn entries_are_of_the_right_pages() -> Result {
        let memory = UserMemory::new(64, 0)?;
        let watch = watch(&memory.range()?)?;
        let mut random = Random::new("entries_are_of_the_right_pages");

        for page in 0..64u8 {
            memory.write(u64::from(page) * crate::tests::PAGE, &[page])?;
        }
        for _ in 0..100 {
            let first = random.below(64);
            let pages = random.below(64 - first) + 1;
            let part = memory.part(first, pages)?;
            let entries = look(&watch, part, Access::Read, || Ok(()))?.map_err(|_| EAGAIN)?;

            for (i, entry) in entries.iter().take(pages as usize).enumerate() {
                assert!(entry.is_valid());
                let should = first as usize + i;
                assert!(same(
                    fmt!("page {i}"),
                    usize::from(first_byte(*entry)),
                    should
                ));
            }
            // Beyond the end.
            assert_eq!(entries.last(), Some(&HmmPfn::EMPTY));
        }
        Ok(())
    }

    #[test]
    fn what_is_not_allowed_is_refused() -> Result {
        let memory = UserMemory::new(8, 0)?;
        let watch = watch(&memory.range()?)?;

        memory.replace(2, 2, Protection::Read)?;
        memory.unmap(5, 1)?;
        let of = |first, pages, access| -> Result<usize> {
            let seen = pages_seen(&watch, memory.part(first, pages)?, access)?;
            Ok(seen.iter().flatten().count())
        };
        assert_eq!(of(0, 4, Access::Write), Err(EPERM));
        assert_eq!(of(0, 4, Access::Read), Ok(4));
        assert_eq!(of(4, 2, Access::Read), Err(EFAULT));
        assert_eq!(of(4, 1, Access::Write), Ok(1));
        // A look passes over a hole.
        assert_eq!(of(0, 8, Access::Snapshot), Ok(5));
        Ok(())
    }

    #[test]
    fn a_walk_that_collided_is_worth_nothing() -> Result {
        let memory = UserMemory::new(8, 0)?;
        let watch = watch(&memory.part(2, 4)?)?;
        let part = memory.part(3, 1)?;
        let holds = |between: &dyn Fn() -> Result| -> Result<bool> {
            Ok(look(&watch, part, Access::Write, between)?.is_ok())
        };

        assert!(holds(&|| Ok(()))?);
        // In the page, in another one that is watched, elsewhere.
        assert!(!holds(&|| memory.replace(3, 1, Protection::Write))?);
        assert!(!holds(&|| memory.replace(5, 1, Protection::Write))?);
        assert!(holds(&|| memory.replace(6, 2, Protection::Write))?);
        // The next one sees the new page.
        assert!(holds(&|| Ok(()))?);
        Ok(())
    }

    #[test]
    fn what_is_not_watched_cannot_be_walked() -> Result {
        const PAGES: u64 = 16;
        let memory = UserMemory::new(PAGES, 0)?;
        let (first, after) = (4, 12);
        let watch = watch(&memory.part(first, after - first)?)?;
        let mut random = Random::new("what_is_not_watched_cannot_be_walked");

        // Nobody would tell that it went.
        let gone = memory.part(13, 1)?;
        let stale = look(&watch, gone, Access::Write, || memory.unmap(13, 1));
        assert_eq!(stale.map(|seen| seen.is_ok()), Err(EINVAL));
        for _ in 0..200 {
            let at = random.below(PAGES);
            let pages = random.below(PAGES - at) + 1;
            let seen = look(&watch, memory.part(at, pages)?, Access::Snapshot, || Ok(()));
            let watched = first <= at && at + pages <= after;
            let should = if watched { Ok(true) } else { Err(EINVAL) };

            assert!(same(
                fmt!("{pages} pages from {at} on"),
                seen.map(|seen| seen.is_ok()),
                should
            ));
        }
        Ok(())
    }

    #[test]
    fn pieces_are_one_snapshot_unless_something_went() -> Result {
        let memory = UserMemory::new(8, 0)?;
        let watch = watch(&memory.range()?)?;
        let deadline = Deadline::after_msecs(LIMIT);
        let (mut one, mut two) = (PfnBuffer::new(), PfnBuffer::new());

        with_mm(|mm| {
            let notifier = watch.notifier();
            let begun = notifier.read_begin();
            let part = memory.part(0, 4)?;
            let first = Snapshot::walk(&mut one, part, notifier, mm, Access::Write, &deadline)?;
            assert!(first.continues(&begun));
            memory.unmap(7, 1)?;
            let part = memory.part(4, 3)?;
            let second = Snapshot::walk(&mut two, part, notifier, mm, Access::Write, &deadline)?;
            // Each was good when it was walked, but the two together never were.
            assert!(!second.continues(&begun));
            let locked = <Watcher as crate::Invalidate>::lock(&watch);
            let hold = (
                first.validate(&locked).is_ok(),
                second.validate(&locked).is_ok(),
            );
            drop(locked);
            assert_eq!(hold, (false, true));
            Ok(())
        })
    }

    #[test]
    fn snapshots_agree_with_a_model() -> Result {
        const PAGES: usize = 32;
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let watch = watch(&memory.range()?)?;
        let mut random = Random::new("snapshots_agree_with_a_model");
        let mut model: [Seen; PAGES] = [None; PAGES];

        for _ in 0..500 {
            let first = random.below(PAGES as u64);
            let pages = random.below(PAGES as u64 - first) + 1;
            let (from, to) = (first as usize, (first + pages) as usize);
            let part = memory.part(first, pages)?;
            let access = match random.below(4) {
                0 => {
                    memory.replace(first, pages, Protection::Write)?;
                    model[from..to].fill(None);
                    Access::Snapshot
                }
                1 => Access::Snapshot,
                2 => {
                    for page in &mut model[from..to] {
                        *page = page.or(Some(false));
                    }
                    Access::Read
                }
                _ => {
                    model[from..to].fill(Some(true));
                    Access::Write
                }
            };
            let seen = pages_seen(&watch, part, access)?;
            assert!(same(
                fmt!("{access:?} of {pages} pages from {first} on"),
                seen.get(..pages as usize),
                Some(&model[from..to])
            ));
        }
        Ok(())
    }
}
