// SPDX-License-Identifier: GPL-2.0

//! An address space that is only grabbed may be torn down while it is walked: `exit_mmap()` does not
//! respect the mmap lock.

use kernel::prelude::*;
use odp::{deadline::Deadline, snapshot::PfnBuffer, Access, IntervalNotifier, PageRange, Snapshot};

pub fn walk(notifier: &IntervalNotifier, range: PageRange, deadline: &Deadline) -> Result {
    let mut buffer = PfnBuffer::new();

    #[cfg(correct)]
    let mm = notifier.mm().mmget_not_zero().ok_or(EINVAL)?;
    #[cfg(correct)]
    let mm = &*mm;
    #[cfg(not(correct))]
    let mm = notifier.mm();

    let _ = Snapshot::walk(&mut buffer, range, notifier, mm, Access::Read, deadline)?; //~ ERROR E0308: expected &MmWithUser, found &Mm
    Ok(())
}
