// SPDX-License-Identifier: GPL-2.0

//! The initialisation of an umem_mutex whose umem may outlive this code.
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)

use kernel::{bindings, prelude::*};

/// Initialises an umem_mutex.
///
/// With lockdep a mutex points to its class, and C's class is a static object of the code that
/// initialised it. A umem outlives this module when the module is unloaded, so here the class is
/// memory that is never freed: one small object a load, on debug kernels only.
///
/// # Errors
///
/// `ENOMEM` if there is no memory for the class.
pub(super) fn init(mutex: &mut bindings::mutex) -> Result {
    let (name, key) = class::get()?;
    // SAFETY: `mutex` is ours to write; name and key, if lockdep looks at them, are never freed.
    unsafe { bindings::__mutex_init(mutex, name, key) };
    if cfg!(CONFIG_LOCKDEP) {
        teach_lockdep(mutex);
    }
    Ok(())
}

/// Tells lockdep that the mutex is taken within reclaim, which tests rarely get to see.
fn teach_lockdep(mutex: &mut bindings::mutex) {
    // SAFETY: The mutex is initialised and nobody else knows it; the flags are those of a
    // `GFP_KERNEL` allocation.
    unsafe {
        odp_bindings::fs_reclaim_acquire(bindings::GFP_KERNEL);
        bindings::mutex_lock(mutex);
        bindings::mutex_unlock(mutex);
        odp_bindings::fs_reclaim_release(bindings::GFP_KERNEL);
    }
}

#[cfg(not(CONFIG_DEBUG_LOCK_ALLOC))]
mod class {
    use super::*;

    /// Without lockdep a mutex has neither a name nor a class.
    pub(super) fn get() -> Result<(*const c_char, *mut bindings::lock_class_key)> {
        Ok((core::ptr::null(), core::ptr::null_mut()))
    }
}

#[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
mod class {
    use super::*;
    use kernel::sync::SetOnce;

    const NAME: &[u8; 11] = b"umem_mutex\0";

    struct Class {
        key: *mut bindings::lock_class_key,
        name: *const c_char,
    }

    // SAFETY: Plain addresses of memory that is never freed.
    unsafe impl Send for Class {}
    // SAFETY: As above.
    unsafe impl Sync for Class {}

    static CLASS: SetOnce<Class> = SetOnce::new();

    /// The class of all mutexes that this load of the module initialises.
    pub(super) fn get() -> Result<(*const c_char, *mut bindings::lock_class_key)> {
        if CLASS.as_ref().is_none() {
            // SAFETY: All zeroes is a key that is not registered yet.
            let key = KBox::new(unsafe { core::mem::zeroed() }, GFP_KERNEL)?;
            let name = KBox::new(*NAME, GFP_KERNEL)?;
            let (key, name) = (KBox::into_raw(key), KBox::into_raw(name));
            // SAFETY: The key is never freed. The loser of a race registers one in vain.
            unsafe { bindings::lockdep_register_key(key) };
            CLASS.populate(Class {
                key,
                name: name.cast(),
            });
        }
        CLASS
            .as_ref()
            .map(|class| (class.name, class.key))
            .ok_or(ENOMEM)
    }
}
