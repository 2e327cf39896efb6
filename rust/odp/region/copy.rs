// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! Regions of virtual devices: the CPU copies, on behalf of the device.

use super::{
    address_space,
    entry::{Entry, PAGE_BYTES},
    job::Jobs,
    let_others_run,
    missing::{Missing, Parked, Parks, Waits},
    pages::Pages,
    window::{Window, WindowBox, WINDOW},
    workers::FaultWorkers,
    Region,
};
use crate::{
    charge::Memory,
    hmm::HmmPfn,
    in_flight::InFlight,
    page::{PageIndex, PageRange, PageShift, UmemPage, UserVa},
    task,
    umem::AccessFlags,
    Access,
};
use core::{mem::MaybeUninit, ptr::NonNull, task::Waker};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    mm::MmWithUser,
    prelude::*,
    sync::{atomic::Atomic, rcu, Arc},
};

/// How many bytes are flushed with a window locked, and at once in the task of an access.
const FLUSH_AT_ONCE: u64 = 64 << 10;

/// Pages that the CPU reads and writes, on behalf of a device that is not there.
pub struct CpuPages {
    entries: KVec<Entry>,
    writable: bool,
}

impl Pages for CpuPages {
    type Device = ();
    type Hold<'a> = ();
    type Jobs = Arc<Jobs>;

    const INTERRUPTIBLE: bool = false;

    /// A virtual device is always there.
    fn hold(_device: &()) -> Result<Self::Hold<'_>> {
        Ok(())
    }

    fn forget(_device: &(), _region: usize) {}

    fn end(jobs: &Arc<Jobs>) {
        jobs.end();
    }

    fn none() -> Self {
        Self {
            entries: KVec::new(),
            writable: false,
        }
    }

    #[inline]
    fn is_none(&self) -> bool {
        self.entries.is_empty()
    }

    fn new(_device: &(), range: &PageRange, writable: bool, memory: Memory) -> Result<Self> {
        let entries = KVec::zeroed(range.base_pages(), memory.flags())?;
        Ok(Self { entries, writable })
    }

    fn enter(&mut self, index: PageIndex<UmemPage>, seen: HmmPfn) -> bool {
        self.entries
            .get(index.get())
            .is_some_and(|entry| entry.enter(seen, self.writable))
    }

    fn prepare(&mut self, _index: PageIndex<UmemPage>) -> Result {
        Ok(())
    }

    fn allows(&self, index: PageIndex<UmemPage>, access: Access) -> bool {
        self.entries
            .get(index.get())
            .is_some_and(|entry| entry.allows(access))
    }

    fn unmap(&mut self, index: PageIndex<UmemPage>) -> bool {
        self.entries.get(index.get()).is_some_and(Entry::unmap)
    }

    fn flush(&mut self) {}

    /// The CPU copies under the lock.
    fn in_flight(&self) -> Option<&Arc<InFlight>> {
        None
    }

    fn lose(&mut self) {}
}

impl CpuPages {
    /// Where a page is, by its number in the window, if it is there for `access`.
    #[inline]
    fn page(&self, index: usize, access: Access) -> Option<NonNull<u8>> {
        self.entries.get(index).and_then(|entry| entry.page(access))
    }
}

impl Window<CpuPages> {
    /// Calls `each` for the pages of `[va, va + len)`, with the part of each, as long as they are
    /// there for `access`. Returns the number of bytes that were reached. A window that was newly
    /// found, and of use, is remembered.
    #[inline]
    fn with_pages(
        &self,
        newly_found: bool,
        va: UserVa,
        len: usize,
        access: Access,
        mut each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> usize {
        let table = self.read();
        // CAST: Within a window.
        let mut at = va.get().wrapping_sub(self.range().start().get()) as usize;
        let end = at.saturating_add(len);
        let mut done = 0usize;

        while at < end {
            let Some(page) = table.pages().page(at / PAGE_BYTES, access) else {
                break;
            };
            let offset = at % PAGE_BYTES;
            let bytes = PAGE_BYTES.wrapping_sub(offset).min(end.wrapping_sub(at));

            // SAFETY: The offset is within the page.
            each(unsafe { page.add(offset) }, done, bytes);
            done = done.wrapping_add(bytes);
            at = at.wrapping_add(bytes);
        }
        if done != 0 && newly_found {
            self.remember(&table);
        }
        done
    }
}

impl Region<CpuPages> {
    /// Registers `[addr, addr + len)` of the current process. No page is touched. Page faults that the
    /// device does not wait for are the affair of `workers`.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the range is empty, or the caller has no address space;
    /// - `EOVERFLOW` if it wraps around;
    /// - `ENOMEM`.
    pub fn new(
        workers: &Arc<FaultWorkers>,
        addr: UserVa,
        len: u64,
        access: AccessFlags,
    ) -> Result<Self> {
        let range = PageRange::covering(addr, len, PageShift::BASE)?;
        Self::of_current(workers, range, access)
    }

    /// Registers the whole address space of the current process.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `access` asks for huge pages, or the caller has no address space;
    /// - `ENOMEM`.
    pub fn implicit(workers: &Arc<FaultWorkers>, access: AccessFlags) -> Result<Self> {
        Self::of_current(workers, address_space(access)?, access)
    }

    fn of_current(
        workers: &Arc<FaultWorkers>,
        range: PageRange,
        access: AccessFlags,
    ) -> Result<Self> {
        let current = kernel::current!();
        let mm = current.mm().ok_or(EINVAL)?;
        let jobs = Jobs::new(workers, mm, GFP_KERNEL_ACCOUNT)?;
        let region = Self::of_range((), jobs, range, access)?;

        region.watch(mm);
        Ok(region)
    }

    /// Sees to it that notifiers can be inserted without waiting: only the first of an address space
    /// takes its mmap lock.
    fn watch(&self, mm: &MmWithUser) {
        let process = self.jobs.process();
        let range = &self.shared.range;

        if process.is_watched() {
            return;
        }
        // If it cannot be had now, the first window is a worker's.
        if let Some(first) = range.block(range.start(), WINDOW) {
            if WindowBox::new(&self.shared, mm, first, Memory::Patient).is_ok() {
                process.set_watched();
            }
        }
    }

    /// The memory, for who waits for page faults himself.
    pub fn waiting(&self) -> Io<'_, Waits> {
        Io {
            region: self,
            missing: Waits::default(),
        }
    }

    /// The memory, for who does not wait for page faults: an access that meets one has parked, in
    /// `parked`, and fails with `EINPROGRESS`. It is made again, with the same `parked`, when `waker` is
    /// called.
    #[inline]
    pub fn parking<'a>(&'a self, parked: &'a mut Parked, waker: &'a Waker) -> Io<'a, Parks<'a>> {
        Io {
            region: self,
            missing: Parks::new(parked, waker),
        }
    }

    /// [`Io::access`] for what is there, from `va` to the end of its window at most. Returns
    /// the number of bytes that were reached.
    #[inline]
    fn with_resident(
        &self,
        va: UserVa,
        len: usize,
        access: Access,
        each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> usize {
        let rcu = rcu::read_lock();
        let (windows, index) = (&self.shared.windows, self.shared.index_of(va));

        if let Some(window) = windows.last(index, &rcu) {
            window.with_pages(false, va, len, access, each)
        } else if let Some(window) = windows.get(index, &rcu) {
            window.with_pages(true, va, len, access, each)
        } else {
            0
        }
    }
}

/// The memory of a region, as a device that is not there reads and writes it. Where a page is missing,
/// `M` is asked.
pub struct Io<'a, M: Missing> {
    region: &'a Region<CpuPages>,
    missing: M,
}

impl<M: Missing> Io<'_, M> {
    /// Copies the memory from `va` on to `to`.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if it is not in the region, or cannot be read;
    /// - `EAGAIN` if that may change: there was no memory, or invalidations would not end;
    /// - `EINPROGRESS` if it has parked.
    pub fn read(&mut self, va: UserVa, to: &mut [MaybeUninit<u8>]) -> Result {
        let (to, len) = (to.as_mut_ptr().cast::<u8>(), to.len());

        self.access(va, len, Access::Read, |page, done, bytes| {
            // SAFETY: `bytes` bytes of the page and, from `done` on, of `to` may be accessed. That
            // the process, or another device, writes to the page meanwhile is its own affair: the
            // bytes are not looked at here.
            unsafe { core::ptr::copy_nonoverlapping(page.as_ptr(), to.add(done), bytes) }
        })
    }

    /// Copies `from` to the memory from `va` on.
    ///
    /// # Errors
    ///
    /// As [`Io::read`]; a part may have been written.
    pub fn write(&mut self, va: UserVa, from: &[u8]) -> Result {
        self.access(va, from.len(), Access::Write, |page, done, bytes| {
            // SAFETY: As in `read`, the other way round.
            unsafe { core::ptr::copy_nonoverlapping(from.as_ptr().add(done), page.as_ptr(), bytes) }
        })
    }

    /// Calls `update` with the eight bytes at `va`, which may be changed. It is called with a window
    /// locked: it must neither sleep nor use a region.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `va` is not a multiple of eight, else as [`Io::read`].
    pub fn update<R>(&mut self, va: UserVa, update: impl FnOnce(&Atomic<u64>) -> R) -> Result<R> {
        const SIZE: usize = size_of::<u64>();
        let (mut update, mut result) = (Some(update), None);

        if va.get() % SIZE as u64 != 0 {
            return Err(EINVAL);
        }
        self.access(va, SIZE, Access::Write, |page, _, _| {
            if let Some(update) = update.take() {
                // SAFETY: Eight bytes that are aligned lie in one page, which stays for the call.
                result = Some(update(unsafe { Atomic::from_ptr(page.as_ptr().cast()) }));
            }
        })?;
        result.ok_or(EFAULT)
    }

    /// Writes what is in the CPU's caches of `[va, va + len)` back to persistent memory.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if some of the memory is not persistent, else as [`Io::read`];
    /// - `ECANCELED` after [`Region::stop`].
    pub fn flush(&mut self, va: UserVa, len: u64) -> Result {
        let end = va.checked_add(len).map_err(|_| EFAULT)?;

        if len > FLUSH_AT_ONCE {
            let region = self.region;
            return self.missing.flush(region, va, end);
        }
        self.flush_here(va, end)
    }

    /// [`Io::flush`] of `[at, end)` in the current task.
    pub(super) fn flush_here(&mut self, mut at: UserVa, end: UserVa) -> Result {
        while at < end {
            let left = end.get().wrapping_sub(at.get());
            // CAST: A small number.
            let piece = left.min(FLUSH_AT_ONCE) as usize;

            self.region.check_stopped()?;
            if task::is_being_killed() {
                return Err(ECANCELED);
            }
            self.flush_piece(at, piece)?;
            at = at.checked_add(piece as u64)?;
            let_others_run();
        }
        Ok(())
    }

    fn flush_piece(&mut self, va: UserVa, len: usize) -> Result {
        let mut persistent = true;

        self.access(va, len, Access::Read, |page, _, bytes| {
            // SAFETY: The page stays for the call, and the bytes are in it.
            unsafe {
                if odp_bindings::is_persistent(page.as_ptr().cast()) {
                    odp_bindings::arch_wb_cache_pmem(page.as_ptr().cast(), bytes);
                } else {
                    persistent = false;
                }
            }
        })?;
        if persistent {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Calls `each` for the pages of `[va, va + len)`, in order and, if it succeeds, each once, with
    /// where it is, how much came before, and how many bytes of it are meant.
    #[inline]
    fn access(
        &mut self,
        va: UserVa,
        len: usize,
        access: Access,
        mut each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> Result {
        let region = self.region;
        let end = va.checked_add(len as u64).map_err(|_| EFAULT)?;
        let mut done = 0usize;

        while done < len {
            let at = UserVa::new(va.get().wrapping_add(done as u64));
            let left = len.wrapping_sub(done);
            let reached = region.with_resident(at, left, access, |page, before, bytes| {
                each(page, done.wrapping_add(before), bytes)
            });

            done = done.wrapping_add(reached);
            if reached == 0 {
                self.missing.bring_in(region, at, end, access)?;
            }
        }
        self.missing.done(region, va, end);
        Ok(())
    }
}
