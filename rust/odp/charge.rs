// SPDX-License-Identifier: GPL-2.0

//! Who pays for memory that a worker allocates on behalf of a process.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use kernel::{bindings, mm::MmWithUser, types::ScopeGuard};

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
