// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! Regions of virtual devices: the CPU copies, on behalf of the device.

use super::{
    address_space,
    entry::{Entry, PAGE_BYTES},
    let_others_run,
    pages::Pages,
    window::Window,
    Region,
};
use crate::{
    deadline::Deadline,
    hmm::HmmPfn,
    page::{PageIndex, PageRange, PageShift, UmemPage, UserVa},
    umem::AccessFlags,
    Access,
};
use core::{mem::MaybeUninit, ptr::NonNull};
use kernel::{
    alloc::flags::{GFP_KERNEL_ACCOUNT, __GFP_NOWARN},
    prelude::*,
    sync::{atomic::Atomic, rcu},
    time::Msecs,
};

/// How long an access may lose against invalidations, or find no memory, before it is given back to
/// the device as one to repeat: with what [`Deadline`] adds, some tenths of a second.
const PATIENCE: Msecs = 100;

/// How many bytes are flushed with a window locked.
const FLUSH_AT_ONCE: u64 = 64 << 10;

/// Pages that the CPU reads and writes, on behalf of a device that is not there.
pub struct CpuPages {
    entries: KVec<Entry>,
    writable: bool,
}

impl Pages for CpuPages {
    type Device = ();
    type Hold<'a> = ();

    const INTERRUPTIBLE: bool = false;

    /// A virtual device is always there.
    fn hold(_device: &()) -> Result<Self::Hold<'_>> {
        Ok(())
    }

    fn forget(_device: &(), _region: usize) {}

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

    fn new(_device: &(), range: &PageRange, writable: bool) -> Result<Self> {
        let entries = KVec::zeroed(range.base_pages(), GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
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
    /// Registers `[addr, addr + len)` of the current process. No page is touched.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the range is empty, or the caller has no address space;
    /// - `EOVERFLOW` if it wraps around;
    /// - `ENOMEM`.
    pub fn new(addr: UserVa, len: u64, access: AccessFlags) -> Result<Self> {
        Self::of_range((), PageRange::covering(addr, len, PageShift::BASE)?, access)
    }

    /// Registers the whole address space of the current process.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `access` asks for huge pages, or the caller has no address space;
    /// - `ENOMEM`.
    pub fn implicit(access: AccessFlags) -> Result<Self> {
        if access.is_hugetlb() {
            return Err(EINVAL);
        }
        Self::of_range((), address_space()?, access)
    }

    /// Copies the memory from `va` on to `to`.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if it is not in the region, or cannot be read;
    /// - `EAGAIN` if that may change: there was no memory, or invalidations would not end.
    pub fn read(&self, va: UserVa, to: &mut [MaybeUninit<u8>]) -> Result {
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
    /// As [`Region::read`]; a part may have been written.
    pub fn write(&self, va: UserVa, from: &[u8]) -> Result {
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
    /// `EINVAL` if `va` is not a multiple of eight, else as [`Region::read`].
    pub fn update<R>(&self, va: UserVa, update: impl FnOnce(&Atomic<u64>) -> R) -> Result<R> {
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
    /// - `EFAULT` if some of the memory is not persistent, else as [`Region::read`];
    /// - `ECANCELED` after [`Region::stop`].
    pub fn flush(&self, va: UserVa, len: u64) -> Result {
        let end = va.checked_add(len).map_err(|_| EFAULT)?;
        let mut at = va;

        while at < end {
            let left = end.get().wrapping_sub(at.get());
            // CAST: A small number.
            let piece = left.min(FLUSH_AT_ONCE) as usize;

            self.check_stopped()?;
            self.flush_piece(at, piece)?;
            at = at.checked_add(piece as u64)?;
            let_others_run();
        }
        Ok(())
    }

    fn flush_piece(&self, va: UserVa, len: usize) -> Result {
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

    /// Calls `each` for the pages of `[va, va + len)`, in order and each once, with where it is,
    /// how much came before, and how many bytes of it are meant. Faults in what is missing.
    #[inline]
    fn access(
        &self,
        va: UserVa,
        len: usize,
        access: Access,
        mut each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> Result {
        let end = va.checked_add(len as u64).map_err(|_| EFAULT)?;
        let mut deadline = None;
        let mut faulted = None;
        let mut done = 0usize;

        while done < len {
            let at = UserVa::new(va.get().wrapping_add(done as u64));
            let left = len.wrapping_sub(done);
            let reached = self.with_resident(at, left, access, |page, before, bytes| {
                each(page, done.wrapping_add(before), bytes)
            });

            done = done.wrapping_add(reached);
            if reached == 0 {
                let deadline = deadline.get_or_insert_with(|| Deadline::after_msecs(PATIENCE));
                if faulted.replace(done) == Some(done) {
                    // The page went before it could be used.
                    deadline.collided();
                    deadline.remaining().map_err(|_| EAGAIN)?;
                }
                self.fault_for_access(at, end, access, deadline)
                    .map_err(|error| if error == EAGAIN { error } else { EFAULT })?;
            }
        }
        Ok(())
    }

    /// [`Region::access`] for what is there, from `va` to the end of its window at most. Returns
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
