// SPDX-License-Identifier: GPL-2.0

//! Counters under debugfs that a module can take away while somebody has them open.
//!
//! The files of `kernel::debugfs` have their operations in the module that makes them, and do not
//! hold it: closing one after the module has gone jumps into nothing. The files here are C's
//! `debugfs_create_u64()`, whose operations are the kernel's own.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use crate::counter::Counter;
use kernel::{bindings, prelude::*, str::CStr};

/// A folder of counters at the root of debugfs, which goes when it is dropped.
///
/// # Invariants
///
/// `self.0` is what `debugfs_create_dir()` returned: a folder, or an error that debugfs's functions
/// put up with.
pub struct CounterDir(*mut bindings::dentry);

// SAFETY: debugfs has its own locks.
unsafe impl Send for CounterDir {}
// SAFETY: As above.
unsafe impl Sync for CounterDir {}

impl CounterDir {
    /// Makes a folder. As is usual with debugfs, that it cannot be made is no error.
    pub fn new(name: &CStr) -> Self {
        // SAFETY: `name` is a C string, and no parent means the root.
        // INVARIANT: As the type wants.
        Self(unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) })
    }

    /// Adds a file that shows a counter.
    pub fn add(&self, name: &CStr, counter: &'static Counter) {
        // SAFETY: `name` is a C string. The counter lives for ever, as far as this module does, and
        // dropping the folder waits for those who read it.
        unsafe {
            bindings::debugfs_create_u64(name.as_char_ptr(), 0o444, self.0, counter.as_ptr())
        };
    }
}

impl Drop for CounterDir {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. Removes the files in it too.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}
