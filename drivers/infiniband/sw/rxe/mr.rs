// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! A memory region with on-demand paging: addresses as peers use them (IOVA) to user memory.

use core::{mem::MaybeUninit, task::Waker};
use kernel::{
    prelude::*,
    sync::{
        atomic::{Full, Release},
        Arc,
    },
};
use odp::{
    region::{Counters, Io, Missing, Parked, Parks},
    umem::AccessFlags,
    Access, FaultWorkers, Region, UserVa,
};

/// What is to be done to the eight bytes of an atomic operation.
#[derive(Clone, Copy)]
pub(crate) enum AtomicOp {
    /// Write `swap` if `compare` is there.
    CompareSwap { compare: u64, swap: u64 },
    /// Add.
    FetchAdd(u64),
}

/// The ODP half of an MR.
pub(crate) struct OdpMr {
    region: Region,
    start: UserVa,
    iova: u64,
    length: u64,
    implicit: bool,
}

impl OdpMr {
    /// Registers `[start, start + length)` of the current process, which peers will call
    /// `[iova, iova + length)`; the whole address space for a `start` of 0 and the largest length.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the range is empty, an implicit region is to have another address or huge
    ///   pages, or the memory is to be persistent and is not;
    /// - `EOVERFLOW` if the range wraps around;
    /// - `ENOMEM`.
    pub(crate) fn register(
        workers: &Arc<FaultWorkers>,
        start: u64,
        length: u64,
        iova: u64,
        access: AccessFlags,
    ) -> Result<Self> {
        let implicit = start == 0 && length == u64::MAX;
        let start = UserVa::new(start);
        let region = match implicit {
            true if iova != 0 => return Err(EINVAL),
            true => Region::implicit(workers, access)?,
            false => Region::new(workers, start, length, access)?,
        };

        if access.is_flush_persistent() {
            region.check_persistent()?;
        }
        Ok(Self {
            region,
            start,
            iova,
            length,
            implicit,
        })
    }

    /// The user address of `[iova, iova + len)`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if that is not in the MR.
    fn user_va(&self, iova: u64, len: u64) -> Result<UserVa> {
        let offset = iova.checked_sub(self.iova).ok_or(EFAULT)?;
        let room = self.length.checked_sub(offset).ok_or(EFAULT)?;

        if len > room {
            return Err(EFAULT);
        }
        self.start.checked_add(offset).map_err(|_| EFAULT)
    }

    /// The memory, for a task that parks where it is not there: see [`Region::parking`].
    pub(crate) fn parking<'a>(
        &'a self,
        parked: &'a mut Parked,
        waker: &'a Waker,
    ) -> MrIo<'a, Parks<'a>> {
        MrIo {
            mr: self,
            io: self.region.parking(parked, waker),
        }
    }

    /// The memory, for a task that waits.
    #[cfg(odp_kunit)]
    pub(crate) fn waiting(&self) -> MrIo<'_, odp::region::Waits> {
        MrIo {
            mr: self,
            io: self.region.waiting(),
        }
    }

    /// Brings `[iova, iova + len)` in, and waits for that, for as long as it `is_wanted`.
    ///
    /// # Errors
    ///
    /// As [`Region::prefetch_and_wait`].
    pub(crate) fn prefetch(
        &self,
        iova: u64,
        len: u64,
        access: Access,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result {
        let va = self.user_va(iova, len)?;
        self.region.prefetch_and_wait(va, len, access, is_wanted)
    }

    /// Has `[iova, iova + len)` brought in.
    ///
    /// # Errors
    ///
    /// As [`Region::prefetch_later`].
    pub(crate) fn prefetch_later(&self, iova: u64, len: u64, access: Access) -> Result {
        let va = self.user_va(iova, len)?;
        self.region.prefetch_later(va, len, access)
    }

    /// Ends what workers do for the MR, and makes what takes long give up, before the MR is waited for.
    pub(crate) fn stop(&self) {
        self.region.stop();
    }

    /// Whether peers may write, whatever the access flags are changed to.
    pub(crate) fn is_writable(&self) -> bool {
        self.region.is_writable()
    }

    /// Whether this is the whole address space.
    pub(crate) fn is_implicit(&self) -> bool {
        self.implicit
    }

    /// What happened to the MR.
    pub(crate) fn counters(&self) -> &Counters {
        self.region.counters()
    }
}

/// The memory of an MR, at the addresses of peers. Where it is not there, `M` is asked.
pub(crate) struct MrIo<'a, M: Missing> {
    mr: &'a OdpMr,
    io: Io<'a, M>,
}

impl<M: Missing> MrIo<'_, M> {
    /// Copies from the MR.
    ///
    /// # Errors
    ///
    /// `EFAULT` for good, `EAGAIN` for now, `EINPROGRESS` if it has parked.
    pub(crate) fn read(&mut self, iova: u64, to: &mut [MaybeUninit<u8>]) -> Result {
        let va = self.mr.user_va(iova, to.len() as u64)?;
        self.io.read(va, to)
    }

    /// Copies to the MR.
    ///
    /// # Errors
    ///
    /// As [`MrIo::read`].
    pub(crate) fn write(&mut self, iova: u64, from: &[u8]) -> Result {
        let va = self.mr.user_va(iova, from.len() as u64)?;
        self.io.write(va, from)
    }

    /// Does an atomic operation, and returns what was there before. `locked` is called to do it
    /// with the lock held that keeps out those on MRs without on-demand paging.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `iova` is not aligned to eight bytes, else as [`MrIo::read`].
    pub(crate) fn atomic(
        &mut self,
        iova: u64,
        op: AtomicOp,
        locked: impl FnOnce(&mut dyn FnMut()),
    ) -> Result<u64> {
        let va = self.mr.user_va(iova, size_of::<u64>() as u64)?;

        self.io.update(va, |word| {
            let mut before = 0;
            locked(&mut || {
                before = match op {
                    AtomicOp::CompareSwap { compare, swap } => {
                        word.cmpxchg(compare, swap, Full).unwrap_or_else(|old| old)
                    }
                    AtomicOp::FetchAdd(add) => word.fetch_add(add, Full),
                };
            });
            before
        })
    }

    /// Writes eight bytes at once, after all that was written before.
    ///
    /// # Errors
    ///
    /// As [`MrIo::atomic`].
    pub(crate) fn atomic_write(&mut self, iova: u64, value: u64) -> Result {
        let va = self.mr.user_va(iova, size_of::<u64>() as u64)?;
        self.io.update(va, |word| word.store(value, Release))
    }

    /// Makes `[iova, iova + len)` persistent.
    ///
    /// # Errors
    ///
    /// As [`MrIo::read`], and `EFAULT` if the memory is not of a kind that can be; `ECANCELED`
    /// after [`OdpMr::stop`].
    pub(crate) fn flush(&mut self, iova: u64, len: u64) -> Result {
        let va = self.mr.user_va(iova, len)?;
        self.io.flush(va, len)
    }
}
