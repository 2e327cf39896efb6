// SPDX-License-Identifier: GPL-2.0

//! References to a process that may be gone.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h)

use core::{num::NonZeroUsize, ptr::NonNull};
use kernel::{
    bindings,
    mm::{Mm, MmWithUser, MmWithUserAsync},
    sync::{
        aref::{ARef, AlwaysRefCounted},
        rcu,
    },
    types::Opaque,
};

/// The kernel's `struct pid`: a name for a process that stays valid, and unique, after the process
/// has gone.
///
/// # Invariants
///
/// Values of this type are refcounted by `get_pid()`.
#[repr(transparent)]
pub struct Pid(Opaque<bindings::pid>);

// SAFETY: `put_pid()` may be called on any thread.
unsafe impl Send for Pid {}
// SAFETY: All methods of `Pid` may be called in parallel.
unsafe impl Sync for Pid {}

// SAFETY: By the type invariants, `get_pid()` and `put_pid()` count the references.
unsafe impl AlwaysRefCounted for Pid {
    fn inc_ref(&self) {
        // SAFETY: `self` is a live `struct pid`.
        unsafe { odp_bindings::get_pid(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference that it owns.
        unsafe { bindings::put_pid(obj.cast().as_ptr()) };
    }
}

impl Pid {
    /// The thread group of the current task.
    pub fn current_thread_group() -> ARef<Self> {
        // SAFETY: `current` is alive, so it has a thread group whose `struct pid` exists, and
        // `get_task_pid()` returns it with a reference.
        unsafe {
            let pid =
                bindings::get_task_pid(bindings::get_current(), bindings::pid_type_PIDTYPE_TGID);
            ARef::from_raw(NonNull::new_unchecked(pid).cast())
        }
    }

    /// Borrows a `struct pid` that C holds.
    ///
    /// # Safety
    ///
    /// `ptr` must be a live `struct pid` whose reference count does not drop to zero during `'a`.
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::pid) -> &'a Self {
        // SAFETY: By the caller's promise; `Pid` is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The underlying `struct pid`.
    pub fn as_raw(&self) -> *mut bindings::pid {
        self.0.get()
    }

    /// Whether a task of this number is still there, be it as a zombie.
    pub fn has_task(&self) -> bool {
        let _rcu = rcu::read_lock();
        // SAFETY: `self` is live and the RCU read lock is held, as `pid_task()` wants.
        !unsafe { bindings::pid_task(self.as_raw(), bindings::pid_type_PIDTYPE_PID) }.is_null()
    }

    /// Which program, counted by its calls of `execve()`, the current task runs. Never zero.
    pub fn current_exec_id() -> usize {
        // SAFETY: `current` is alive, and only it changes its own number.
        let exec_id = unsafe { (*bindings::get_current()).self_exec_id };
        // CAST: The number has 64 bits, and so has a `usize` here.
        (exec_id as usize).saturating_add(1)
    }

    /// Holds the address space of this thread group, if it is still `mm`.
    ///
    /// For a holder that remembers an `mm_struct` by its address alone, without an `mmgrab()`:
    /// `mm` is compared, never dereferenced, so it may have been freed. A process that has exited,
    /// or that runs another program since, gives `None`; as that one's address space may have got
    /// the memory of the old one, `exec_id` is compared too, where it is known.
    pub fn mmget_if(
        &self,
        mm: *const Mm,
        exec_id: Option<NonZeroUsize>,
    ) -> Option<ARef<MmWithUserAsync>> {
        let _rcu = rcu::read_lock();
        // SAFETY: `self` is live and the RCU read lock is held.
        let mut task =
            unsafe { bindings::pid_task(self.as_raw(), bindings::pid_type_PIDTYPE_TGID) };

        // The leader may have exited while its other threads run on: the first thread that still
        // has an address space speaks for the group.
        while !task.is_null() {
            // SAFETY: The RCU read lock keeps `task` from being freed.
            if let Some(raw) = NonNull::new(unsafe { bindings::get_task_mm(task) }) {
                // SAFETY: `get_task_mm()` returned an `mmget()` reference, which this takes over.
                let held: ARef<MmWithUser> = unsafe { ARef::from_raw(raw.cast()) };
                // Dropped under RCU when it is another one: only `mmput_async()` may do that.
                let held = MmWithUser::into_mmput_async(held);
                // SAFETY: As above. CAST: As in `current_exec_id`.
                let runs = unsafe { (&raw const (*task).self_exec_id).read_volatile() } as usize;
                let same = exec_id.is_none_or(|id| id.get() == runs.saturating_add(1));

                return (same && core::ptr::eq::<Mm>(&***held, mm)).then_some(held);
            }
            // SAFETY: As above; the thread list is walked under RCU.
            task = unsafe { odp_bindings::__next_thread(task) };
        }
        None
    }
}
