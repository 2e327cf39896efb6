// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! `ibv_advise_mr()`: prefetching, now or later. Errors are those of mlx5.

use super::mr::OdpMr;
use kernel::{prelude::*, sync::Arc};
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

    /// Brings it in, and waits for that, for as long as it `is_wanted`.
    ///
    /// # Errors
    ///
    /// As [`odp::Region::prefetch_and_wait`].
    pub(crate) fn prefetch(&self, access: Access, is_wanted: &dyn Fn() -> bool) -> Result {
        self.mr.prefetch(self.iova, self.length, access, is_wanted)
    }
}

/// Has targets brought in by workers, each for itself.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn prefetch_later(targets: &[Option<Target>], access: Access) -> Result {
    for target in targets.iter().flatten() {
        match target.mr.prefetch_later(target.iova, target.length, access) {
            Err(ENOMEM) => return Err(ENOMEM),
            // It is advice: a target that cannot be had does not keep the others.
            _ => (),
        }
    }
    Ok(())
}
