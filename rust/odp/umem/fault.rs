// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The fault path: from an address that a device touched to entries that it may use.

use super::{Locked, UmemOdp};
use crate::{
    deadline::Deadline,
    dma::DmaDevice,
    hmm::Access,
    page::{PageRange, UserVa},
    snapshot::{PfnBuffer, Snapshot},
    vma,
};
use kernel::{mm::MmWithUser, prelude::*, time::Msecs};

/// How long a fault, with all its retries, may lose against invalidations: long, for an error breaks
/// the device's connection, but not for ever, as in C, where each retry has a second of its own.
const PATIENCE: Msecs = 10 * odp_bindings::HMM_RANGE_DEFAULT_TIMEOUT;

/// The outcome of a fault. The umem is locked, so that the driver can pass the entries to its
/// device before an invalidation can take them away again.
pub struct Mapped<'a> {
    /// The umem, its mutex held.
    pub locked: Locked<'a>,
    /// The pages in the range that was asked for, in the umem's own size.
    pub pages: usize,
    /// How many of them the device may use: all, but after an [`Access::Snapshot`].
    pub present: usize,
}

impl UmemOdp {
    /// Brings the pages of `[va, va + len)` into the table and returns with the umem locked.
    ///
    /// The owner's address space is held, by an mmget, while it is walked. All attempts together
    /// have ten seconds to win against concurrent invalidations; those in vain are added to
    /// `retries`. On an error the umem is unlocked, and nothing more than before is usable
    /// for the device.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if the range is not within the umem, the umem is implicit, or the memory is not
    ///   for devices: of `memfd_secret()`, or a shadow stack;
    /// - `EINVAL` if the owner or its address space is gone, if the range is empty or wraps around,
    ///   or if the CPU maps the memory by smaller pages than the umem's;
    /// - `EOVERFLOW` if the number of pages does not fit C's `int`;
    /// - `ENOMEM` if there is no memory for the snapshot;
    /// - else as [`Snapshot::walk`].
    pub fn map_and_lock(
        &self,
        va: UserVa,
        len: u64,
        access: Access,
        retries: &mut u64,
    ) -> Result<Mapped<'_>> {
        let part = self.part(va, len)?;

        if !self.owner().has_task() {
            return Err(EINVAL);
        }
        let mm = self.notifier()?.mm().mmget_not_zero().ok_or(EINVAL)?;
        // The last user may go away meanwhile, and this may run where `exit_mmap()` must not.
        let mm = MmWithUser::into_mmput_async(mm);

        self.fault(&mm, part, access, retries).inspect_err(|_| {
            // What an earlier piece entered, no driver will map.
            if let (Access::Snapshot, Ok(mut locked)) = (access, self.lock()) {
                let _ = locked.forget(&part);
            }
        })
    }

    /// The pages that hold `[va, va + len)`, if it lies in the umem.
    fn part(&self, va: UserVa, len: u64) -> Result<PageRange> {
        let range = self.range()?;
        if va < range.start() || va > range.end() {
            return Err(EFAULT);
        }
        if va.checked_add(len).map_err(|_| EINVAL)? > range.end() {
            return Err(EFAULT);
        }
        let part = PageRange::covering(va, len, range.shift())?;
        // C returns the number of pages as an `int`.
        i32::try_from(part.umem_pages()).map_err(|_| EOVERFLOW)?;
        Ok(part)
    }

    fn fault(
        &self,
        mm: &MmWithUser,
        part: PageRange,
        access: Access,
        retries: &mut u64,
    ) -> Result<Mapped<'_>> {
        let mut deadline = Deadline::after_msecs(PATIENCE);
        let mut buffer = PfnBuffer::new();
        let mut present = 0usize;
        // A virtual device's driver heeds every invalidation, so what was entered of one piece needs
        // no regard while the next one is walked. A real one's may ignore them until it has mapped a
        // page: there all pieces have to be one snapshot.
        let step = match self.device() {
            DmaDevice::Virtual => access.pages_at_once(),
            DmaDevice::Real(_) => usize::MAX,
        };
        let (mut piece, mut rest) = part.split(step);

        loop {
            let Some((locked, more)) = self.attempt(&mut buffer, mm, piece, access, &deadline)?
            else {
                deadline.collided();
                *retries = retries.saturating_add(1);
                continue;
            };
            present = present.saturating_add(more);
            match rest {
                None => {
                    return Ok(Mapped {
                        locked,
                        pages: part.umem_pages(),
                        present,
                    })
                }
                Some(pages) => (piece, rest) = pages.split(step),
            }
        }
    }

    /// Walks `part`, piece by piece where nothing is to be faulted in, and enters what it sees.
    /// Returns the umem, still locked, and how many pages are present; `None` if an invalidation
    /// came between.
    ///
    /// The pieces are one snapshot: the result is only good if no invalidation came between the
    /// first walk and the last look at the sequence number, under the lock that stays held.
    fn attempt(
        &self,
        buffer: &mut PfnBuffer,
        mm: &MmWithUser,
        part: PageRange,
        access: Access,
        deadline: &Deadline,
    ) -> Result<Option<(Locked<'_>, usize)>> {
        let notifier = self.notifier()?;
        let (mut piece, mut rest) = part.split(access.pages_at_once());
        let begun = rest.map(|_| notifier.read_begin());
        let mut present = 0usize;

        loop {
            let snapshot = Snapshot::walk(buffer, piece, notifier, mm, access, deadline)?;
            if begun
                .as_ref()
                .is_some_and(|begun| !snapshot.continues(begun))
            {
                return Ok(None);
            }
            vma::check(mm, &piece)?;

            let mut locked = self.lock()?;
            let Some(more) = locked.commit(snapshot, access)? else {
                return Ok(None);
            };
            present = present.saturating_add(more);
            match rest {
                None => return Ok(Some((locked, present))),
                Some(pages) => (piece, rest) = pages.split(access.pages_at_once()),
            }
        }
    }
}
