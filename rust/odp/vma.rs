// SPDX-License-Identifier: GPL-2.0

//! Memory that HMM would hand out, but that a device must not be given.
//!
//! HMM reports what the CPU's page table maps. `get_user_pages()` also asks the VMA, and so refuses
//! memory that the kernel itself cannot reach, and writes to shadow stacks: so must ODP.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::page::{PageRange, UserVa};
use kernel::{
    bindings,
    mm::{
        virt::{vm_flags_t, VmaRef},
        MmWithUser, MmapReadGuard,
    },
    prelude::*,
};

/// Checks the VMAs of `range`. Where there is none there is nothing to refuse.
///
/// The answer holds until something in `range` is invalidated. So it has to be asked for between a
/// walk and its validation: a VMA that came after the walk invalidated it.
///
/// # Errors
///
/// `EFAULT` if `range` touches a VMA whose pages a device may not be given: `memfd_secret()`, which
/// is not in the kernel's page table, and shadow stacks.
pub(crate) fn check(mm: &MmWithUser, range: &PageRange) -> Result {
    for_each(mm, range, |vma| {
        if is_shadow_stack(vma) || is_secret(vma) {
            return Err(EFAULT);
        }
        Ok(())
    })
}

/// Whether all VMAs of `range` map persistent memory directly.
///
/// # Errors
///
/// `EINVAL` if they do not.
pub(crate) fn check_persistent(mm: &MmWithUser, range: &PageRange) -> Result {
    for_each(mm, range, |vma| {
        // SAFETY: `vma` is live and the mmap lock is held.
        match unsafe { odp_bindings::vma_is_dax(vma.as_ptr()) } {
            true => Ok(()),
            false => Err(EINVAL),
        }
    })
}

/// The first address from `va` on that is in a VMA.
pub(crate) fn first_from(mm: &MmWithUser, va: UserVa) -> Option<UserVa> {
    let lock = mm.mmap_read_lock();
    let start = at_or_after(mm, &lock, usize::try_from(va.get()).ok()?)?.start();

    Some(va.max(UserVa::new(start as u64)))
}

/// Calls `check` for each VMA that `range` touches, with the mmap lock held for reading.
fn for_each(mm: &MmWithUser, range: &PageRange, check: impl Fn(&VmaRef) -> Result) -> Result {
    let lock = mm.mmap_read_lock();
    // CAST: The ends of a `PageRange` fit a `usize`.
    let (mut at, end) = (range.start().get() as usize, range.end().get() as usize);

    while at < end {
        match at_or_after(mm, &lock, at) {
            Some(vma) if vma.start() < end => {
                check(vma)?;
                at = vma.end();
            }
            _ => break,
        }
    }
    Ok(())
}

/// The VMA of `mm`, whose lock is `_locked`, that holds the address `at`, or else the first after it.
fn at_or_after<'a>(
    mm: &'a MmWithUser,
    _locked: &'a MmapReadGuard<'_>,
    at: usize,
) -> Option<&'a VmaRef> {
    // SAFETY: `mm` is in use and its mmap lock is held.
    let vma = unsafe { bindings::find_vma(mm.as_raw(), at) };

    // SAFETY: It is a VMA, and the lock is held for as long as it is used.
    (!vma.is_null()).then(|| unsafe { VmaRef::from_raw(vma) })
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
