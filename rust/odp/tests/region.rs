// SPDX-License-Identifier: GPL-2.0

//! A region of a virtual device on real memory, over the end of a window: what the device and the
//! process read is what either wrote last, whatever is taken away between; errors, counters, reaping.

use super::*;
use crate::{
    region::map::Find,
    tests::{eventually, same, workers, Protection, Random, UserMemory, PAGE},
    Access,
};
use core::mem::MaybeUninit;

/// Pages of memory, and after how many of them a window ends.
const PAGES: u64 = 24;
const FIRST_WINDOW: u64 = 10;
const BYTES: usize = (PAGES * PAGE) as usize;

/// The longest access.
const LONGEST: usize = 5 * PAGE as usize;

/// Memory over the end of a window, and a region of it.
fn region(writable: bool) -> Result<(UserMemory, Region)> {
    let memory = UserMemory::new(PAGES, 512 - FIRST_WINDOW)?;
    let access = AccessFlags::local(writable);
    let region = Region::new(&workers()?, memory.page(0), PAGES * PAGE, access)?;

    Ok((memory, region))
}

/// Reads by the device.
fn read(region: &Region, va: UserVa, bytes: &mut [u8]) -> Result {
    let len = bytes.len();
    let to = bytes.as_mut_ptr().cast::<MaybeUninit<u8>>();

    // SAFETY: The same bytes. What is written to them is initialised.
    region
        .waiting()
        .read(va, unsafe { core::slice::from_raw_parts_mut(to, len) })
}

/// A buffer of zeroes.
fn buffer(len: usize) -> Result<KVVec<u8>> {
    Ok(KVVec::from_elem(0, len, GFP_KERNEL)?)
}

/// Memory, its region, and what should be in it.
struct Compared {
    memory: UserMemory,
    region: Region,
    model: KVVec<u8>,
    bytes: KVVec<u8>,
    stamp: u64,
}

impl Compared {
    fn new() -> Result<Self> {
        let (memory, region) = region(true)?;

        Ok(Self {
            memory,
            region,
            model: buffer(BYTES)?,
            bytes: buffer(LONGEST)?,
            stamp: 0,
        })
    }

    /// Somewhere to read or write.
    fn place(random: &mut Random) -> (usize, usize) {
        let at = random.below(BYTES as u64) as usize;
        let len = random.below(LONGEST as u64 + 1) as usize;

        (at, len.min(BYTES - at))
    }

    /// Puts bytes into the model and the buffer that were not there before.
    fn new_bytes(&mut self, at: usize, len: usize) {
        let both = self.model[at..at + len].iter_mut().zip(&mut self.bytes);

        for (model, byte) in both {
            self.stamp = self
                .stamp
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(1);
            *byte = (self.stamp >> 56) as u8;
            *model = *byte;
        }
    }

    /// One of all that can happen to memory. Returns whether all that was read was right.
    fn step(&mut self, random: &mut Random) -> Result<bool> {
        let (at, len) = Self::place(random);
        let va = self.memory.at(at as u64);

        match random.below(6) {
            0 => {
                self.new_bytes(at, len);
                self.region.waiting().write(va, &self.bytes[..len])?;
            }
            1 => {
                self.new_bytes(at, len);
                self.memory.write(at as u64, &self.bytes[..len])?;
            }
            2 => {
                self.memory.read(at as u64, &mut self.bytes[..len])?;
                return Ok(self.bytes[..len] == self.model[at..at + len]);
            }
            3 => {
                let first = at as u64 / PAGE;
                let pages = random.below(4).min(PAGES - first - 1) + 1;
                self.memory.replace(first, pages, Protection::Write)?;
                let from = (first * PAGE) as usize;
                self.model[from..from + (pages * PAGE) as usize].fill(0);
            }
            _ => {
                read(&self.region, va, &mut self.bytes[..len])?;
                return Ok(self.bytes[..len] == self.model[at..at + len]);
            }
        }
        Ok(true)
    }
}

#[kunit_tests(odp_region)]
mod suite {
    use super::*;

    #[test]
    fn memory_agrees_with_a_model() -> Result {
        let mut random = Random::new("memory_agrees_with_a_model");
        let mut compared = Compared::new()?;

        for step in 0..5000 {
            let right = compared.step(&mut random)?;
            assert!(same(fmt!("step {step}"), right, true));
        }
        Ok(())
    }

    #[test]
    fn atomic_operations_are_done_once_and_in_place() -> Result {
        let (memory, region) = region(true)?;
        let mut random = Random::new("atomic_operations_are_done_once_and_in_place");
        let mut sums = [0u64; 6];

        for _ in 0..2000 {
            let i = random.below(6);
            // Around the end of the window, and the first and last words.
            let at = [0, FIRST_WINDOW * PAGE - 8, FIRST_WINDOW * PAGE][i as usize / 2]
                + (i & 1) * (PAGE / 2);
            let add = random.number();
            if random.below(20) == 0 {
                memory.replace(at / PAGE, 1, Protection::Write)?;
                for (j, sum) in sums.iter_mut().enumerate() {
                    let other = [0, FIRST_WINDOW * PAGE - 8, FIRST_WINDOW * PAGE][j / 2]
                        + (j as u64 & 1) * (PAGE / 2);
                    if other / PAGE == at / PAGE {
                        *sum = 0;
                    }
                }
            }
            let before = region
                .waiting()
                .update(memory.at(at), |word| word.fetch_add(add, Relaxed))?;
            assert!(same(fmt!("word at {at:#x}"), before, sums[i as usize]));
            sums[i as usize] = before.wrapping_add(add);
        }
        for odd in 1..8 {
            let update = region.waiting().update(memory.at(odd), |_| ());
            assert_eq!(update, Err(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn what_is_not_in_the_region_is_refused() -> Result {
        let (memory, region) = region(true)?;
        let mut bytes = buffer(LONGEST)?;
        let end = PAGES * PAGE;

        assert_eq!(read(&region, memory.at(end - 1), &mut bytes[..1]), Ok(()));
        assert_eq!(
            read(&region, memory.at(end - 1), &mut bytes[..2]),
            Err(EFAULT)
        );
        assert_eq!(read(&region, memory.at(end), &mut bytes[..1]), Err(EFAULT));
        let before = UserVa::new(memory.at(0).get() - 1);
        assert_eq!(read(&region, before, &mut bytes[..2]), Err(EFAULT));
        assert_eq!(read(&region, UserVa::new(0), &mut bytes[..1]), Err(EFAULT));
        assert_eq!(
            read(&region, UserVa::new(u64::MAX), &mut bytes[..1]),
            Err(EFAULT)
        );
        assert_eq!(
            read(&region, UserVa::new(u64::MAX - 4), &mut bytes[..9]),
            Err(EFAULT)
        );
        // Nothing is anywhere.
        assert_eq!(read(&region, UserVa::new(0), &mut []), Ok(()));
        assert_eq!(
            region.waiting().write(UserVa::new(1 << 47), &bytes[..1]),
            Err(EFAULT)
        );
        Ok(())
    }

    #[test]
    fn holes_and_read_only_memory_are_refused() -> Result {
        let (memory, region) = region(true)?;
        let mut bytes = buffer(LONGEST)?;

        memory.unmap(3, 1)?;
        memory.replace(5, 1, Protection::Read)?;
        assert_eq!(
            read(&region, memory.page(2), &mut bytes[..PAGE as usize]),
            Ok(())
        );
        let over = PAGE as usize + 1;
        assert_eq!(
            read(&region, memory.page(2), &mut bytes[..over]),
            Err(EFAULT)
        );
        assert_eq!(read(&region, memory.page(5), &mut bytes[..8]), Ok(()));
        assert_eq!(
            region.waiting().write(memory.page(5), &bytes[..8]),
            Err(EFAULT)
        );
        // It can be had once it is there.
        memory.replace(3, 3, Protection::Write)?;
        assert_eq!(read(&region, memory.page(2), &mut bytes[..over]), Ok(()));
        assert_eq!(region.waiting().write(memory.page(5), &bytes[..8]), Ok(()));
        Ok(())
    }

    #[test]
    fn a_read_only_region_is_never_written() -> Result {
        let (memory, region) = region(false)?;
        let mut bytes = buffer(16)?;

        memory.write(0, &[7; 16])?;
        assert_eq!(read(&region, memory.page(0), &mut bytes), Ok(()));
        assert!(bytes.iter().all(|byte| *byte == 7));
        assert_eq!(
            region.waiting().write(memory.page(0), &[9; 16]),
            Err(EFAULT)
        );
        assert_eq!(region.waiting().update(memory.page(0), |_| ()), Err(EFAULT));
        assert_eq!(
            region.prefetch(memory.page(0), PAGE, Access::Write),
            Err(EPERM)
        );
        memory.read(0, &mut bytes)?;
        assert!(bytes.iter().all(|byte| *byte == 7));
        Ok(())
    }

    #[test]
    fn faults_and_invalidations_are_counted() -> Result {
        let (memory, region) = region(true)?;
        let counters = region.counters();
        let faults = || {
            (
                counters.page_faults.get(),
                counters.page_faults_handled.get(),
            )
        };
        let mut bytes = buffer(LONGEST)?;

        // One window, and within it all at once.
        region
            .waiting()
            .write(memory.page(0), &bytes[..4 * PAGE as usize])?;
        assert_eq!(faults(), (4, 1));
        read(&region, memory.page(0), &mut bytes[..4 * PAGE as usize])?;
        assert_eq!(faults(), (4, 1));
        // Two windows.
        let over = 2 * PAGE as usize;
        region
            .waiting()
            .write(memory.page(FIRST_WINDOW - 1), &bytes[..over])?;
        assert_eq!(faults(), (6, 3));
        memory.unmap(0, PAGES)?;
        assert_eq!(counters.page_invalidations.get(), 6);
        assert_eq!(counters.page_invalidations_handled.get(), 2);
        assert_eq!(counters.page_prefetch.get(), 0);
        Ok(())
    }

    #[test]
    fn counters_count_what_came() {
        let counters = Counters::new();

        counters.count_fault(0);
        counters.count_fault(3);
        counters.count_invalidation(0);
        counters.count_invalidation(512);
        counters.count_invalidation(1);
        assert_eq!(counters.page_faults.get(), 3);
        assert_eq!(counters.page_faults_handled.get(), 1);
        assert_eq!(counters.page_invalidations.get(), 513);
        assert_eq!(counters.page_invalidations_handled.get(), 2);
    }

    #[test]
    fn prefetches_bring_in_what_they_are_to() -> Result {
        let (memory, region) = region(true)?;
        let (start, counters) = (memory.page(0), region.counters());
        let mut bytes = buffer(16)?;

        memory.write(2 * PAGE, &[1])?;
        memory.write(20 * PAGE, &[1])?;
        // What is resident, and then all.
        assert_eq!(
            region.prefetch(start, PAGES * PAGE, Access::Snapshot),
            Ok(())
        );
        assert_eq!(counters.page_prefetch.get(), 2);
        assert_eq!(region.prefetch(start, PAGES * PAGE, Access::Write), Ok(()));
        assert_eq!(counters.page_prefetch.get(), 2 + PAGES);
        read(&region, memory.page(7), &mut bytes)?;
        assert_eq!(counters.page_faults.get(), 0);
        // What cannot be.
        let beyond = (PAGES + 1) * PAGE;
        assert_eq!(region.prefetch(start, 0, Access::Read), Err(EINVAL));
        assert_eq!(region.prefetch(start, beyond, Access::Read), Err(EFAULT));
        assert_eq!(region.prefetch(start, u64::MAX, Access::Read), Err(EFAULT));
        memory.unmap(4, 1)?;
        assert_eq!(
            region.prefetch(start, PAGES * PAGE, Access::Read),
            Err(EFAULT)
        );
        assert_eq!(
            region.prefetch(start, PAGES * PAGE, Access::Snapshot),
            Ok(())
        );
        region.stop();
        assert_eq!(region.prefetch(start, PAGE, Access::Read), Err(ECANCELED));
        assert_eq!(region.waiting().flush(start, PAGE), Err(ECANCELED));
        Ok(())
    }

    #[test]
    fn idle_windows_are_reaped() -> Result {
        let (memory, region) = region(true)?;
        let windows = || {
            let next = |from| region.shared.windows.next(from, Find::Any);
            core::iter::successors(next(0), |last| next(last + 1)).count()
        };

        for _ in 0..50 {
            assert_eq!(windows(), 0);
            region
                .waiting()
                .write(memory.page(FIRST_WINDOW - 1), &[1; 2 * PAGE as usize])?;
            assert_eq!(windows(), 2);
            memory.replace(0, PAGES, Protection::Write)?;
            assert!(eventually(|| windows() == 0));
        }
        Ok(())
    }

    #[test]
    fn memory_outlives_its_region() -> Result {
        let (memory, region) = region(true)?;
        let mut bytes = buffer(8)?;

        region.waiting().write(memory.page(FIRST_WINDOW), &[5; 8])?;
        drop(region);
        memory.read(FIRST_WINDOW * PAGE, &mut bytes)?;
        assert!(bytes.iter().all(|byte| *byte == 5));
        memory.unmap(0, PAGES)
    }

    #[test]
    fn regions_that_cannot_be_are_refused() -> Result {
        let (memory, _region) = region(true)?;
        let new = |va: u64, len| {
            let access = AccessFlags::local(true);
            Region::new(&workers()?, UserVa::new(va), len, access).map(|_| ())
        };

        assert_eq!(new(memory.page(0).get(), 0), Err(EINVAL));
        assert_eq!(new(0, u64::MAX), Err(EOVERFLOW));
        assert_eq!(new(u64::MAX, 1), Err(EOVERFLOW));
        // What has no memory may be registered. It is found out at the first access.
        assert_eq!(new(0, 1), Ok(()));
        assert_eq!(new(1 << 47, 1 << 20), Ok(()));
        let all = Region::implicit(&workers()?, AccessFlags::local(true))?;
        assert_eq!(all.waiting().write(memory.page(1), &[1]), Ok(()));
        assert_eq!(all.waiting().write(UserVa::new(0), &[1]), Err(EFAULT));
        Ok(())
    }
}
