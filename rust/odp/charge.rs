// SPDX-License-Identifier: GPL-2.0

//! Who pays for memory that a worker allocates on behalf of a process.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use kernel::{
    alloc::{
        flags::{GFP_KERNEL, GFP_KERNEL_ACCOUNT, GFP_NOWAIT, __GFP_NOWARN},
        Flags,
    },
    bindings,
    mm::MmWithUser,
    types::ScopeGuard,
};

/// Memory that is charged, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// As long as the kernel needs to find some.
    Patient,
    /// It is had at once, or not.
    AtOnce,
}

impl Memory {
    /// For allocations of the `kernel` crate. That there is none is not told.
    pub(crate) fn flags(self) -> Flags {
        match self {
            Memory::Patient => GFP_KERNEL_ACCOUNT | __GFP_NOWARN,
            Memory::AtOnce => (GFP_KERNEL_ACCOUNT & !GFP_KERNEL) | GFP_NOWAIT | __GFP_NOWARN,
        }
    }

    /// The same, for C's.
    pub(crate) const fn gfp(self) -> bindings::gfp_t {
        match self {
            Memory::Patient => bindings::GFP_KERNEL_ACCOUNT,
            Memory::AtOnce => {
                (bindings::GFP_KERNEL_ACCOUNT & !bindings::GFP_KERNEL) | bindings::GFP_NOWAIT
            }
        }
    }
}

/// Calls `f`, and charges what it allocates with `GFP_KERNEL_ACCOUNT` to the memory cgroup of the
/// owner of `mm`.
pub fn with<R>(mm: &MmWithUser, f: impl FnOnce() -> R) -> R {
    // SAFETY: `mm` is in use. `set_active_memcg()` changes the current task only, and what it was is
    // set again below: calls nest.
    let (group, before) = unsafe {
        let group = bindings::get_mem_cgroup_from_mm(mm.as_raw());
        (group, odp_bindings::set_active_memcg(group))
    };
    let _restore = ScopeGuard::new(|| {
        // SAFETY: As above; the reference to the group is ours.
        unsafe {
            odp_bindings::set_active_memcg(before);
            odp_bindings::mem_cgroup_put(group);
        }
    });

    f()
}
