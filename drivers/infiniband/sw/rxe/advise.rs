// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! `ibv_advise_mr()`: prefetching, now or later. Errors are those of mlx5.

use super::{ffi, mr::OdpMr};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    impl_has_work, new_work,
    prelude::*,
    sync::Arc,
    workqueue::{Work, WorkItem},
};
use odp::Access;

/// A part of an MR to bring in. The MR may be deregistered meanwhile: then it gives up.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) mr: Arc<OdpMr>,
    pub(crate) iova: u64,
    pub(crate) length: u64,
}

impl Target {
    /// Whether the MR may be brought in for `access` at all.
    ///
    /// # Errors
    ///
    /// `EPERM` if not.
    pub(crate) fn check(&self, access: Access) -> Result {
        if access == Access::Write && !self.mr.is_writable() {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Brings it in.
    ///
    /// # Errors
    ///
    /// As [`odp::Region::prefetch`].
    pub(crate) fn prefetch(&self, access: Access) -> Result {
        self.mr.prefetch(self.iova, self.length, access)
    }
}

/// Prefetches that the caller does not wait for.
#[pin_data]
struct Later {
    targets: KVVec<Option<Target>>,
    access: Access,
    #[pin]
    work: Work<Later>,
}

impl_has_work! {
    impl HasWork<Later> for Later { self.work }
}

impl WorkItem for Later {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Pin<KBox<Self>>) {
        for target in this.targets.iter().flatten() {
            // It is advice: a target that cannot be had does not keep the others.
            let _ = target.prefetch(this.access);
        }
    }
}

/// Brings targets in from a worker.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn prefetch_later(targets: KVVec<Option<Target>>, access: Access) -> Result {
    let later = KBox::pin_init(
        pin_init!(Later {
            targets,
            access,
            work <- new_work!("rxe_odp_prefetch"),
        }),
        GFP_KERNEL_ACCOUNT,
    )?;
    ffi::work_queue().enqueue(later);
    Ok(())
}
