// SPDX-License-Identifier: GPL-2.0

//! Waiting for a DMA, and windows in which that had no end. They are retired at once, but nobody can free
//! them before their region ends.

use super::{
    pages::Pages,
    window::{Locked, Window},
};
use core::{
    mem::replace,
    ptr::{null_mut, NonNull},
};
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// The next in a list of windows, or none.
pub(super) struct Link<P: Pages>(Atomic<*mut Window<P>>);

impl<P: Pages> Link<P> {
    /// None.
    pub(super) const fn new() -> Self {
        Self(Atomic::new(null_mut()))
    }
}

/// A list of windows, by their `aside`.
///
/// # Invariants
///
/// All are in use by the list, and so not freed.
pub(super) struct Aside<P: Pages>(Link<P>);

impl<P: Pages> Aside<P> {
    /// An empty list.
    pub(super) const fn new() -> Self {
        Self(Link::new())
    }

    /// Adds a window, which has been counted as used for that, and never was in a list. Neither
    /// allocates nor sleeps.
    pub(super) fn put(&self, window: &Window<P>) {
        let head = &self.0 .0;
        let mut first = head.load(Relaxed);

        loop {
            window.aside.0.store(first, Relaxed);
            // INVARIANT: In use, by the caller's account.
            match head.cmpxchg(first, core::ptr::from_ref(window).cast_mut(), Full) {
                Ok(_) => break,
                Err(now) => first = now,
            }
        }
    }

    /// Takes all windows out. The caller has to end the use of each.
    pub(super) fn take(&self) -> impl Iterator<Item = NonNull<Window<P>>> {
        let mut next = self.0 .0.xchg(null_mut(), Full);

        core::iter::from_fn(move || {
            let window = NonNull::new(next)?;
            // SAFETY: By the type invariants; its use is not ended before this has returned.
            next = unsafe { window.as_ref() }.aside.0.load(Relaxed);
            Some(window)
        })
    }
}

impl<P: Pages> Locked<'_, P> {
    /// Waits until no DMA is under way. Drops the lock to do that, and takes it again. Where one does
    /// not end, its pages are lost, and the window with them.
    pub(super) fn wait_for_dma(mut self) -> Self {
        while let Some(dma) = self.table().dma().cloned() {
            let window = self.window;
            let table = self.table();

            table.waiting = table.waiting.wrapping_add(1);
            drop(self);
            let ended = dma.wait();
            self = window.write();
            let table = self.table();
            table.waiting = table.waiting.saturating_sub(1);
            if !ended && table.dma().is_some() {
                self = self.set_aside();
            }
        }
        self
    }

    /// Retires the window where it cannot be freed: in its notifier's callback. Its region frees it when
    /// it ends.
    fn set_aside(mut self) -> Self {
        let window = self.window;
        let table = self.table();

        table.users = table.users.wrapping_add(1);
        table.lose();
        let pages = replace(&mut table.pages, P::none());
        // In this order, so that who looks for windows finds it here or there.
        window.shared().aside.put(window);
        window.shared().windows.remove(window);
        drop(self);
        // Without the lock.
        drop(pages);
        window.write()
    }
}
