// SPDX-License-Identifier: GPL-2.0

//! Counters under debugfs that a module can take away while somebody has them open.
//!
//! The files of `kernel::debugfs` have their operations in the module that makes them, and do not
//! hold it: closing one after the module has gone jumps into nothing. The files here are C's
//! `debugfs_create_u64()`, whose operations are the kernel's own. And the numbers that they show are
//! not in the module's memory: a folder that is leaked outlives the module.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use crate::counter::Counter;
use core::ptr::{null_mut, NonNull};
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::{
        atomic::{Acquire, Atomic, Full, Release},
        rcu,
    },
};

/// A counter for a file of a [`CounterDir`]. While no file shows it nothing is counted.
///
/// # Invariants
///
/// Null, or a counter that is freed an RCU grace period after it is not here any more.
pub struct ShownCounter(Atomic<*mut Counter>);

impl ShownCounter {
    /// A counter that is not shown yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        // INVARIANT: Null.
        Self(Atomic::new(null_mut()))
    }

    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.with(|counter| counter.add(n));
    }

    /// What was counted since it is shown.
    pub fn get(&self) -> u64 {
        self.with(Counter::get).unwrap_or(0)
    }

    fn with<R>(&self, f: impl FnOnce(&Counter) -> R) -> Option<R> {
        let _rcu = rcu::read_lock();
        // SAFETY: By the type invariants, as long as `_rcu` is held.
        unsafe { self.0.load(Acquire).as_ref() }.map(f)
    }
}

/// A number that a file shows, and whose it is.
///
/// # Invariants
///
/// `number` is from a `KBox`, and is in `counter` as long as this lives.
struct Shown {
    number: NonNull<Counter>,
    counter: &'static ShownCounter,
    /// Those that were added before.
    others: Option<KBox<Shown>>,
}

impl Shown {
    /// # Errors
    ///
    /// `EBUSY` if it is shown already; `ENOMEM`.
    fn new(counter: &'static ShownCounter) -> Result<Self> {
        let raw = KBox::into_raw(KBox::new(Counter::new(), GFP_KERNEL)?);

        // INVARIANT: `Drop` keeps to what `ShownCounter` wants.
        if counter.0.cmpxchg(null_mut(), raw, Full).is_err() {
            // SAFETY: It is still ours.
            drop(unsafe { KBox::from_raw(raw) });
            return Err(EBUSY);
        }
        // SAFETY: The pointer of a box is not null.
        let number = unsafe { NonNull::new_unchecked(raw) };

        // INVARIANT: It is there now.
        Ok(Self {
            number,
            counter,
            others: None,
        })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.counter.0.store(null_mut(), Release);
        // SAFETY: By the type invariants: it has nothing to drop, its memory comes from `kmalloc()`, and
        // nobody finds it any more. There is no file that shows it.
        unsafe { bindings::kvfree_call_rcu(null_mut(), self.number.as_ptr().cast()) };
    }
}

/// A folder of counters at the root of debugfs, which goes when it is dropped. If it is leaked it stays,
/// with the numbers in it, whatever becomes of the module.
///
/// # Invariants
///
/// `folder` is what `debugfs_create_dir()` returned: a folder, or an error that debugfs's functions put
/// up with. Its files show the numbers of `shown`, which are dropped after them.
pub struct CounterDir {
    folder: *mut bindings::dentry,
    shown: Option<KBox<Shown>>,
}

// SAFETY: debugfs has its own locks, and the numbers are only used atomically.
unsafe impl Send for CounterDir {}
// SAFETY: As above.
unsafe impl Sync for CounterDir {}

impl CounterDir {
    /// Makes a folder. As is usual with debugfs, that it cannot be made is no error.
    pub fn new(name: &CStr) -> Self {
        // INVARIANT: As the type wants.
        Self {
            // SAFETY: `name` is a C string, and no parent means the root.
            folder: unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), null_mut()) },
            shown: None,
        }
    }

    /// Adds a file that shows a counter, which counts from zero on.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the counter is shown already; `ENOMEM`. That the file cannot be made is no error.
    pub fn add(&mut self, name: &CStr, counter: &'static ShownCounter) -> Result {
        let mut shown = KBox::new(Shown::new(counter)?, GFP_KERNEL)?;
        // SAFETY: By the type invariants of `Shown` the number lives.
        let number = unsafe { shown.number.as_ref() }.as_ptr();

        // INVARIANT: There is a file only for what is there, and dropping the folder removes it first.
        shown.others = self.shown.take();
        self.shown = Some(shown);
        // SAFETY: `name` is a C string. The number lives longer than the file, and if the folder is leaked
        // for ever; dropping it waits for those who read it.
        unsafe { bindings::debugfs_create_u64(name.as_char_ptr(), 0o444, self.folder, number) };
        Ok(())
    }
}

impl Drop for CounterDir {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. Removes the files in it too.
        unsafe { bindings::debugfs_remove(self.folder) };
        // One by one, as the stack is small.
        while let Some(mut shown) = self.shown.take() {
            self.shown = shown.others.take();
        }
    }
}

#[cfg(odp_kunit)]
#[path = "tests/debugfs.rs"]
mod tests;
