// SPDX-License-Identifier: GPL-2.0

//! What a file has registered: which addresses are in a range, and which handles mean what.

use crate::ranges::{Range, Ranges};
use edu_odp_uapi::EDU_ODP_MAX_RANGES;
use kernel::{prelude::*, sync::Arc};
use odp::{
    tests::{self, same, Random, UserMemory, PAGE},
    umem::AccessFlags,
    BusDevice, UserVa,
};

/// A bus device, and memory of one page.
fn device() -> Result<(Arc<BusDevice>, UserMemory)> {
    let memory = UserMemory::new(1, 0)?;

    Ok((BusDevice::new(tests::device()?)?, memory))
}

fn range(bus: &Arc<BusDevice>, start: u64, len: u64) -> Result<Arc<Range>> {
    Range::new(
        bus.clone(),
        UserVa::new(start),
        len,
        AccessFlags::local(true),
    )
}

fn ranges() -> Result<Arc<Ranges>> {
    Arc::pin_init(Ranges::new(), GFP_KERNEL)
}

#[kunit_tests(edu_odp_ranges)]
mod suite {
    use super::*;

    #[test]
    fn a_part_is_in_its_range() -> Result {
        let (bus, _memory) = device()?;
        let mut random = Random::new("a_part_is_in_its_range");

        for _ in 0..200 {
            // It need not begin or end with a page.
            let (start, len) = (random.below(1 << 40), random.below(1 << 30) + 1);
            let range = range(&bus, start, len)?;

            for _ in 0..100 {
                let around = random.below(4);
                let va = match random.below(3) {
                    0 => start.wrapping_add(around).wrapping_sub(2),
                    1 => (start + len).wrapping_add(around).wrapping_sub(2),
                    _ => start + random.below(len),
                };
                let part = match random.below(3) {
                    0 => random.below(3),
                    1 => random.near_an_edge(),
                    _ => (start + len).wrapping_sub(va).wrapping_add(random.below(3)),
                };
                let end = u128::from(va) + u128::from(part);
                let inside = va >= start && end <= u128::from(start + len);
                let should = match inside {
                    true => Ok(UserVa::new(va)),
                    false => Err(EFAULT),
                };
                assert!(same(
                    fmt!("{part:#x} from {va:#x} of {len:#x} from {start:#x}"),
                    range.part(va, part),
                    should
                ));
            }
        }
        Ok(())
    }

    #[test]
    fn all_addresses_are_in_the_range_of_all() -> Result {
        let (bus, _memory) = device()?;
        let all = Range::all(bus, AccessFlags::local(true))?;

        assert!(all.part(0, 0).is_ok());
        assert!(all.part(0, u64::MAX).is_ok());
        assert!(all.part(u64::MAX, 0).is_ok());
        assert_eq!(all.part(u64::MAX, 1), Err(EFAULT));
        assert_eq!(all.part(1, u64::MAX), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() -> Result {
        let (bus, _memory) = device()?;
        let error = |start, len| range(&bus, start, len).err();

        assert_eq!(error(PAGE, 0), Some(EINVAL));
        assert_eq!(error(u64::MAX, 2), Some(EOVERFLOW));
        assert_eq!(error(0, u64::MAX), Some(EOVERFLOW));
        bus.take_back();
        assert_eq!(error(PAGE, PAGE), Some(ENODEV));
        Ok(())
    }

    #[test]
    fn a_handle_means_its_range_and_no_other() -> Result {
        let (bus, _memory) = device()?;
        let ranges = ranges()?;
        let mut random = Random::new("a_handle_means_its_range_and_no_other");
        let mut model: KVec<(u32, Arc<Range>)> = KVec::new();
        let mut last = 0;

        for step in 0..1000 {
            if model.is_empty() || random.below(3) != 0 {
                let range = range(&bus, PAGE * (1 + random.below(100)), PAGE)?;
                let handle = ranges.add(range.clone())?;

                // One that was given back does not mean another soon.
                assert!(handle > last);
                last = handle;
                model.push((handle, range), GFP_KERNEL)?;
            } else {
                let i = random.below(model.len() as u64) as usize;
                let (handle, _range) = model.remove(i).map_err(|_| EINVAL)?;

                assert_eq!(ranges.remove(handle), Ok(()));
                assert_eq!(ranges.remove(handle), Err(ENOENT));
                assert_eq!(ranges.get(handle).err(), Some(ENOENT));
            }
            let right = model.iter().all(|(handle, range)| {
                let found = ranges.get(*handle);
                found.is_ok_and(|found| Arc::ptr_eq(&found, range))
            });
            assert!(same(fmt!("step {step}"), right, true));
        }
        assert_eq!(ranges.get(0).err(), Some(ENOENT));
        assert_eq!(ranges.remove(u32::MAX), Err(ENOENT));
        Ok(())
    }

    #[test]
    fn there_may_be_so_many() -> Result {
        let (bus, _memory) = device()?;
        let ranges = ranges()?;
        let one = range(&bus, PAGE, PAGE)?;
        let mut first = None;

        for _ in 0..EDU_ODP_MAX_RANGES {
            let handle = ranges.add(one.clone())?;
            first.get_or_insert(handle);
        }
        assert_eq!(ranges.add(one.clone()), Err(ENOSPC));
        ranges.remove(first.ok_or(EINVAL)?)?;
        assert!(ranges.add(one.clone()).is_ok());
        assert_eq!(ranges.add(one), Err(ENOSPC));
        Ok(())
    }

    #[test]
    fn a_dma_is_refused_on_what_was_removed() -> Result {
        let (bus, _memory) = device()?;
        let ranges = ranges()?;
        let (one, other) = (range(&bus, PAGE, PAGE)?, range(&bus, PAGE, PAGE)?);
        let handle = ranges.add(one.clone())?;
        let check = |handle, range| ranges.begin_dma().check(handle, range);

        assert_eq!(check(handle, &one), Ok(()));
        // The handle of another, be it of the same memory.
        assert_eq!(check(handle, &other), Err(ECANCELED));
        assert_eq!(check(handle.wrapping_add(1), &one), Err(ECANCELED));
        ranges.remove(handle)?;
        assert_eq!(check(handle, &one), Err(ECANCELED));
        Ok(())
    }
}
