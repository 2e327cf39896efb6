// SPDX-License-Identifier: GPL-2.0

//! What the VMAs of an address space say: of memory that HMM would hand out, but that a device must not
//! be given, and of page faults that nobody has to wait for.
//!
//! HMM reports what the CPU's page table maps. `get_user_pages()` also asks the VMA, and so refuses
//! memory that the kernel itself cannot reach, and writes to shadow stacks: so must ODP.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    hmm::Access,
    page::{PageRange, PageShift, UserVa},
    task,
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    mm::{
        virt::{flags, vm_flags_t, VmaRef},
        MmWithUser,
    },
    prelude::*,
    types::NotThreadSafe,
};

/// An address space whose mmap lock is held for reading: its VMAs stay.
///
/// The lock that `kernel::mm` has cannot be given up by a task that is being killed. Here it can, as
/// who holds it for writing may wait for long: for a file system, say.
///
/// # Invariants
///
/// The current task holds the lock.
pub(crate) struct ReadLocked<'a> {
    mm: &'a MmWithUser,
    _same_thread: NotThreadSafe,
}

impl<'a> ReadLocked<'a> {
    /// Waits for the lock.
    ///
    /// # Errors
    ///
    /// `EINTR` if the current task is being killed.
    pub(crate) fn new(mm: &'a MmWithUser) -> Result<Self> {
        // SAFETY: `mm` is in use.
        to_result(unsafe { odp_bindings::mmap_read_lock_killable(mm.as_raw()) })?;
        // INVARIANT: Just taken.
        Ok(Self {
            mm,
            _same_thread: NotThreadSafe,
        })
    }

    /// Takes the lock if that needs no waiting.
    pub(crate) fn without_waiting(mm: &'a MmWithUser) -> Option<Self> {
        // SAFETY: `mm` is in use.
        let locked = unsafe { bindings::mmap_read_trylock(mm.as_raw()) };

        // INVARIANT: Just taken.
        locked.then(|| Self {
            mm,
            _same_thread: NotThreadSafe,
        })
    }

    /// The address space.
    pub(crate) fn mm(&self) -> &MmWithUser {
        self.mm
    }

    /// The VMA that holds the address `at`, or else the first after it.
    fn at_or_after(&self, at: usize) -> Option<&VmaRef> {
        // SAFETY: `mm` is in use and its mmap lock is held.
        let vma = unsafe { bindings::find_vma(self.mm.as_raw(), at) };

        // SAFETY: It is a VMA, and the lock is held for as long as it is used.
        (!vma.is_null()).then(|| unsafe { VmaRef::from_raw(vma) })
    }

    /// Calls `check` for each VMA that `range` touches.
    fn for_each(&self, range: &PageRange, check: impl Fn(&VmaRef) -> Result) -> Result {
        // CAST: The ends of a `PageRange` fit a `usize`.
        let (mut at, end) = (range.start().get() as usize, range.end().get() as usize);

        while at < end {
            match self.at_or_after(at) {
                Some(vma) if vma.start() < end => {
                    check(vma)?;
                    at = vma.end();
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// [`check()`], with the lock held.
    pub(crate) fn check(&self, range: &PageRange) -> Result {
        self.for_each(range, |vma| {
            if is_shadow_stack(vma) || is_secret(vma) {
                return Err(EFAULT);
            }
            Ok(())
        })
    }

    /// Faults in the page at `va` for `access`, if that cannot have to wait for user space or another
    /// machine. Returns whether it was done.
    pub(crate) fn fault_at_once(&self, va: UserVa, access: Access) -> bool {
        // CAST: A user address fits a `usize`.
        let at = va.get() as usize;
        let is_write = access == Access::Write;

        match self.vma_for(at, is_write) {
            Ok(vma) if !may_wait(vma, at, is_write) => {
                let how = bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT;
                // SAFETY: The mmap lock is held; a fault that does not wait leaves it held.
                unsafe { fault(vma, at, is_write, how) == Ok(Faulted::Done) }
            }
            _ => false,
        }
    }

    /// The VMA of a page that is to be faulted in.
    ///
    /// # Errors
    ///
    /// As HMM: `EFAULT` if there is none, or none that a device could use; `EPERM` if it is read-only.
    fn vma_for(&self, at: usize, is_write: bool) -> Result<&VmaRef> {
        let vma = self
            .at_or_after(at)
            .filter(|vma| vma.start() <= at)
            .ok_or(EFAULT)?;

        if vma.flags() & (flags::IO | flags::PFNMAP) != 0 || vma.flags() & flags::READ == 0 {
            return Err(EFAULT);
        }
        if is_write && vma.flags() & flags::WRITE == 0 {
            return Err(EPERM);
        }
        Ok(vma)
    }
}

/// Faults in those pages of `range` that are not there, for `access`. What the process does with them
/// meanwhile is not seen: a walk has to follow.
///
/// HMM can do that, too, but tells no fault that it has been tried before. So where a file cannot be
/// read the file system asks for yet another try, and HMM goes on for ever.
///
/// # Errors
///
/// - `EFAULT` if a page cannot be had, `EPERM` if it is read-only and `access` is to write;
/// - `ENOMEM`;
/// - `EINTR` if the current task is being killed.
pub(crate) fn fault_in(
    mm: &MmWithUser,
    range: &PageRange,
    access: Access,
    is_there: impl Fn(UserVa) -> bool,
) -> Result {
    let is_write = access == Access::Write;
    let mut locked = ReadLocked::new(mm)?;
    let mut tried = 0;
    let mut at = range.start();

    while at < range.end() {
        if !is_there(at) {
            // CAST: A user address fits a `usize`.
            let va = at.get() as usize;
            let vma = locked.vma_for(va, is_write)?;
            let how = bindings::fault_flag_FAULT_FLAG_KILLABLE | tried;

            // SAFETY: The mmap lock is held. If it is not any more, that is told, and heeded.
            match unsafe { fault(vma, va, is_write, how)? } {
                Faulted::Done => (),
                unlocked => {
                    core::mem::forget(locked);
                    if task::is_being_killed() {
                        return Err(EINTR);
                    }
                    locked = ReadLocked::new(mm)?;
                    if unlocked == Faulted::Again {
                        tried = bindings::fault_flag_FAULT_FLAG_TRIED;
                        continue;
                    }
                }
            }
        }
        tried = 0;
        at = at.checked_add(PageShift::BASE.bytes())?;
    }
    Ok(())
}

/// What came of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faulted {
    /// It is done.
    Done,
    /// It is done, and the mmap lock is not held any more.
    DoneUnlocked,
    /// It is to be done again; the mmap lock is not held any more, unless it was told not to wait.
    Again,
}

/// Faults in the page at `at`, as a remote access that may be told to try again.
///
/// # Errors
///
/// As [`fault_in`].
///
/// # Safety
///
/// `vma` must hold `at`, and the mmap lock be held for reading: see [`Faulted`] for whether it still is.
unsafe fn fault(
    vma: &VmaRef,
    at: usize,
    is_write: bool,
    how: bindings::fault_flag,
) -> Result<Faulted> {
    let how = how
        | bindings::fault_flag_FAULT_FLAG_REMOTE
        | bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY
        | match is_write {
            true => bindings::fault_flag_FAULT_FLAG_WRITE,
            false => 0,
        };
    // SAFETY: By the caller's promise.
    let result = unsafe { bindings::handle_mm_fault(vma.as_ptr(), at, how, core::ptr::null_mut()) };
    let is = |reason| result & reason != 0;

    if is(bindings::vm_fault_reason_VM_FAULT_COMPLETED) {
        Ok(Faulted::DoneUnlocked)
    } else if is(bindings::vm_fault_reason_VM_FAULT_RETRY) {
        Ok(Faulted::Again)
    } else if is(bindings::vm_fault_reason_VM_FAULT_OOM) {
        Err(ENOMEM)
    } else if is(bindings::vm_fault_reason_VM_FAULT_SIGBUS
        | bindings::vm_fault_reason_VM_FAULT_SIGSEGV
        | bindings::vm_fault_reason_VM_FAULT_HWPOISON
        | bindings::vm_fault_reason_VM_FAULT_HWPOISON_LARGE
        | bindings::vm_fault_reason_VM_FAULT_FALLBACK)
    {
        // Of a page that is known to be poisoned HMM says so, too.
        Err(EFAULT)
    } else {
        Ok(Faulted::Done)
    }
}

/// Whether a fault in `vma` at `at`, which is told not to wait, may do so all the same for somebody who
/// never comes: file systems do as they please. Anonymous memory has none; tmpfs waits for what was
/// swapped out; and where a disk is behind it, a page that is in the page cache is mapped, or read
/// again, in bounded time. FUSE may claim to have a disk.
fn may_wait(vma: &VmaRef, at: usize, is_write: bool) -> bool {
    // SAFETY: The mmap lock keeps the VMA, and so its operations, its file and that one's mapping.
    unsafe {
        let vma = vma.as_ptr();
        let Some(ops) = (*vma).vm_ops.as_ref() else {
            return false;
        };
        let is_shared = (*vma).__bindgen_anon_2.vm_flags & flags::SHARED != 0;
        let Some(file) = NonNull::new((*vma).vm_file) else {
            return true;
        };
        let mapping = (*file.as_ptr()).f_mapping;

        if is_write && is_shared && (ops.page_mkwrite.is_some() || ops.pfn_mkwrite.is_some()) {
            return true;
        }
        let pages = at.wrapping_sub((*vma).__bindgen_anon_1.__bindgen_anon_1.vm_start)
            >> PageShift::BASE.get();
        let index = pages.wrapping_add((*vma).vm_pgoff);
        if odp_bindings::shmem_mapping(mapping) {
            // What was swapped out is a number.
            let entry = bindings::xa_load(&raw mut (*mapping).i_pages, index);
            return entry as usize & 1 != 0;
        }
        let superblock = (*(*mapping).host).i_sb;
        if (*superblock).s_bdev.is_null()
            || (*superblock).s_magic == bindings::FUSE_SUPER_MAGIC as usize
        {
            return true;
        }
        // CAST: Only compared.
        if ops.fault.map(|fault| fault as usize) != Some(bindings::filemap_fault as usize) {
            return true;
        }
        let Ok(folio) = from_err_ptr(odp_bindings::filemap_get_folio(mapping, index)) else {
            return true;
        };
        let is_uptodate = odp_bindings::folio_test_uptodate(folio);

        odp_bindings::folio_put(folio);
        !is_uptodate
    }
}

impl Drop for ReadLocked<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::mmap_read_unlock(self.mm.as_raw()) };
    }
}

/// Checks the VMAs of `range`. Where there is none there is nothing to refuse.
///
/// The answer holds until something in `range` is invalidated. So it has to be asked for between a
/// walk and its validation: a VMA that came after the walk invalidated it.
///
/// # Errors
///
/// `EFAULT` if `range` touches a VMA whose pages a device may not be given: `memfd_secret()`, which
/// is not in the kernel's page table, and shadow stacks; `EINTR` if the current task is being killed.
pub(crate) fn check(mm: &MmWithUser, range: &PageRange) -> Result {
    ReadLocked::new(mm)?.check(range)
}

/// Whether all VMAs of `range` map persistent memory directly.
///
/// # Errors
///
/// `EINVAL` if they do not; `EINTR` if the current task is being killed.
pub(crate) fn check_persistent(mm: &MmWithUser, range: &PageRange) -> Result {
    ReadLocked::new(mm)?.for_each(range, |vma| {
        // SAFETY: `vma` is live and the mmap lock is held.
        match unsafe { odp_bindings::vma_is_dax(vma.as_ptr()) } {
            true => Ok(()),
            false => Err(EINVAL),
        }
    })
}

/// The first address from `va` on that is in a VMA, if there is one.
///
/// # Errors
///
/// `EINTR` if the current task is being killed.
pub(crate) fn first_from(mm: &MmWithUser, va: UserVa) -> Result<Option<UserVa>> {
    let lock = ReadLocked::new(mm)?;
    // CAST: A user address fits a `usize`.
    let first = lock.at_or_after(va.get() as usize);

    Ok(first.map(|vma| va.max(UserVa::new(vma.start() as u64))))
}

// The flag is zero where the kernel has no shadow stacks.
#[allow(clippy::bad_bit_mask)]
fn is_shadow_stack(vma: &VmaRef) -> bool {
    const SHADOW_STACK: vm_flags_t = odp_bindings::VM_SHADOW_STACK as vm_flags_t;

    vma.flags() & SHADOW_STACK != 0
}

/// Whether it is memory of `memfd_secret()`. C compares functions that are not exported; the file
/// system, of which there is one, tells as well.
fn is_secret(vma: &VmaRef) -> bool {
    // SAFETY: The mmap lock keeps the VMA, and so its file, its inode and their superblock.
    unsafe {
        let file = (*vma.as_ptr()).vm_file;
        !file.is_null() && (*(*(*file).f_inode).i_sb).s_magic == bindings::SECRETMEM_MAGIC as usize
    }
}

#[cfg(odp_kunit)]
#[path = "tests/vma.rs"]
mod tests;
