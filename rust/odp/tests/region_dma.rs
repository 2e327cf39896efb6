// SPDX-License-Identifier: GPL-2.0

//! A region of a device that does DMA, which here reaches memory at its physical addresses: what may be
//! mapped and when, that a mapping keeps its pages, and what is left when the device goes.

use super::*;
use crate::tests::{
    self, by_dma, eventually, in_another_task, same, Protection, Random, UserMemory, PAGE,
};
use crate::{notifier::Invalidate, region::window::Inner};
use core::mem::{transmute, ManuallyDrop};
use kernel::{
    sync::atomic::{Acquire, Atomic, Release},
    time::{delay::fsleep, Delta, Msecs},
};

const PAGES: u64 = 24;
const FIRST_WINDOW: u64 = 10;
const LIMIT: Msecs = 60_000;

/// What a device that lives as long as the tests sees of a mapping that nobody drops.
struct Leaked {
    mapping: ManuallyDrop<Mapping<'static>>,
}

impl Leaked {
    /// `memory` is the process's, the mapping of its first window.
    fn new(memory: &UserMemory, mapping: Mapping<'_>) -> Result<Self> {
        // SAFETY: Only its lifetime changes, which the leak has ended.
        let mapping = unsafe { transmute::<Mapping<'_>, Mapping<'static>>(mapping) };
        let this = Self {
            mapping: ManuallyDrop::new(mapping),
        };
        // A new page is in a list that has a reference, until the list is full of newer ones.
        let is_mapped_only = eventually(|| {
            let others = FIRST_WINDOW..PAGES;
            let _ = memory.replace(others.start, PAGES - FIRST_WINDOW, Protection::Write);
            others
                .into_iter()
                .all(|page| memory.write(page * PAGE, &[1]).is_ok())
                && this.references() == 1
        });
        match is_mapped_only {
            true => Ok(this),
            false => Err(EIO),
        }
    }

    /// How many references there are to the page.
    fn references(&self) -> i32 {
        // CAST: A frame number fits.
        tests::references((self.mapping.address() >> PageShift::BASE.get()) as usize)
    }

    /// Whether the page is kept, though the process has it still.
    fn is_kept(&self) -> bool {
        same(fmt!("references"), self.references(), 2)
    }

    /// The device writes, after the process has given the page up. Returns whether that was kept.
    fn write(&self) -> bool {
        // SAFETY: It is mapped for ever.
        unsafe { by_dma(self.mapping.address(), self.mapping.len()) }.fill(7);
        same(fmt!("references"), self.references(), 1)
    }

    /// The mapping turns up after all.
    fn drop_late(mut self) {
        // SAFETY: Once.
        unsafe { ManuallyDrop::drop(&mut self.mapping) };
    }
}

/// The first byte of a page, as the process sees it.
fn first_byte(memory: &UserMemory, page: u64) -> Result<u8> {
    let mut byte = [1];

    memory.read(page * PAGE, &mut byte)?;
    Ok(byte[0])
}

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
    fn an_invalidation_waits_for_the_last_dma() -> Result {
        static HELD: Atomic<u64> = Atomic::new(0);
        let (memory, _bus, region) = region(true)?;
        let region = Arc::new(region, GFP_KERNEL)?;
        let (other, va) = (region.clone(), memory.page(2));

        drop(map(&region, va, 8, Access::Write)?);
        HELD.store(0, Release);
        in_another_task(move || {
            let map = || other.try_map(va, 8, Access::Write).ok().flatten();
            let (Some(one), Some(two), Some(window)) = (map(), map(), other.shared.find(0)) else {
                return;
            };
            let would_wait = Inner::would_wait(&window.write());
            HELD.store(would_wait.into(), Release);
            // Somebody waits: no DMA begins any more. What is there stays, until the last has ended.
            let waited_for = eventually(|| window.write().table().is_waited_for());
            let refused = map().is_none();
            drop(one);
            fsleep(Delta::from_millis(20));
            let there = (window.read().pages()).allows(PageIndex::from_number(2), Access::Write);
            if waited_for && refused && there {
                HELD.fetch_add(1, Release);
            }
            drop(two);
        })?;
        assert!(eventually(|| HELD.load(Acquire) == 1));
        memory.unmap(0, 4)?;
        // It came back after the end.
        assert_eq!(HELD.load(Acquire), 2);
        drop(map(&region, memory.page(5), 8, Access::Write)?);
        Ok(())
    }

    #[test]
    fn what_a_leaked_mapping_reaches_is_never_freed() -> Result {
        let (memory, _bus, region) = region(true)?;
        let leaked = Leaked::new(&memory, map(&region, memory.page(2), 8, Access::Write)?)?;

        drop(region);
        assert!(leaked.is_kept());
        // The process, which waits for nobody, and the device have no more to do with each other.
        memory.replace(2, 1, Protection::Write)?;
        assert!(leaked.write());
        assert_eq!(first_byte(&memory, 2)?, 0);
        leaked.drop_late();
        Ok(())
    }

    #[test]
    fn a_leaked_mapping_does_not_hold_up_its_process() -> Result {
        let (memory, _bus, region) = region(true)?;
        let leaked = Leaked::new(&memory, map(&region, memory.page(2), 8, Access::Write)?)?;

        memory.replace(2, 1, Protection::Write)?;
        assert!(leaked.write());
        assert_eq!(first_byte(&memory, 2)?, 0);
        // The region goes on, around it.
        dma(
            &region,
            memory.page(1),
            3 * PAGE as usize,
            Access::Write,
            |_, bytes| bytes.fill(9),
        )?;
        assert_eq!(first_byte(&memory, 2)?, 9);
        memory.replace(0, PAGES, Protection::Write)?;
        drop(region);
        leaked.drop_late();
        Ok(())
    }

    #[test]
    fn a_leaked_mapping_does_not_hold_up_its_device() -> Result {
        let (memory, bus, region) = region(true)?;
        let leaked = Leaked::new(&memory, map(&region, memory.page(2), 8, Access::Write)?)?;

        bus.take_back();
        assert!(leaked.is_kept());
        memory.replace(2, 1, Protection::Write)?;
        assert!(leaked.write());
        assert_eq!(first_byte(&memory, 2)?, 0);
        drop(region);
        leaked.drop_late();
        Ok(())
    }

    #[test]
    fn whoever_takes_all_back_waits_for_who_came_first() -> Result {
        static STATE: Atomic<u64> = Atomic::new(0);
        const FIRST: u64 = 1;
        const SECOND: u64 = 2;
        const TOO_EARLY: u64 = 4;
        const HELD: u64 = 8;
        let (memory, bus, region) = region(true)?;
        let other = BusDevice::new(tests::device()?)?;
        let access = AccessFlags::local(true);
        let busy = Region::of_device(other, memory.page(0), PAGE, access)?;

        drop(map(&region, memory.page(FIRST_WINDOW), 8, Access::Write)?);
        drop(map(&busy, memory.page(0), 8, Access::Write)?);
        STATE.store(0, Release);
        // An invalidation waits for a DMA of another device, and whoever ends a region for that.
        let va = memory.page(0);
        in_another_task(move || {
            let mapping = busy.try_map(va, 8, Access::Write);
            let window = busy.shared.find(0);
            let waited_for = || {
                window
                    .as_ref()
                    .is_some_and(|window| window.write().table().is_waited_for())
            };
            STATE.store(HELD, Release);
            let take_back = |bus: &Arc<BusDevice>, who| {
                let bus = bus.clone();
                in_another_task(move || {
                    bus.take_back();
                    STATE.fetch_add(who, Release);
                })
            };

            if eventually(waited_for) && take_back(&bus, FIRST).is_ok() {
                fsleep(Delta::from_millis(100));
                let _ = take_back(&bus, SECOND);
                fsleep(Delta::from_millis(100));
            }
            if STATE.load(Acquire) != HELD {
                STATE.fetch_add(TOO_EARLY, Release);
            }
            drop(mapping);
        })?;
        assert!(eventually(|| STATE.load(Acquire) == HELD));
        memory.unmap(0, 1)?;
        assert!(eventually(
            || STATE.load(Acquire) & (FIRST | SECOND) == FIRST | SECOND
        ));
        assert_eq!(STATE.load(Acquire), HELD | FIRST | SECOND);
        drop(region);
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
