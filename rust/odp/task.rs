// SPDX-License-Identifier: GPL-2.0

//! What the current task may do, and what is being done to it.
//!
//! C headers: [`include/linux/capability.h`](srctree/include/linux/capability.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/signal.h`](srctree/include/linux/signal.h)

use kernel::{bindings, prelude::*, task::Task, types::NotThreadSafe};

// CAST: A small number.
const SIGKILL: c_int = bindings::SIGKILL as c_int;

/// The current task is a worker, and does what [`kill`] may end.
///
/// A kernel thread ignores all signals. One that lets SIGKILL in wakes up from a killable wait, such as
/// that of a page fault, when it is sent: as any task that is being killed, but for its going on
/// afterwards.
pub(crate) struct Killable(NotThreadSafe);

impl Killable {
    /// Lets SIGKILL in.
    pub(crate) fn new() -> Self {
        // SAFETY: Changes how the current task, which is alive, handles a signal.
        unsafe { odp_bindings::allow_signal(SIGKILL) };
        Self(NotThreadSafe)
    }
}

impl Drop for Killable {
    /// Keeps SIGKILL out again, and forgets one that has come.
    fn drop(&mut self) {
        // SAFETY: As above.
        unsafe { odp_bindings::disallow_signal(SIGKILL) };
    }
}

/// Ends what a task does that is [`Killable`].
pub(crate) fn kill(task: &Task) {
    // SAFETY: The task is alive, or at least not freed. A signal that is not let in has no effect.
    unsafe { bindings::send_sig(SIGKILL, task.as_ptr(), 1) };
}

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
