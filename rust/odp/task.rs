// SPDX-License-Identifier: GPL-2.0

//! What the current task may do, and what is being done to it.
//!
//! C headers: [`include/linux/capability.h`](srctree/include/linux/capability.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use kernel::{bindings, prelude::*};

/// Whether the current task may do what can corrupt memory through a device: `CAP_SYS_RAWIO`.
pub fn has_raw_io() -> bool {
    // SAFETY: `capable()` looks at the current task. CAST: A small number.
    unsafe { bindings::capable(bindings::CAP_SYS_RAWIO as c_int) }
}

/// Whether a signal waits for the current task, or the kernel wants it out of the way: to be traced, to
/// suspend the machine. What takes long and can be resumed ends then.
pub fn has_signal() -> bool {
    kernel::current!().signal_pending()
}

/// Whether the current task is being killed, so that nobody waits for what it does.
pub fn is_being_killed() -> bool {
    // SAFETY: The current task is alive.
    unsafe { odp_bindings::fatal_signal_pending(bindings::get_current()) != 0 }
}
