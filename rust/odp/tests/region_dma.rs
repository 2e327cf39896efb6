// SPDX-License-Identifier: GPL-2.0

//! A region of a device that does DMA, which here reaches memory at its physical addresses: what may be
//! mapped and when, that a mapping keeps its pages, and what is left when the device goes.

use super::*;
use crate::tests::{
    self, by_dma, eventually, in_another_task, same, Protection, Random, UserMemory, PAGE,
};
use kernel::{
    sync::atomic::{Acquire, Atomic, Release},
    time::{delay::fsleep, Delta, Msecs},
};

const PAGES: u64 = 24;
const FIRST_WINDOW: u64 = 10;
const LIMIT: Msecs = 60_000;

type Made = (UserMemory, Arc<BusDevice>, Region<DmaPages>);

/// Memory over the end of a window, and a region of it.
fn region(writable: bool) -> Result<Made> {
    let memory = UserMemory::new(PAGES, 512 - FIRST_WINDOW)?;
    let bus = BusDevice::new(tests::device()?)?;
    let access = AccessFlags::local(writable);
    let region = Region::of_device(bus.clone(), memory.page(0), PAGES * PAGE, access)?;

    Ok((memory, bus, region))
}

/// Maps what can be mapped of `len` bytes, with faults where they are wanted.
fn map(region: &Region<DmaPages>, va: UserVa, len: usize, access: Access) -> Result<Mapping<'_>> {
    let mut deadline = Deadline::after_msecs(LIMIT);

    loop {
        if let Some(mapping) = region.try_map(va, len, access)? {
            return Ok(mapping);
        }
        region.fault(va, len as u64, access, &mut deadline)?;
    }
}

/// Does a DMA on all of `[va, va + len)`, mapping by mapping: `each` has the bytes of each.
fn dma(
    region: &Region<DmaPages>,
    va: UserVa,
    len: usize,
    access: Access,
    mut each: impl FnMut(usize, &mut [u8]),
) -> Result {
    let mut done = 0;

    while done < len {
        let at = va.checked_add(done as u64)?;
        let mapping = map(region, at, len - done, access)?;
        if mapping.len() == 0 || mapping.len() > len - done {
            return Err(EIO);
        }
        // SAFETY: It is mapped, and the process is us.
        each(done, unsafe { by_dma(mapping.address(), mapping.len()) });
        done += mapping.len();
    }
    Ok(())
}

#[kunit_tests(odp_region_dma)]
mod suite {
    use super::*;

    #[test]
    fn dma_agrees_with_a_model() -> Result {
        const BYTES: u64 = PAGES * PAGE;
        let (memory, _bus, region) = region(true)?;
        let mut random = Random::new("dma_agrees_with_a_model");
        let mut model = KVVec::from_elem(0u8, BYTES as usize, GFP_KERNEL)?;
        let mut bytes = KVVec::from_elem(0u8, BYTES as usize, GFP_KERNEL)?;

        for step in 0..3000 {
            let at = random.below(BYTES);
            let len = (random.below(5 * PAGE) + 1).min(BYTES - at) as usize;
            let (va, all) = (memory.at(at), at as usize..at as usize + len);
            let stamp = random.number() as u8;

            match random.below(5) {
                0 | 1 => {
                    model[all].fill(stamp);
                    dma(&region, va, len, Access::Write, |_, part| part.fill(stamp))?;
                }
                2 => {
                    model[all].fill(stamp);
                    bytes[..len].fill(stamp);
                    memory.write(at, &bytes[..len])?;
                }
                3 => {
                    let first = at / PAGE;
                    memory.replace(first, 1, Protection::Write)?;
                    let page = (first * PAGE) as usize;
                    model[page..page + PAGE as usize].fill(0);
                }
                _ => {
                    dma(&region, va, len, Access::Read, |done, part| {
                        bytes[done..done + part.len()].copy_from_slice(part);
                    })?;
                    assert!(same(fmt!("step {step}"), bytes[..len] == model[all], true));
                }
            }
        }
        Ok(())
    }

    #[test]
    fn nothing_is_mapped_before_a_fault() -> Result {
        let (memory, _bus, region) = region(true)?;
        let va = memory.page(3);
        let mut deadline = Deadline::after_msecs(LIMIT);

        assert!(region.try_map(va, 8, Access::Read)?.is_none());
        assert!(region.peek(va)?.is_none());
        region.fault(va, 8, Access::Read, &mut deadline)?;
        assert!(region.try_map(va, 8, Access::Read)?.is_some());
        // What was brought in to be read is not there to be written.
        assert!(region.try_map(va, 8, Access::Write)?.is_none());
        deadline = Deadline::after_msecs(LIMIT);
        region.fault(va, 8, Access::Write, &mut deadline)?;
        let address = region
            .try_map(va, 8, Access::Write)?
            .map(|mapping| mapping.address());
        assert_eq!(
            region.peek(va)?,
            address.map(|address| (address, tests::DMA_MODE))
        );
        memory.replace(3, 1, Protection::Write)?;
        assert!(region.try_map(va, 8, Access::Read)?.is_none());
        Ok(())
    }

    #[test]
    fn a_mapping_ends_where_its_window_does() -> Result {
        let (memory, _bus, region) = region(true)?;
        let va = memory.at(FIRST_WINDOW * PAGE - 100);
        let mut deadline = Deadline::after_msecs(LIMIT);

        for access in [Access::Read, Access::Write] {
            assert_eq!(map(&region, va, 300, access)?.len(), 100);
            assert_eq!(map(&region, va, 100, access)?.len(), 100);
            assert_eq!(map(&region, va, 1, access)?.len(), 1);
        }
        assert_eq!(region.try_map(va, 0, Access::Read).err(), Some(EINVAL));
        assert_eq!(region.try_map(va, 1, Access::Snapshot).err(), Some(EINVAL));
        // Over the end of the region: the first part can be had.
        let last = memory.at(PAGES * PAGE - 10);
        assert_eq!(map(&region, last, 20, Access::Read)?.len(), 10);
        let beyond = memory.page(PAGES);
        assert!(region.try_map(beyond, 1, Access::Read)?.is_none());
        assert_eq!(
            region.fault(beyond, 1, Access::Read, &mut deadline),
            Err(EFAULT)
        );
        let mut deadline = Deadline::after_msecs(LIMIT);
        let wraps = region.fault(va, u64::MAX, Access::Read, &mut deadline);
        assert_eq!(wraps, Err(EFAULT));
        Ok(())
    }

    #[test]
    fn a_device_may_not_write_to_what_is_read_only() -> Result {
        let (memory, _bus, read_only) = region(false)?;
        let fault = |region: &Region<DmaPages>, page| {
            let mut deadline = Deadline::after_msecs(LIMIT);
            region.fault(memory.page(page), 8, Access::Write, &mut deadline)
        };

        assert_eq!(fault(&read_only, 0), Err(EPERM));
        assert_eq!(map(&read_only, memory.page(0), 8, Access::Read)?.len(), 8);
        assert!(read_only
            .try_map(memory.page(0), 8, Access::Write)?
            .is_none());
        drop(read_only);
        let (memory, _bus, region) = region(true)?;
        memory.replace(2, 1, Protection::Read)?;
        memory.unmap(3, 1)?;
        let of = |page, access| {
            let mut deadline = Deadline::after_msecs(LIMIT);
            region.fault(memory.page(page), 8, access, &mut deadline)
        };
        assert_eq!(of(2, Access::Write), Err(EPERM));
        assert_eq!(of(2, Access::Read), Ok(()));
        assert_eq!(of(3, Access::Read), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn a_mapping_keeps_its_pages() -> Result {
        static ENDED: Atomic<u64> = Atomic::new(0);
        static RIGHT: Atomic<u64> = Atomic::new(0);
        let (memory, _bus, region) = region(true)?;
        let region = Arc::new(region, GFP_KERNEL)?;
        let (other, va) = (region.clone(), memory.page(2));

        drop(map(&region, va, 8, Access::Write)?);
        ENDED.store(0, Release);
        RIGHT.store(0, Release);
        in_another_task(move || {
            if let Ok(Some(mapping)) = other.try_map(va, 8, Access::Write) {
                RIGHT.store(1, Release);
                fsleep(Delta::from_millis(50));
                // SAFETY: It is mapped, and the process waits.
                unsafe { by_dma(mapping.address(), mapping.len()) }.fill(7);
                ENDED.store(1, Release);
            }
        })?;
        assert!(eventually(|| RIGHT.load(Acquire) == 1));
        memory.replace(2, 1, Protection::Write)?;
        // It came back when the DMA had ended, which has gone to the page that was there then.
        assert_eq!(ENDED.load(Acquire), 1);
        let mut byte = [1];
        memory.read(2 * PAGE, &mut byte)?;
        assert_eq!(byte, [0]);
        assert!(region.try_map(va, 8, Access::Read)?.is_none());
        Ok(())
    }

    #[test]
    fn nothing_is_left_when_the_device_goes() -> Result {
        let (memory, bus, region) = region(true)?;
        let va = memory.page(FIRST_WINDOW - 1);

        drop(map(&region, va, 8, Access::Write)?);
        bus.take_back();
        bus.take_back();
        let mut deadline = Deadline::after_msecs(LIMIT);
        assert_eq!(region.try_map(va, 8, Access::Read).err(), Some(ENODEV));
        assert_eq!(
            region.fault(va, 8, Access::Read, &mut deadline),
            Err(ENODEV)
        );
        assert_eq!(region.prefetch(va, PAGE, Access::Read), Err(ENODEV));
        assert_eq!(region.peek(va).err(), Some(ENODEV));
        assert_eq!(BusDevice::mode(&bus).err(), Some(ENODEV));
        let access = AccessFlags::local(true);
        let another = Region::of_device(bus.clone(), memory.page(0), PAGE, access);
        assert_eq!(another.err(), Some(ENODEV));
        // Its memory is the process's alone.
        memory.replace(0, PAGES, Protection::Write)?;
        drop(region);
        Ok(())
    }
}
