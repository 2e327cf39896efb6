// SPDX-License-Identifier: GPL-2.0

//! A walk of the CPU's page table, from the request to entries that may be used.
//!
//! The states are types: a [`PfnBuffer`] is memory, a [`Snapshot`] is what a walk saw, and only a
//! [`Validated`] snapshot, which keeps the lock borrowed that holds invalidations off, can be read.
//!
//! C header: [`include/linux/hmm.h`](srctree/include/linux/hmm.h)

use crate::{
    charge::Memory,
    deadline::Deadline,
    hmm::{Access, HmmPfn},
    notifier::{IntervalNotifier, InvalidateLocked, ReadSeq},
    page::{BasePage, PageIndex, PageRange},
    vma::ReadLocked,
};
use kernel::{error::to_result, mm::MmWithUser, prelude::*};

/// How many entries need no allocation: the pages of one RDMA packet of the largest MTU at any
/// offset, and of most messages.
const INLINE_PFNS: usize = 16;

/// Private memory for the entries of a walk: a little on the stack, more from the allocator, charged
/// to the cgroup of the calling task.
pub struct PfnBuffer {
    inline: [HmmPfn; INLINE_PFNS],
    heap: KVVec<HmmPfn>,
    memory: Memory,
}

impl Default for PfnBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl PfnBuffer {
    /// A buffer that has allocated nothing yet.
    pub const fn new() -> Self {
        Self::of(Memory::Patient)
    }

    /// The same, for entries in such `memory`.
    pub const fn of(memory: Memory) -> Self {
        Self {
            inline: [HmmPfn::EMPTY; INLINE_PFNS],
            heap: KVVec::new(),
            memory,
        }
    }

    /// Memory for `len` entries, with anything in them that an earlier walk left.
    fn entries(&mut self, len: usize) -> Result<&mut [HmmPfn]> {
        if len > INLINE_PFNS && len > self.heap.len() {
            self.heap = KVVec::new();
            self.heap
                .extend_with(len, HmmPfn::EMPTY, self.memory.flags())?;
        }
        let memory = if len > INLINE_PFNS {
            self.heap.as_mut_slice()
        } else {
            self.inline.as_mut_slice()
        };
        memory.get_mut(..len).ok_or(ENOMEM)
    }
}

/// What a walk saw. It may be out of date by now, so there is no way to look into it: see
/// [`Snapshot::validate`].
///
/// # Invariants
///
/// `seq` was read before the walk that filled `pfns` began, its notifier watches `range`, and `pfns`
/// has an entry for each base page of it.
#[must_use = "a walk that is not validated has no effect"]
pub struct Snapshot<'a> {
    seq: ReadSeq<'a>,
    range: PageRange,
    pfns: &'a [HmmPfn],
}

/// An invalidation came between a walk and the look at its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collision;

impl<'a> Snapshot<'a> {
    /// Walks the page table of `mm` over `range` by `hmm_range_fault()` into `buffer`, and faults
    /// pages in as `access` asks. Sleeps, and takes the mmap lock; the caller may hold no lock that
    /// the notifier's callback takes.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `mm` is not the address space that `notifier` watches, or `range` not a part of
    ///   what it watches there;
    /// - `EFAULT` if a page has no mapping that a device may use, or the process is being torn down
    ///   by the OOM reaper;
    /// - `EPERM` if write access was asked for and the mapping is read-only;
    /// - `ENOMEM` if there is no memory for the entries;
    /// - `EHWPOISON`, `ENOMEM` as the page fault gave it;
    /// - `EBUSY` if invalidations kept colliding until the deadline;
    /// - `EINTR` if the current task is being killed.
    pub fn walk(
        buffer: &'a mut PfnBuffer,
        range: PageRange,
        notifier: &'a IntervalNotifier,
        mm: &MmWithUser,
        access: Access,
        deadline: &Deadline,
    ) -> Result<Self> {
        if mm.as_raw() != notifier.mm().as_raw() || !notifier.watches(&range) {
            return Err(EINVAL);
        }
        let pfns = buffer.entries(range.base_pages())?;
        let timeout = deadline.remaining()?.get();
        let mut hmm_range = hmm_range(notifier, &range, pfns, access);

        // SAFETY: `hmm_pfns` has an entry for each base page from `start` to `end`, the notifier is
        // inserted, and `mm`, its address space, is held by an mmget.
        to_result(unsafe {
            odp_bindings::hmm_range_fault_unlocked_timeout(&mut hmm_range, timeout)
        })?;

        // INVARIANT: C read `notifier_seq` before its last, successful walk; the range was checked.
        Ok(Self {
            seq: notifier.read_began(hmm_range.notifier_seq),
            range,
            pfns,
        })
    }

    /// Looks at what is resident in `range`, with the mmap lock held and without any page fault:
    /// [`Access::Snapshot`] for who must not sleep for long. `seq` was begun before the lock was taken.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if what is locked is not the address space that the notifier of `seq` watches, or
    ///   `range` not a part of what it watches there;
    /// - `EFAULT` if the process is being torn down by the OOM reaper;
    /// - `ENOMEM` if there is no memory for the entries;
    /// - `EBUSY` after an invalidation.
    pub(crate) fn look(
        buffer: &'a mut PfnBuffer,
        range: PageRange,
        seq: ReadSeq<'a>,
        locked: &ReadLocked<'_>,
    ) -> Result<Self> {
        let mm = locked.mm().as_raw();

        if mm != seq.notifier().mm().as_raw() || !seq.notifier().watches(&range) {
            return Err(EINVAL);
        }
        let pfns = buffer.entries(range.base_pages())?;
        let mut hmm_range = hmm_range(seq.notifier(), &range, pfns, Access::Snapshot);

        hmm_range.notifier_seq = seq.number();
        // SAFETY: `hmm_pfns` has an entry for each base page from `start` to `end`, the notifier is
        // inserted, and `mm`, its address space, is held by an mmget, and its mmap lock too.
        to_result(unsafe {
            if odp_bindings::check_stable_address_space(mm) {
                return Err(EFAULT);
            }
            odp_bindings::hmm_range_fault(&mut hmm_range)
        })?;

        // INVARIANT: `seq` was read before; the range was checked.
        Ok(Self { seq, range, pfns })
    }

    /// Whether nothing was invalidated between the beginnings of `earlier` and of the walk.
    pub fn continues(&self, earlier: &ReadSeq<'_>) -> bool {
        self.seq.continues(earlier)
    }

    /// Makes the snapshot readable if nothing in the notifier's range was invalidated since the
    /// walk began. `locked` keeps it that way for as long as the result lives.
    ///
    /// # Errors
    ///
    /// [`Collision`]: walk again.
    pub fn validate<'g, L: InvalidateLocked>(
        self,
        locked: &'g L,
    ) -> Result<Validated<'g>, Collision>
    where
        'a: 'g,
    {
        if self.seq.validate(locked) {
            // INVARIANT: Just checked, under the lock that the result borrows.
            Ok(Validated {
                range: self.range,
                pfns: self.pfns,
            })
        } else {
            Err(Collision)
        }
    }
}

/// What HMM is asked for. It writes to `pfns`, which has an entry for each base page of `range`.
fn hmm_range(
    notifier: &IntervalNotifier,
    range: &PageRange,
    pfns: &mut [HmmPfn],
    access: Access,
) -> odp_bindings::hmm_range {
    // CAST: The ends of a `PageRange` fit a `usize`; `HmmPfn` is a transparent `unsigned long`.
    odp_bindings::hmm_range {
        notifier: notifier.as_raw(),
        notifier_seq: 0,
        start: range.start().get() as usize,
        end: range.end().get() as usize,
        hmm_pfns: pfns.as_mut_ptr().cast(),
        default_flags: access.request_flags(),
        pfn_flags_mask: 0,
        dev_private_owner: core::ptr::null_mut(),
    }
}

/// A snapshot that still holds.
///
/// # Invariants
///
/// No invalidation came between the walk and now: the lock that it needs has been held since the
/// sequence number was checked, and is borrowed for `'g`.
pub struct Validated<'g> {
    range: PageRange,
    pfns: &'g [HmmPfn],
}

impl Validated<'_> {
    /// The range that the entries are for.
    pub fn range(&self) -> &PageRange {
        &self.range
    }

    /// The entry of a base page, counted from the start of the walked range. Beyond its end there
    /// are only empty ones.
    pub fn get(&self, index: PageIndex<BasePage>) -> HmmPfn {
        self.pfns.get(index.get()).copied().unwrap_or_default()
    }
}

#[cfg(odp_kunit)]
#[path = "tests/snapshot.rs"]
mod tests;
