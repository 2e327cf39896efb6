// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The fault path of a region: from an address that is not in a window to one that is.
//!
//! First a look at what is resident around the wanted pages, which faults nothing in: as a rule it
//! finds them, and their neighbours with them. Only pages that are wanted are ever faulted in. How
//! far to look adapts to how often that was enough.

use super::{
    look::Looked,
    pages::Pages,
    shared::Shared,
    window::{free, Window, WindowBox, WINDOW},
    Region,
};
use crate::{
    charge::{self, Memory},
    deadline::Deadline,
    page::{PageRange, PageShift, UserVa},
    snapshot::{PfnBuffer, Snapshot},
    task, vma, Access,
};
use core::{mem::replace, ptr::NonNull};
use kernel::{
    mm::{MmWithUser, MmWithUserAsync},
    prelude::*,
    sync::{aref::ARef, rcu},
    time::{delay::fsleep, Delta},
};

/// How long to wait before the allocator is asked again.
pub(super) const PAUSE: Delta = Delta::from_millis(1);

/// A window that a fault works on, so that it is not freed. It is only retired when its device goes, or
/// a DMA does not end.
///
/// # Invariants
///
/// The window is counted as used by us.
pub(super) struct InUse<'a, P: Pages> {
    window: NonNull<Window<P>>,
    shared: &'a Shared<P>,
}

impl<P: Pages> core::ops::Deref for InUse<'_, P> {
    type Target = Window<P>;

    fn deref(&self) -> &Window<P> {
        // SAFETY: A window that is in use is not freed.
        unsafe { self.window.as_ref() }
    }
}

impl<P: Pages> Drop for InUse<'_, P> {
    fn drop(&mut self) {
        let last = self.write().leave_use();

        if last {
            // SAFETY: We were told to.
            unsafe { free(self.window) };
        }
    }
}

/// What the walks of a fault have in common.
pub(super) struct Walk<'a> {
    pub(super) mm: &'a MmWithUser,
    pub(super) buffer: PfnBuffer,
    pub(super) deadline: &'a mut Deadline,
}

impl<P: Pages> Shared<P> {
    /// Holds the owner's address space, to walk it.
    pub(super) fn mm_in_use(&self) -> Result<ARef<MmWithUserAsync>> {
        // The last user may go away meanwhile, and this may run where `exit_mmap()` must not.
        let mm = self.mm.mmget_not_zero().ok_or(EFAULT)?;
        Ok(MmWithUser::into_mmput_async(mm))
    }

    /// The window of `part`, which lies in one, made if there is none.
    pub(super) fn window(
        &self,
        part: &PageRange,
        mm: &MmWithUser,
        memory: Memory,
    ) -> Result<InUse<'_, P>> {
        let index = self.index_of(part.start());

        loop {
            if let Some(found) = self.find(index) {
                return Ok(found);
            }
            let range = self.range.block(part.start(), WINDOW).ok_or(EFAULT)?;
            // The window has to be in the map when the device goes.
            let _hold = self.hold()?;
            let window = WindowBox::new(self, mm, range, memory)?;
            match self.windows.insert(index, window, memory) {
                Ok(window) => {
                    // INVARIANT: A new window is counted as in use.
                    return Ok(InUse {
                        window,
                        shared: self,
                    });
                }
                // Somebody else was faster.
                Err((EBUSY, _)) => continue,
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// The window at `index`, if there is one.
    pub(super) fn find(&self, index: usize) -> Option<InUse<'_, P>> {
        let rcu = rcu::read_lock();
        let window = self.windows.get(index, &rcu)?;

        let alive = window.write().enter_use();

        // INVARIANT: Just counted.
        alive.then(|| InUse {
            window: NonNull::from(window),
            shared: self,
        })
    }
}

impl<P: Pages> InUse<'_, P> {
    /// Walks `part`, enters what it sees, and returns how many of the pages of `wanted` the device
    /// may then use for `access`; `None` if an invalidation came between. The walk faults pages in
    /// if `part` is what is wanted. What is wanted is made usable.
    fn attempt(
        &self,
        walk: &mut Walk<'_>,
        part: &PageRange,
        wanted: &PageRange,
        access: Access,
    ) -> Result<Option<usize>> {
        let ask = if part == wanted {
            access
        } else {
            Access::Snapshot
        };
        if ask != Access::Snapshot {
            vma::fault_in(walk.mm, part, ask, |at| self.has_page(at, ask))?;
        }
        let snapshot = Snapshot::walk(
            &mut walk.buffer,
            *part,
            self.notifier(),
            walk.mm,
            ask,
            walk.deadline,
        )?;
        vma::check(walk.mm, part)?;

        let there = self.enter(snapshot, part, wanted, access)?;
        if there.is_none() {
            walk.deadline.collided();
        }
        Ok(there)
    }

    /// Whether the device may use the page at `va` for `access`.
    pub(super) fn has_page(&self, va: UserVa, access: Access) -> bool {
        let page = PageRange::covering(va, PageShift::BASE.bytes(), PageShift::BASE);

        page.and_then(|page| self.write().count(&page, access)) == Ok(1)
    }

    /// Enters what a walk of `part` has seen. Else as [`InUse::attempt`].
    pub(super) fn enter(
        &self,
        snapshot: Snapshot<'_>,
        part: &PageRange,
        wanted: &PageRange,
        access: Access,
    ) -> Result<Option<usize>> {
        let _hold = self.shared.hold()?;
        let mut locked = self.write();

        if !locked.enter(snapshot, self.shared.least)? {
            return Ok(None);
        }
        locked.prepare(wanted)?;
        let there = locked.count(wanted, access)?;
        if part != wanted {
            locked.looked_around(there == wanted.base_pages());
        }
        Ok(Some(there))
    }

    /// How many of the pages of `wanted` the device may use for `access`, and how many when those
    /// that an earlier look has brought in have been made usable.
    fn count_prepared(&self, wanted: &PageRange, access: Access) -> Result<(usize, usize)> {
        let _hold = self.shared.hold()?;
        let mut locked = self.write();
        if locked.table().is_waited_for() {
            // What is there is about to go. A walk waits for that.
            return Ok((0, 0));
        }
        let before = locked.count(wanted, access)?;

        if before == wanted.base_pages() {
            return Ok((before, before));
        }
        locked.prepare(wanted)?;
        Ok((before, locked.count(wanted, access)?))
    }

    /// Brings in all of `wanted`, of which `looked` was seen. Returns how many of its pages had been
    /// missing.
    pub(super) fn bring_in(
        &self,
        walk: &mut Walk<'_>,
        wanted: &PageRange,
        access: Access,
        mut looked: Looked,
    ) -> Result<usize> {
        let pages = wanted.base_pages();
        let (before, there) = self.count_prepared(wanted, access)?;
        let missing = pages.saturating_sub(before);

        if there == pages {
            return Ok(missing);
        }
        loop {
            let around = match replace(&mut looked, Looked::No) {
                Looked::Absent => None,
                _ => self.write().around(wanted),
            };
            if let Some(block) = around {
                match self.attempt(walk, &block, wanted, access) {
                    Ok(Some(there)) if there == pages => break,
                    // What is wanted may be calmer than what is around it.
                    Ok(Some(_) | None) => (),
                    // Something there is not to be had.
                    Err(EFAULT) => self.write().looked_around(false),
                    Err(error) => return Err(error),
                }
            }
            match self.attempt(walk, wanted, wanted, access)? {
                Some(there) if there == pages => break,
                // The CPU maps it by smaller pages than the region wants.
                Some(_) => return Err(EFAULT),
                None => (),
            }
        }
        Ok(missing)
    }

    /// Enters what there is of `part`. Returns the number of pages.
    pub(super) fn look(&self, walk: &mut Walk<'_>, part: &PageRange) -> Result<usize> {
        loop {
            if self.attempt(walk, part, part, Access::Snapshot)?.is_some() {
                return self.write().count(part, Access::Read);
            }
        }
    }
}

impl<P: Pages> Region<P> {
    /// Brings in what an access wants of `[at, end)`, to the end of the window at most, of which `looked`
    /// was seen, or pauses, for the access to try again.
    ///
    /// # Errors
    ///
    /// - `EAGAIN` if it cannot be had now, and the time is up;
    /// - `EINTR` if a signal came, and [`Pages::INTERRUPTIBLE`];
    /// - else it cannot be had: `EFAULT`, `EPERM`, `EHWPOISON` as [`Snapshot::walk`] and
    ///   [`Pages::prepare`], `ENODEV` if the device has gone.
    #[cold]
    pub(super) fn fault_for_access(
        &self,
        at: UserVa,
        end: UserVa,
        access: Access,
        deadline: &mut Deadline,
        looked: Looked,
    ) -> Result {
        match self.fault_once(at, end, access, deadline, looked) {
            Ok(missing) => {
                self.shared.counters.count_fault(missing);
                Ok(())
            }
            Err(EINTR) if P::INTERRUPTIBLE => Err(EINTR),
            Err(EBUSY | ENOMEM | EINTR | EAGAIN) => {
                deadline.collided();
                deadline.remaining().map_err(|_| EAGAIN)?;
                if !task::is_being_killed() {
                    fsleep(PAUSE);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn fault_once(
        &self,
        at: UserVa,
        end: UserVa,
        access: Access,
        deadline: &mut Deadline,
        looked: Looked,
    ) -> Result<usize> {
        let wanted = self.wanted(at, end)?;
        self.check_access(access)?;

        let mm = self.shared.mm_in_use()?;
        charge::with(&mm, || {
            let window = self.shared.window(&wanted, &mm, Memory::Patient)?;
            let mut walk = Walk {
                mm: &mm,
                buffer: PfnBuffer::new(),
                deadline,
            };
            window.bring_in(&mut walk, &wanted, access, looked)
        })
    }

    /// The pages of `[at, end)`, to the end of the window at most.
    pub(super) fn wanted(&self, at: UserVa, end: UserVa) -> Result<PageRange> {
        self.shared
            .range
            .block(at, WINDOW)
            .and_then(|block| block.clip(at, end))
            .filter(|wanted| wanted.start() <= at)
            .ok_or(EFAULT)
    }

    pub(super) fn check_access(&self, access: Access) -> Result {
        if access == Access::Write && !self.is_writable() {
            return Err(EPERM);
        }
        Ok(())
    }
}
