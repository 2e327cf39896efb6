// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What can be had at once: a look at what is resident, and page faults that wait for nobody.
//!
//! For devices that do not wait. The mmap lock is taken only if it is free, memory is not waited for,
//! and only such pages are faulted in as no user space, no other machine and no disk has to bring.

use super::{copy::CpuPages, fault::InUse, Region};
use crate::{
    charge::{self, Memory},
    notifier::ReadSeq,
    page::{PageRange, PageShift, UserVa},
    snapshot::{PfnBuffer, Snapshot},
    vma::ReadLocked,
    Access,
};
use kernel::{mm::MmWithUser, prelude::*};

/// What a look at what is resident, without a page fault, has shown of what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// There was none.
    No,
    /// Some of it is not there.
    Absent,
    /// It is there, and has been entered.
    Found,
}

impl InUse<'_, CpuPages> {
    /// Enters what is resident of `wanted`, and of what is around it, and faults in what that is possible
    /// for without waiting. Says how many pages had been missing.
    fn look_for(
        &self,
        mm: &MmWithUser,
        wanted: &PageRange,
        access: Access,
    ) -> Result<(Looked, usize)> {
        let pages = wanted.base_pages();
        let (before, around) = {
            let mut locked = self.write();
            (locked.count(wanted, access)?, locked.around(wanted))
        };
        let missing = pages.saturating_sub(before);
        if missing == 0 {
            return Ok((Looked::Found, 0));
        }

        let mut buffer = PfnBuffer::of(Memory::AtOnce);
        let seq = self.notifier().read_begin();
        let locked = ReadLocked::without_waiting(mm).ok_or(EAGAIN)?;

        if self.look_at(
            &mut buffer,
            seq,
            &locked,
            &around.unwrap_or(*wanted),
            wanted,
            access,
        )? {
            return Ok((Looked::Found, missing));
        }
        if !self.fault_at_once(&locked, wanted, access)? {
            return Ok((Looked::Absent, missing));
        }
        // The fault may have been an invalidation.
        let seq = self.notifier().read_begin();
        match self.look_at(&mut buffer, seq, &locked, wanted, wanted, access)? {
            true => Ok((Looked::Found, missing)),
            false => Ok((Looked::Absent, missing)),
        }
    }

    /// Enters what is resident of `part`. Returns whether all of `wanted` is there.
    fn look_at(
        &self,
        buffer: &mut PfnBuffer,
        seq: ReadSeq<'_>,
        locked: &ReadLocked<'_>,
        part: &PageRange,
        wanted: &PageRange,
        access: Access,
    ) -> Result<bool> {
        let snapshot = Snapshot::look(buffer, *part, seq, locked)?;

        locked.check(part)?;
        let there = self.enter(snapshot, part, wanted, access)?;
        Ok(there == Some(wanted.base_pages()))
    }

    /// Faults in what is missing of `wanted`, as far as nobody has to wait for that. Returns whether
    /// all was done.
    fn fault_at_once(
        &self,
        locked: &ReadLocked<'_>,
        wanted: &PageRange,
        access: Access,
    ) -> Result<bool> {
        let mut at = wanted.start();

        while at < wanted.end() {
            if !self.has_page(at, access) && !locked.fault_at_once(at, access) {
                return Ok(false);
            }
            at = at.checked_add(PageShift::BASE.bytes())?;
        }
        Ok(true)
    }
}

impl Region<CpuPages> {
    /// Whether there is a window for `va`.
    pub(super) fn has_window(&self, va: UserVa) -> bool {
        self.shared.find(self.shared.index_of(va)).is_some()
    }

    /// Brings in what an access wants of `[at, end)`, to the end of the window at most, if that can be
    /// done at once, and says what it saw. Waits neither for the mmap lock nor for what a page fault may
    /// wait for.
    #[cold]
    pub(super) fn look_for_access(&self, at: UserVa, end: UserVa, access: Access) -> Looked {
        let looked = || {
            let wanted = self.wanted(at, end)?;
            // However fast it is, a process is not to have all of the device's tasks.
            let _turn = self.jobs.process().turn().ok_or(EAGAIN)?;
            let mm = self.shared.mm_in_use()?;

            self.check_access(access)?;
            charge::with(&mm, || {
                let window = match self.shared.find(self.shared.index_of(wanted.start())) {
                    Some(window) => window,
                    None if !self.jobs.process().is_watched() => return Ok((Looked::No, 0)),
                    None => self.shared.window(&wanted, &mm, Memory::AtOnce)?,
                };
                window.look_for(&mm, &wanted, access)
            })
        };

        match looked() {
            Ok((Looked::Found, missing)) => {
                self.shared.counters.count_fault(missing);
                Looked::Found
            }
            Ok((looked, _)) => looked,
            // What is wrong the page fault will find, too.
            Err(_) => Looked::No,
        }
    }
}
