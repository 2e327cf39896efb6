// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! Prefetches: here and now, or by a worker, for which the current task waits or not.

use super::{
    copy::CpuPages,
    fault::Walk,
    job::{Job, Order, Task},
    let_others_run,
    look::Looked,
    pages::Pages,
    process::Purpose,
    window::WINDOW,
    Region,
};
use crate::{
    charge::{self, Memory},
    deadline::Deadline,
    page::{PageRange, PageShift, UserVa},
    snapshot::PfnBuffer,
    task, vma, Access,
};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT, mm::MmWithUser, prelude::*, sync::Arc, time::Msecs,
};

/// How long a prefetch may lose against invalidations in one window.
const PREFETCH_PATIENCE: Msecs = 10 * odp_bindings::HMM_RANGE_DEFAULT_TIMEOUT;

impl<P: Pages> Region<P> {
    /// Brings in `[va, va + len)` for `access`, or only what is resident for [`Access::Snapshot`]. The
    /// current task waits for page faults.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if it is not in the region, the process is gone, there is memory that a device must
    ///   not have, or, where pages are to be faulted in, a hole;
    /// - `EINVAL` if it is empty;
    /// - `EPERM` if the region, or a mapping, is read-only and `access` is to write;
    /// - `ECANCELED` after [`Region::stop`]; `EINTR` if the current task is being killed;
    /// - `ERESTARTNOINTR`, for the system call to be made again, if there was another signal: the
    ///   kernel gives up on the first notifier of an address space then;
    /// - `EAGAIN` if a DMA in the same window did not end;
    /// - `EBUSY`, `ENOMEM`, `EHWPOISON` as [`crate::Snapshot::walk`].
    pub fn prefetch(&self, va: UserVa, len: u64, access: Access) -> Result {
        let (start, end) = self.prefetched(va, len, access)?;

        self.prefetch_here(start, end, access)
    }

    /// The pages that a prefetch is for.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EFAULT`, `EPERM` as [`Region::prefetch`].
    pub(super) fn prefetched(
        &self,
        va: UserVa,
        len: u64,
        access: Access,
    ) -> Result<(UserVa, UserVa)> {
        let all = match PageRange::covering(va, len, PageShift::BASE) {
            Err(EOVERFLOW) => return Err(EFAULT),
            covering => covering?,
        };
        if !self.shared.range.contains(&all) {
            return Err(EFAULT);
        }
        self.check_access(access)?;
        Ok((all.start(), all.end()))
    }

    /// [`Region::prefetch`] of `[at, end)`, whole pages that are in the region.
    pub(super) fn prefetch_here(&self, mut at: UserVa, end: UserVa, access: Access) -> Result {
        let mm = self.shared.mm_in_use()?;

        while at < end {
            self.check_stopped()?;
            if task::is_being_killed() {
                return Err(EINTR);
            }
            if access == Access::Snapshot {
                // Where nothing is mapped there is nothing to look at, and a window is of no use.
                match vma::first_from(&mm, at)? {
                    Some(mapped) if mapped < end => at = at.max(mapped),
                    _ => break,
                }
            }
            let block = self.shared.range.block(at, WINDOW).ok_or(EFAULT)?;
            let part = block.clip(at, end).ok_or(EFAULT)?;

            charge::with(&mm, || self.prefetch_part(&mm, &part, access))?;
            at = part.end();
            let_others_run();
        }
        Ok(())
    }

    fn prefetch_part(&self, mm: &MmWithUser, part: &PageRange, access: Access) -> Result {
        let restart = |error| {
            if error == EINTR {
                ERESTARTNOINTR
            } else {
                error
            }
        };
        let window = self
            .shared
            .window(part, mm, Memory::Patient)
            .map_err(restart)?;
        let mut walk = Walk {
            mm,
            buffer: PfnBuffer::new(),
            deadline: &mut Deadline::after_msecs(PREFETCH_PATIENCE),
        };
        let pages = match access {
            Access::Snapshot => window.look(&mut walk, part)?,
            Access::Read | Access::Write => {
                window.bring_in(&mut walk, part, access, Looked::No)?;
                part.base_pages()
            }
        };
        self.shared.counters.page_prefetch.add(pages as u64);
        Ok(())
    }
}

impl Region<CpuPages> {
    /// [`Region::prefetch`] by a worker. The current task waits for that, but not once it has a signal,
    /// nor for a region that is stopped, nor after [`super::FaultWorkers::stop_waiting`], nor for long
    /// when `is_wanted`, which is asked some times a second, says no: for what ends without telling.
    ///
    /// # Errors
    ///
    /// As [`Region::prefetch`]; `ERESTARTNOINTR` for any signal; `ENODEV` if no system call is to wait,
    /// or it is not wanted.
    pub fn prefetch_and_wait(
        &self,
        va: UserVa,
        len: u64,
        access: Access,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result {
        let job = self.start_prefetch(va, len, access, Purpose::Wanted)?;
        let result = self.jobs.wait_for(&job, is_wanted);

        job.leave();
        result
    }

    /// [`Region::prefetch`] by a worker, for which nobody waits.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EFAULT`, `EPERM`, `ECANCELED` as [`Region::prefetch`]; `ENOMEM`.
    pub fn prefetch_later(&self, va: UserVa, len: u64, access: Access) -> Result {
        self.start_prefetch(va, len, access, Purpose::Later)
            .map(drop)
    }

    fn start_prefetch(
        &self,
        va: UserVa,
        len: u64,
        access: Access,
        purpose: Purpose,
    ) -> Result<Arc<Job>> {
        let (at, end) = self.prefetched(va, len, access)?;
        let order = Order {
            task: Task::Prefetch(access),
            at,
            end,
        };
        // A prefetch has its own limits.
        let deadline = Deadline::after_msecs(0);

        Job::start(
            self,
            order,
            Looked::No,
            deadline,
            purpose,
            None,
            GFP_KERNEL_ACCOUNT,
        )
    }
}
