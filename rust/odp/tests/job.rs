// SPDX-License-Identifier: GPL-2.0

//! Page faults in workers: who parks, who is told, and who is ended, on real memory. A fault that
//! nobody serves is one of an address space whose mmap lock is held for writing.

use super::*;
use crate::{
    region::{missing::Parked, FaultWorkers},
    tests::{eventually, Protection, UserMemory, PAGE},
    umem::AccessFlags,
};
use core::{
    mem::MaybeUninit,
    task::{RawWaker, RawWakerVTable},
};
use kernel::{bindings, sync::ArcBorrow};

/// Pages of memory.
const PAGES: u64 = 300;

/// A waker that counts.
static COUNTS: RawWakerVTable = RawWakerVTable::new(
    |count| RawWaker::new(count, &COUNTS),
    |count| wake(count.cast()),
    |count| wake(count.cast()),
    |_| (),
);

fn wake(count: *const Atomic<i32>) {
    // SAFETY: The counter outlives the waker, and all who have parked with it.
    unsafe { &*count }.fetch_add(1, Relaxed);
}

/// Memory, a region of it, and workers for that alone.
struct Setting {
    region: Option<Region>,
    memory: UserMemory,
    workers: Arc<FaultWorkers>,
    woken: KBox<Atomic<i32>>,
}

impl Setting {
    fn new() -> Result<Self> {
        let memory = UserMemory::new(PAGES, 0)?;
        // SAFETY: Ended by `Setting::end`, in the test.
        let workers = unsafe { FaultWorkers::new()? };
        let access = AccessFlags::local(true);
        let region = Region::new(&workers, memory.page(0), PAGES * PAGE, access)?;

        let all = Self {
            region: Some(region),
            memory,
            workers,
            woken: KBox::new(Atomic::new(0), GFP_KERNEL)?,
        };
        // The window, which the first notifier wants the mmap lock for: some tests hold it.
        all.write_once(PAGES - 1)?;
        all.woken.store(0, Relaxed);
        Ok(all)
    }

    fn region(&self) -> Result<&Region> {
        self.region.as_ref().ok_or(EINVAL)
    }

    fn waker(&self) -> Waker {
        let count: *const Atomic<i32> = &*self.woken;
        // SAFETY: The functions are for such a pointer.
        unsafe { Waker::from_raw(RawWaker::new(count.cast(), &COUNTS)) }
    }

    fn woken(&self) -> i32 {
        self.woken.load(Relaxed)
    }

    /// Writes to a page, as a device that parks.
    fn write(&self, parked: &mut Parked, page: u64) -> Result {
        let waker = self.waker();
        let mut io = self.region()?.parking(parked, &waker);
        io.write(self.memory.page(page), &[page as u8; 8])
    }

    /// The same, as often as it takes.
    fn write_in_the_end(&self, parked: &mut Parked, page: u64) -> Result {
        loop {
            match self.write(parked, page) {
                Err(EINPROGRESS) => assert!(eventually(|| !parked.is_waiting())),
                result => return result,
            }
        }
    }

    /// The same, by who has not parked yet.
    fn write_once(&self, page: u64) -> Result {
        self.write_in_the_end(&mut Parked::nowhere(), page)
    }

    /// How many jobs there are, and how many of them are in a worker.
    fn jobs(&self) -> Result<(usize, usize)> {
        let list = self.region()?.jobs.list.lock();
        let in_worker = |job: &ArcBorrow<'_, Job>| job.state.lock().worker.is_some();

        Ok((
            list.jobs.iter().count(),
            list.jobs.iter().filter(in_worker).count(),
        ))
    }

    /// Waits for the end of all jobs.
    fn has_no_jobs(&self) -> bool {
        eventually(|| self.jobs() == Ok((0, 0)))
    }

    /// Ends the region. Returns whether somebody had to be waited for.
    fn end(mut self) -> bool {
        let mut told = 0;

        if let Some(region) = self.region.take() {
            region.stop();
        }
        self.workers.end(|_| told += 1);
        told != 0
    }
}

/// The mmap lock of the current task's address space, held for writing: no page fault is served.
struct Unserved(*mut bindings::rw_semaphore);

impl Unserved {
    fn new() -> Result<Self> {
        let current = kernel::current!();
        let mm = current.mm().ok_or(EINVAL)?.as_raw();
        // SAFETY: The address space is the current task's.
        unsafe {
            let lock = &raw mut (*mm).__bindgen_anon_1.mmap_lock;
            bindings::down_write(lock);
            Ok(Self(lock))
        }
    }
}

impl Drop for Unserved {
    fn drop(&mut self) {
        // SAFETY: Taken by `new`, by the same task.
        unsafe { bindings::up_write(self.0) };
    }
}

#[kunit_tests(odp_job)]
mod suite {
    use super::*;

    #[test]
    fn who_parks_is_told_and_goes_on() -> Result {
        let all = Setting::new()?;
        let mut parked = Parked::nowhere();
        let unserved = Unserved::new()?;

        assert_eq!(all.write(&mut parked, 3), Err(EINPROGRESS));
        assert!(parked.is_waiting());
        drop(unserved);
        assert!(eventually(|| !parked.is_waiting()));
        assert_eq!(all.woken(), 1);
        assert_eq!(all.write(&mut parked, 3), Ok(()));
        assert!(!parked.is_waiting());
        assert!(all.has_no_jobs());
        assert_eq!(all.woken(), 1);

        // Nobody parks for a page that the device has, nor for one that can be had at once.
        assert_eq!(all.write(&mut parked, 4), Ok(()));
        assert_eq!(all.write(&mut parked, 3), Ok(()));
        assert!(!all.end());
        Ok(())
    }

    #[test]
    fn what_can_be_had_at_once_needs_no_worker() -> Result {
        let all = Setting::new()?;
        let mut parked = Parked::nowhere();

        for page in 0..PAGES {
            all.memory.write(page * PAGE, &[1])?;
        }
        for page in 0..PAGES {
            assert_eq!(all.write(&mut parked, page), Ok(()));
            all.memory.replace(page, 1, Protection::Write)?;
            all.memory.write(page * PAGE, &[1])?;
        }
        for page in 0..PAGES {
            all.memory.replace(page, 1, Protection::Write)?;
            assert_eq!(all.write(&mut parked, page), Ok(()));
        }
        assert_eq!(all.woken(), 0);
        assert!(!all.end());
        Ok(())
    }

    #[test]
    fn what_cannot_be_had_is_an_error() -> Result {
        let all = Setting::new()?;

        all.memory.unmap(7, 1)?;
        assert_eq!(all.write_once(7), Err(EFAULT));
        all.memory.replace(8, 1, Protection::Read)?;
        assert_eq!(all.write_once(8), Err(EFAULT));
        assert_eq!(all.write_once(9), Ok(()));
        assert!(!all.end());
        Ok(())
    }

    #[test]
    fn an_operation_may_be_of_several_accesses() -> Result {
        let all = Setting::new()?;
        let mut parked = Parked::nowhere();

        all.memory.unmap(20, 1)?;
        assert_eq!(all.write(&mut parked, 20), Err(EINPROGRESS));
        // The first is done again while the second one's page is waited for, and when it has come.
        assert_eq!(all.write(&mut parked, 4), Ok(()));
        assert!(eventually(|| !parked.is_waiting()));
        assert_eq!(all.write(&mut parked, 4), Ok(()));
        assert_eq!(all.write(&mut parked, 20), Err(EFAULT));
        assert_eq!(all.woken(), 1);
        assert!(!all.end());
        Ok(())
    }

    #[test]
    fn who_leaves_is_not_told_and_ends_the_worker() -> Result {
        let all = Setting::new()?;
        let unserved = Unserved::new()?;

        for round in 0..20 {
            let mut parked = Parked::nowhere();
            assert_eq!(all.write(&mut parked, round), Err(EINPROGRESS));
            if round & 1 == 0 {
                assert!(eventually(|| all.jobs() == Ok((1, 1))));
            }
            assert_eq!(all.write(&mut parked, round), Err(EINPROGRESS));
            assert!(parked.is_waiting());
            parked.leave();
            assert!(all.has_no_jobs());
        }
        assert_eq!(all.woken(), 0);
        drop(unserved);
        assert_eq!(all.write_once(0), Ok(()));
        assert!(!all.end());
        Ok(())
    }

    #[test]
    fn a_region_that_is_stopped_tells_and_ends_the_worker() -> Result {
        let all = Setting::new()?;
        let unserved = Unserved::new()?;
        let mut parked = Parked::nowhere();

        assert_eq!(all.write(&mut parked, 1), Err(EINPROGRESS));
        assert!(eventually(|| all.jobs() == Ok((1, 1))));
        all.region()?.stop();
        assert_eq!(all.woken(), 1);
        assert!(all.has_no_jobs());
        assert_eq!(all.write(&mut parked, 1), Err(EFAULT));
        assert_eq!(all.write(&mut parked, 1), Err(EFAULT));
        let later = all
            .region()?
            .prefetch_later(all.memory.page(0), PAGE, Access::Write);
        assert_eq!(later, Err(ECANCELED));
        // Nobody has to be waited for, though the page fault is not served.
        assert!(!all.end());
        drop(unserved);
        Ok(())
    }

    #[test]
    fn a_page_that_goes_again_is_not_tried_for_ever() -> Result {
        let all = Setting::new()?;
        let mut parked = Parked::nowhere();
        let mut result = Err(EINPROGRESS);

        for _ in 0..100_000 {
            let unserved = Unserved::new()?;
            result = all.write(&mut parked, 5);
            drop(unserved);
            if result != Err(EINPROGRESS) {
                break;
            }
            assert!(eventually(|| !parked.is_waiting()));
            all.memory.replace(5, 1, Protection::Write)?;
        }
        assert_eq!(result, Err(EAGAIN));
        assert_eq!(all.write_once(5), Ok(()));
        assert!(!all.end());
        Ok(())
    }

    #[test]
    fn a_process_has_so_many_workers_and_no_more() -> Result {
        const JOBS: usize = 200;

        let all = Setting::new()?;
        let unserved = Unserved::new()?;
        let mut parked = KVec::with_capacity(JOBS, GFP_KERNEL)?;

        for page in 0..JOBS {
            let mut one = Parked::nowhere();
            assert_eq!(all.write(&mut one, page as u64), Err(EINPROGRESS));
            parked.push(one, GFP_KERNEL)?;
        }
        for _ in 0..JOBS {
            all.region()?
                .prefetch_later(all.memory.page(0), PAGES * PAGE, Access::Read)?;
        }
        assert!(eventually(|| all.jobs() == Ok((2 * JOBS, 64 + 16))));
        drop(unserved);
        assert!(all.has_no_jobs());
        assert_eq!(all.woken(), JOBS as i32);
        for (page, one) in parked.iter_mut().enumerate() {
            assert_eq!(all.write_in_the_end(one, page as u64), Ok(()));
        }
        drop(parked);
        assert!(!all.end());
        Ok(())
    }

    #[test]
    fn a_prefetch_is_waited_for_or_not() -> Result {
        let all = Setting::new()?;
        let (start, len) = (all.memory.page(0), PAGES * PAGE);
        let counter = &all.region()?.counters().page_prefetch;

        assert_eq!(
            all.region()?
                .prefetch_and_wait(start, len, Access::Write, &|| true),
            Ok(())
        );
        assert_eq!(counter.get(), PAGES);
        assert_eq!(
            all.region()?.prefetch_later(start, len, Access::Write),
            Ok(())
        );
        assert!(eventually(|| counter.get() == 2 * PAGES));
        all.memory.unmap(PAGES - 1, 1)?;
        assert_eq!(
            all.region()?
                .prefetch_and_wait(start, len, Access::Read, &|| true),
            Err(EFAULT)
        );
        assert!(all.has_no_jobs());

        // One that nobody serves is waited for as long as it is wanted.
        let unserved = Unserved::new()?;
        let asked = Atomic::new(0);
        let twice = || asked.fetch_add(1, Relaxed) < 2;
        assert_eq!(
            all.region()?
                .prefetch_and_wait(start, len, Access::Write, &twice),
            Err(ENODEV)
        );
        assert_eq!(asked.load(Relaxed), 3);
        drop(unserved);
        assert!(all.has_no_jobs());

        // What it brought in is the device's.
        let mut bytes = [MaybeUninit::uninit(); 8];
        let (mut parked, waker) = (Parked::nowhere(), all.waker());
        let mut io = all.region()?.parking(&mut parked, &waker);
        assert_eq!(io.read(start, &mut bytes), Ok(()));
        assert!(!all.end());
        Ok(())
    }
}
