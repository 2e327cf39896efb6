// SPDX-License-Identifier: GPL-2.0

//! Ranges and indices against a model that is too simple to be wrong: numbers of 128 bits, which do
//! not overflow, and loops over single pages.

use super::*;
use crate::tests::{same, Random, PAGE};

/// The pages that the model looks at, one by one: those of a range that tests ask about.
const FEW: u64 = 40;

/// The end of a user address space on x86-64 with four levels of page tables.
const TASK_SIZE: u64 = (1 << 47) - PAGE;

/// [`PageRange::covering`]: the ends of the pages.
fn model_covering(va: u64, len: u64, shift: PageShift) -> Result<(u64, u64)> {
    let page = u128::from(shift.bytes());
    let (first, last) = (u128::from(va), u128::from(va) + u128::from(len));
    let start = first & !(page - 1);
    let end = (last + page - 1) & !(page - 1);

    match u64::try_from(end) {
        Err(_) | Ok(0) => Err(EOVERFLOW),
        // `start` is at most `va`.
        Ok(end) if u128::from(end) > start => Ok((start as u64, end)),
        Ok(_) => Err(EINVAL),
    }
}

/// The numbers of the pages of `range` that touch `[start, end)`: from the first of them to after
/// the last.
fn model_touched(range: &PageRange, start: u128, end: u128) -> Option<(usize, usize)> {
    let page = u128::from(range.shift().bytes());
    let mut touched = None;

    for i in 0..range.umem_pages() {
        let first = u128::from(range.start().get()) + i as u128 * page;
        if first + page > start && first < end {
            let (from, _) = touched.unwrap_or((i, i));
            touched = Some((from, i + 1));
        }
    }
    touched
}

/// Where a part lies in a range, in pages: from the first of them to after the last.
fn numbers(range: &PageRange, part: &PageRange) -> (usize, usize) {
    let page = range.shift().get();
    let number = |va: UserVa| ((va.get() - range.start().get()) >> page) as usize;

    (number(part.start()), number(part.end()))
}

/// Whether the type's invariants hold.
fn is_sound(range: &PageRange) -> bool {
    let mask = range.shift().bytes() - 1;
    let (start, end) = (range.start().get(), range.end().get());

    start < end && start & mask == 0 && end & mask == 0
}

/// A range of few pages, of any size, anywhere.
fn any_range(random: &mut Random) -> Result<PageRange> {
    loop {
        let shift = random.shift()?;
        let len = (random.below(FEW) + 1) << shift.get();
        let va = match random.coin() {
            true => random.near_an_edge(),
            false => random.of_any_length(),
        };
        if let Ok(range) = PageRange::covering(UserVa::new(va), len, shift) {
            return Ok(range);
        }
    }
}

/// An address in a range, near to it, or anywhere.
fn any_address(random: &mut Random, range: &PageRange) -> u64 {
    let near = random.below(range.bytes().saturating_mul(2));

    match random.below(4) {
        0 => range.start().get().wrapping_add(near),
        1 => range.end().get().wrapping_sub(near),
        2 => random.near_an_edge(),
        _ => range
            .start()
            .get()
            .wrapping_add(near & !(range.shift().bytes() - 1)),
    }
}

#[kunit_tests(odp_page)]
mod suite {
    use super::*;

    const ROUNDS: u32 = 20_000;

    #[test]
    fn page_shifts_are_bounded() -> Result {
        for shift in 0..=u32::MAX >> 20 {
            let is = PageShift::new(shift).map(PageShift::get);
            let should = match shift {
                12..=47 => Ok(shift),
                _ => Err(EINVAL),
            };
            assert!(same(fmt!("new({shift})"), is, should));
        }
        assert!(PageShift::new(u32::MAX).is_err());
        for shift in 12..=47 {
            let page = PageShift::new(shift)?;
            assert_eq!(page.bytes(), 1 << shift);
            assert_eq!(page.order(), shift - 12);
        }
        Ok(())
    }

    #[test]
    fn page_shift_of_pages_rounds_down() {
        let mut random = Random::new("page_shift_of_pages_rounds_down");

        assert_eq!(PageShift::of_pages(0), PageShift::BASE);
        assert_eq!(PageShift::of_pages(1), PageShift::BASE);
        assert_eq!(PageShift::of_pages(512), PageShift::TWO_MIB);
        assert_eq!(PageShift::of_pages(usize::MAX).get(), PageShift::MAX);
        for _ in 0..ROUNDS {
            let pages = random.of_any_length().max(1);
            let shift = PageShift::of_pages(pages as usize);
            let bytes = u128::from(pages) * u128::from(PAGE);

            assert!(u128::from(shift.bytes()) <= bytes);
            assert!(shift.get() == PageShift::MAX || bytes < 2 * u128::from(shift.bytes()));
        }
    }

    #[test]
    fn addresses_are_aligned_for_all_page_sizes() -> Result {
        let mut random = Random::new("addresses_are_aligned_for_all_page_sizes");

        for _ in 0..ROUNDS {
            let (va, shift) = (random.near_an_edge(), random.shift()?);
            let page = u128::from(shift.bytes());
            let down = va >> shift.get() << shift.get();
            let up = (u128::from(va) + page - 1) & !(page - 1);
            let up = u64::try_from(up).map_err(|_| EOVERFLOW);
            let va = UserVa::new(va);

            let is = (
                va.align_down(shift).get(),
                va.align_up(shift).map(UserVa::get),
            );
            assert!(same(fmt!("{va:?} in {shift:?}"), is, (down, up)));
        }
        Ok(())
    }

    #[test]
    fn addresses_do_not_wrap() {
        let last = UserVa::new(u64::MAX);
        let mut random = Random::new("addresses_do_not_wrap");

        assert_eq!(last.checked_add(0), Ok(last));
        assert_eq!(last.checked_add(1), Err(EOVERFLOW));
        assert_eq!(UserVa::new(0).checked_add(u64::MAX), Ok(last));
        for _ in 0..ROUNDS {
            let (va, len) = (random.near_an_edge(), random.near_an_edge());
            let sum = u128::from(va) + u128::from(len);
            let is = UserVa::new(va).checked_add(len).map(UserVa::get);

            assert!(same(
                fmt!("{va:#x} + {len:#x}"),
                is,
                u64::try_from(sum).map_err(|_| EOVERFLOW)
            ));
        }
    }

    #[test]
    fn covering_at_the_edges() -> Result {
        let base = PageShift::BASE;
        let of = |va, len, shift| {
            PageRange::covering(UserVa::new(va), len, shift)
                .map(|range| (range.start().get(), range.end().get()))
        };
        let last_page = !(PAGE - 1);

        // Nothing, and nothing in a page.
        assert_eq!(of(0, 0, base), Err(EOVERFLOW));
        assert_eq!(of(PAGE, 0, base), Err(EINVAL));
        assert_eq!(of(PAGE + 1, 0, base), Ok((PAGE, 2 * PAGE)));
        // One byte before and after a page's end.
        assert_eq!(of(PAGE - 1, 1, base), Ok((0, PAGE)));
        assert_eq!(of(PAGE - 1, 2, base), Ok((0, 2 * PAGE)));
        // The address space of a process, and all addresses.
        assert_eq!(of(0, TASK_SIZE, base), Ok((0, TASK_SIZE)));
        assert_eq!(
            of(TASK_SIZE - 1, 1, base),
            Ok((TASK_SIZE - PAGE, TASK_SIZE))
        );
        assert_eq!(of(0, u64::MAX, base), Err(EOVERFLOW));
        assert_eq!(of(1, u64::MAX, base), Err(EOVERFLOW));
        assert_eq!(of(u64::MAX, u64::MAX, base), Err(EOVERFLOW));
        // The last page ends at an address that there is not; the one before is the last to have.
        assert_eq!(of(last_page, 1, base), Err(EOVERFLOW));
        assert_eq!(of(last_page, PAGE, base), Err(EOVERFLOW));
        assert_eq!(
            of(last_page - 1, 1, base),
            Ok((last_page - PAGE, last_page))
        );
        assert_eq!(of(last_page - 1, 2, base), Err(EOVERFLOW));
        assert_eq!(of(0, last_page, base), Ok((0, last_page)));
        // The largest pages.
        let largest = PageShift::new(PageShift::MAX)?;
        assert_eq!(of(0, 1, largest), Ok((0, 1 << 47)));
        assert_eq!(of(!0 << 47, 0, largest), Err(EINVAL));
        assert_eq!(of(!0 << 47, 1, largest), Err(EOVERFLOW));
        Ok(())
    }

    #[test]
    fn covering_is_what_holds_the_bytes() -> Result {
        let mut random = Random::new("covering_is_what_holds_the_bytes");

        for _ in 0..ROUNDS {
            let shift = random.shift()?;
            let (va, len) = (random.near_an_edge(), random.near_an_edge());
            let is = PageRange::covering(UserVa::new(va), len, shift);
            let should = model_covering(va, len, shift);
            let ends = is.map(|range| (range.start().get(), range.end().get()));

            assert!(same(
                fmt!("covering({va:#x}, {len:#x}, {shift:?})"),
                ends,
                should
            ));
            if let (Ok(range), Ok((start, end))) = (is, should) {
                assert!(is_sound(&range));
                assert_eq!(range.shift(), shift);
                assert_eq!(range.bytes(), end - start);
                assert_eq!(range.base_pages() as u64, (end - start) / PAGE);
                assert_eq!(range.umem_pages() as u64, (end - start) >> shift.get());
            }
        }
        Ok(())
    }

    #[test]
    fn clip_and_touched_are_what_is_touched() -> Result {
        let mut random = Random::new("clip_and_touched_are_what_is_touched");

        for _ in 0..ROUNDS {
            let range = any_range(&mut random)?;
            let (start, end) = (
                any_address(&mut random, &range),
                any_address(&mut random, &range),
            );
            let should = model_touched(&range, start.into(), end.into());
            let clipped = range.clip(UserVa::new(start), UserVa::new(end));
            let (first, after) = should.unwrap_or((0, 0));
            let touched = range.touched(UserVa::new(start), UserVa::new(end));

            let is = (
                clipped.map(|part| numbers(&range, &part)),
                touched.map(PageIndex::get).eq(first..after),
            );
            assert!(same(
                fmt!("[{start:#x}, {end:#x}) of {range:?}"),
                is,
                (should, true)
            ));
            assert!(clipped.is_none_or(|part| is_sound(&part) && range.contains(&part)));
        }
        Ok(())
    }

    #[test]
    fn block_is_an_aligned_part() -> Result {
        let mut random = Random::new("block_is_an_aligned_part");

        for _ in 0..ROUNDS {
            let range = any_range(&mut random)?;
            let (va, block) = (any_address(&mut random, &range), random.shift()?);
            let start = u128::from(va & !(block.bytes() - 1));
            let should = model_touched(&range, start, start + u128::from(block.bytes()));

            let part = range.block(UserVa::new(va), block);
            let is = part.map(|part| numbers(&range, &part));
            assert!(same(
                fmt!("{va:#x} in blocks of {block:?} of {range:?}"),
                is,
                should
            ));
        }
        Ok(())
    }

    #[test]
    fn blocks_follow_one_another() -> Result {
        let mut random = Random::new("blocks_follow_one_another");

        for _ in 0..ROUNDS / 20 {
            let range = any_range(&mut random)?;
            let block = random.shift()?;
            let mut at = range.start();

            // As a prefetch goes through a region, window by window.
            while at < range.end() {
                let part = range.block(at, block).ok_or(EINVAL)?;
                assert_eq!(part.start(), at);
                assert!(range.contains(&part));
                at = part.end();
            }
            assert_eq!(at, range.end());
        }
        Ok(())
    }

    #[test]
    fn split_takes_whole_pages_and_at_least_one() -> Result {
        let mut random = Random::new("split_takes_whole_pages_and_at_least_one");

        for _ in 0..ROUNDS {
            let range = any_range(&mut random)?;
            let order = range.shift().order();
            let pages = match random.coin() {
                true => random.of_any_length() as usize,
                false => (random.below(FEW + 2) << order) as usize + random.below(2) as usize,
            };
            let (first, rest) = range.split(pages);
            let should = (pages >> order).max(1).min(range.umem_pages());

            assert!(same(
                fmt!("{pages} pages of {range:?}"),
                first.umem_pages(),
                should
            ));
            assert_eq!(first.start(), range.start());
            assert!(is_sound(&first));
            let end = match rest {
                Some(rest) => {
                    assert_eq!(rest.start(), first.end());
                    assert!(is_sound(&rest));
                    rest.end()
                }
                None => first.end(),
            };
            assert_eq!(end, range.end());
        }
        Ok(())
    }

    #[test]
    fn pieces_of_a_split_are_the_whole() -> Result {
        let mut random = Random::new("pieces_of_a_split_are_the_whole");

        for _ in 0..ROUNDS / 20 {
            let range = any_range(&mut random)?;
            let step = random.of_any_length() as usize;
            let (mut piece, mut rest) = range.split(step);
            let mut pages = piece.umem_pages();

            // As a walk goes through a range, piece by piece.
            while let Some(more) = rest {
                assert_eq!(piece.end(), more.start());
                (piece, rest) = more.split(step);
                pages += piece.umem_pages();
            }
            assert!(same(
                fmt!("pieces of {step} of {range:?}"),
                pages,
                range.umem_pages()
            ));
        }
        Ok(())
    }

    #[test]
    fn indices_count_in_both_page_sizes() -> Result {
        let mut random = Random::new("indices_count_in_both_page_sizes");

        for _ in 0..ROUNDS {
            let range = any_range(&mut random)?;
            let first = random.below(range.umem_pages() as u64);
            let pages = random.below(range.umem_pages() as u64 - first) + 1;
            let shift = range.shift();
            let at = range.start().checked_add(first << shift.get())?;
            let part = PageRange::covering(at, pages << shift.get(), shift)?;
            let mut walked = 0;

            for (i, (index, base)) in (0usize..).zip(range.indices(&part)?) {
                assert_eq!(index.get(), first as usize + i);
                assert_eq!(base.get(), i << shift.order());
                assert!(base.get() < part.base_pages());
                walked = i + 1;
            }
            assert_eq!(walked as u64, pages);
        }
        Ok(())
    }

    #[test]
    fn indices_of_what_is_not_a_part_are_refused() -> Result {
        let of =
            |va: u64, len, shift| PageRange::covering(UserVa::new(va * PAGE), len * PAGE, shift);
        let (base, huge) = (PageShift::BASE, PageShift::TWO_MIB);
        let range = of(512, 1024, base)?;
        let is = |part: &PageRange| range.indices(part).map(|indices| indices.count());

        assert_eq!(is(&range), Ok(1024));
        assert_eq!(is(&of(1535, 1, base)?), Ok(1));
        // Beside it, over its ends, around it, and in other pages.
        assert_eq!(is(&of(511, 1, base)?), Err(EINVAL));
        assert_eq!(is(&of(1536, 1, base)?), Err(EINVAL));
        assert_eq!(is(&of(511, 2, base)?), Err(EINVAL));
        assert_eq!(is(&of(1535, 2, base)?), Err(EINVAL));
        assert_eq!(is(&of(511, 1026, base)?), Err(EINVAL));
        assert_eq!(is(&of(512, 512, huge)?), Err(EINVAL));
        assert!(range.around(&of(511, 2, base)?, 8).is_err());
        Ok(())
    }

    #[test]
    fn around_is_the_rest_of_the_blocks() -> Result {
        let mut random = Random::new("around_is_the_rest_of_the_blocks");

        for _ in 0..ROUNDS {
            let range = any_range(&mut random)?;
            let all = range.umem_pages();
            let first = random.below(all as u64) as usize;
            let pages = random.below((all - first) as u64) as usize + 1;
            let block = 1usize << random.below(8);
            let shift = range.shift().get();
            let at = range.start().checked_add((first as u64) << shift)?;
            let part = PageRange::covering(at, (pages as u64) << shift, range.shift())?;
            let last = first + pages - 1;

            let should = (0..all).filter(|i| {
                let number = i / block;
                !(first..=last).contains(i) && number >= first / block && number <= last / block
            });
            let is = range.around(&part, block)?.map(PageIndex::get);
            assert!(same(
                fmt!("blocks of {block} around {pages} from {first} on of {all}"),
                is.eq(should),
                true
            ));
        }
        Ok(())
    }

    #[test]
    fn contains_is_a_partial_order() -> Result {
        let mut random = Random::new("contains_is_a_partial_order");

        for _ in 0..ROUNDS {
            let range = any_range(&mut random)?;
            let (start, end) = (
                any_address(&mut random, &range),
                any_address(&mut random, &range),
            );

            assert!(range.contains(&range));
            if let Some(part) = range.clip(UserVa::new(start), UserVa::new(end)) {
                assert!(range.contains(&part));
                assert_eq!(part.contains(&range), part == range);
            }
        }
        Ok(())
    }
}
