// SPDX-License-Identifier: GPL-2.0

//! A spinning reader-writer lock: readers do not wait for one another.
//!
//! C header: [`include/linux/rwlock.h`](srctree/include/linux/rwlock.h)

use core::{cell::UnsafeCell, marker::PhantomData, ops::Deref};
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::{NotThreadSafe, Opaque},
};

/// The kernel's `rwlock_t` and what it protects.
///
/// It must not be taken in interrupts: neither the read nor the write side disables them.
#[pin_data]
pub struct RwLock<T> {
    #[pin]
    lock: Opaque<bindings::rwlock_t>,
    data: UnsafeCell<T>,
}

// SAFETY: The lock can be moved to another thread with its data.
unsafe impl<T: Send> Send for RwLock<T> {}
// SAFETY: Readers share the data, and a writer has it to itself.
unsafe impl<T: Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// A lock around `data`. Lockdep knows it by `name` and `key`.
    pub fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is ours to write, and stays where it is.
                unsafe { odp_bindings::__rwlock_init(slot, name.as_char_ptr(), key.as_ptr()) }
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Waits for writers and locks them out.
    #[inline]
    pub fn read(&self) -> ReadGuard<'_, T> {
        // SAFETY: The lock is initialised.
        unsafe { odp_bindings::read_lock(self.lock.get()) };
        // INVARIANT: Just taken.
        ReadGuard {
            lock: self,
            _same_thread: NotThreadSafe,
        }
    }

    /// Waits for everybody and locks them out.
    #[inline]
    pub fn write(&self) -> WriteGuard<'_, T> {
        // SAFETY: The lock is initialised.
        unsafe { odp_bindings::write_lock(self.lock.get()) };
        // INVARIANT: Just taken.
        WriteGuard {
            lock: self,
            _same_thread: NotThreadSafe,
        }
    }
}

/// The read side of a [`RwLock`].
///
/// # Invariants
///
/// The read lock is held.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub struct ReadGuard<'a, T> {
    lock: &'a RwLock<T>,
    _same_thread: NotThreadSafe,
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: The read lock keeps writers out.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { odp_bindings::read_unlock(self.lock.lock.get()) };
    }
}

/// The write side of a [`RwLock`].
///
/// # Invariants
///
/// The write lock is held.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub struct WriteGuard<'a, T> {
    lock: &'a RwLock<T>,
    _same_thread: NotThreadSafe,
}

/// The current task holds a write lock for `'g`.
pub struct WriteHeld<'g>(PhantomData<&'g ()>, NotThreadSafe);

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: The write lock keeps everybody else out.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> WriteGuard<'_, T> {
    /// The proof that the lock is held, and what it protects.
    #[inline]
    pub fn parts(&mut self) -> (WriteHeld<'_>, &mut T) {
        // SAFETY: The write lock keeps everybody else out, and `self` is borrowed.
        (WriteHeld(PhantomData, NotThreadSafe), unsafe {
            &mut *self.lock.data.get()
        })
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { odp_bindings::write_unlock(self.lock.lock.get()) };
    }
}
