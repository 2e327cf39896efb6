// SPDX-License-Identifier: GPL-2.0

//! A window: the pages of 2 MiB of a process that a device has touched, with a notifier and a lock
//! of its own.
//!
//! The life of a window:
//!
//! 1. new: its notifier is registered, a fault uses it, and it is in no map yet ([`WindowBox`]);
//! 2. in the map: whoever finds it there, under RCU, takes its lock to see whether it still counts;
//! 3. idle: no pages and no faults. It is marked, and the reaper will come;
//! 4. retired, by the reaper, with its region, when its device goes, or where a DMA does not end: under
//!    its lock it loses its pages and its table, and leaves the map ([`Locked::retire`]);
//! 5. without the lock, by who retired it or, if it was in use, by its last user: its notifier is
//!    removed, and its memory freed after an RCU grace period ([`free`]).

use super::{aside::Link, pages::Pages, shared::Shared};
use crate::{
    charge::Memory,
    in_flight::InFlight,
    notifier::{IntervalNotifier, Invalidate, InvalidateLocked, Watch},
    page::{PageIndex, PageRange, PageShift, UmemPage, UserVa},
    rwlock::{ReadGuard, RwLock, WriteGuard, WriteHeld},
    snapshot::Snapshot,
    Access,
};
use core::{mem::replace, ops::Deref, ptr::NonNull};
use kernel::{
    bindings,
    mm::MmWithUser,
    prelude::*,
    sync::{static_lock_class, Arc},
    types::Opaque,
};

/// The address space is cut into windows of this size: what one page of entries describes.
pub(super) const WINDOW: PageShift = PageShift::TWO_MIB;

/// The number of pages in a window.
const WINDOW_PAGES: usize = 1 << (WINDOW.order());

/// What lockdep calls a window's lock. It takes a name at another address for another name, and a
/// literal has one in each instance of a generic function.
static LOCK_NAME: &CStr = c"odp_window";

/// A window, watching its part of the address space.
pub(super) type Window<P> = Watch<Inner<P>>;

/// The region that a window belongs to.
///
/// # Invariants
///
/// It outlives the window's notifier, and so all users of the window.
struct SharedRef<P: Pages>(NonNull<Shared<P>>);

// SAFETY: It is a reference to a type that is `Sync`.
unsafe impl<P: Pages> Send for SharedRef<P> {}
// SAFETY: As above.
unsafe impl<P: Pages> Sync for SharedRef<P> {}

/// Where the kernel queues a window for the end of an RCU grace period.
struct RcuHead(Opaque<bindings::kvfree_rcu_head>);

// SAFETY: Only `kvfree_call_rcu()` uses it, for a window that has no other user.
unsafe impl Send for RcuHead {}
// SAFETY: As above.
unsafe impl Sync for RcuHead {}

/// What a window consists of beside its notifier.
#[pin_data]
pub(super) struct Inner<P: Pages> {
    range: PageRange,
    index: usize,
    shared: SharedRef<P>,
    freed: RcuHead,
    /// Where its region keeps it when it was set aside.
    pub(super) aside: Link<P>,
    #[pin]
    table: RwLock<Table<P>>,
}

/// What a window's lock protects.
pub(super) struct Table<P: Pages> {
    /// The pages of the window's range; none when it is retired.
    pub(super) pages: P,
    /// How many of them are there.
    present: usize,
    /// Faults that are under way, and the region, if it was set aside. They keep the window from being
    /// freed, and as a rule from being retired.
    pub(super) users: usize,
    /// Invalidations that wait for DMAs to end. No DMA begins meanwhile.
    pub(super) waiting: usize,
    /// How many pages to look at around those that a fault wants, a power of two.
    around: usize,
}

/// The least that [`Table::around`] becomes: less is no look around, and would never become more.
const LEAST_AROUND: usize = 8;

impl<P: Pages> Table<P> {
    /// The pages of the window.
    #[inline]
    pub(super) fn pages(&self) -> &P {
        &self.pages
    }

    /// The pages of the window, for a DMA that is about to begin; `None` if none may.
    pub(super) fn pages_for_dma(&mut self) -> Option<&mut P> {
        (!self.is_waited_for()).then_some(&mut self.pages)
    }

    /// Whether somebody waits to take pages away.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting != 0
    }

    /// DMAs that are under way, if there are any.
    pub(super) fn dma(&self) -> Option<&Arc<InFlight>> {
        self.pages.in_flight().filter(|dma| dma.any())
    }

    /// Whether the window is of no use to anybody.
    fn is_idle(&self) -> bool {
        self.present == 0 && self.users == 0
    }

    /// A retired window has no pages, and is not in the map.
    pub(super) fn is_retired(&self) -> bool {
        self.pages.is_none()
    }

    /// Leaves the pages to a DMA that does not end.
    pub(super) fn lose(&mut self) {
        self.pages.lose();
        self.present = 0;
    }

    /// Takes the pages at `indices` from the device, and returns how many there were.
    fn unmap(&mut self, indices: impl Iterator<Item = PageIndex<UmemPage>>) -> usize {
        if self.present == 0 {
            return 0;
        }
        let unmapped = indices.fold(0usize, |n, index| {
            n.wrapping_add(self.pages.unmap(index).into())
        });

        self.present = self.present.saturating_sub(unmapped);
        if unmapped != 0 {
            self.pages.flush();
        }
        unmapped
    }
}

/// The write lock of a window. The proof for [`crate::Snapshot::validate`] is [`Proof`].
pub(super) struct Locked<'a, P: Pages> {
    pub(super) window: &'a Window<P>,
    table: WriteGuard<'a, Table<P>>,
}

/// The write lock of a window stays held.
pub(super) struct Proof<'g> {
    notifier: &'g IntervalNotifier,
    _held: WriteHeld<'g>,
}

// SAFETY: The callback of a window's notifier takes its lock for writing, and `Locked` and `Proof`
// live while it is held.
unsafe impl<P: Pages> InvalidateLocked for Locked<'_, P> {
    fn notifier(&self) -> &IntervalNotifier {
        self.window.notifier()
    }
}

// SAFETY: As above.
unsafe impl InvalidateLocked for Proof<'_> {
    fn notifier(&self) -> &IntervalNotifier {
        self.notifier
    }
}

impl<P: Pages> Locked<'_, P> {
    fn parts(&mut self) -> (Proof<'_>, &mut Table<P>) {
        let (held, table) = self.table.parts();
        let notifier = self.window.notifier();

        (
            Proof {
                notifier,
                _held: held,
            },
            table,
        )
    }

    pub(super) fn table(&mut self) -> &mut Table<P> {
        self.table.parts().1
    }

    /// Marks the window for the reaper if it is of no use any more.
    fn mark_if_idle(&mut self) {
        if self.table().is_idle() && !self.table().is_retired() {
            self.window.shared().reap_later(self.window.index());
        }
    }

    /// Begins to use the window for a fault. `false` if it is retired.
    pub(super) fn enter_use(&mut self) -> bool {
        let table = self.table();
        let alive = !table.is_retired();

        table.users = table.users.wrapping_add(alive.into());
        alive
    }

    /// Ends the use. Returns whether the caller has to [`free`] the window.
    pub(super) fn leave_use(&mut self) -> bool {
        let table = self.table();

        table.users = table.users.saturating_sub(1);
        let free = table.users == 0 && table.is_retired();
        self.mark_if_idle();
        free
    }

    /// Enters what a walk saw, pages that the CPU maps by less than `least` left out. `false` if an
    /// invalidation came between.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the walk was not in the window;
    /// - `EAGAIN` if the window was retired: there will be another.
    pub(super) fn enter(&mut self, snapshot: Snapshot<'_>, least: PageShift) -> Result<bool> {
        let range = self.window.range;
        let (proof, table) = self.parts();
        let Ok(seen) = snapshot.validate(&proof) else {
            return Ok(false);
        };
        if table.is_retired() {
            return Err(EAGAIN);
        }

        for (index, base) in range.indices(seen.range())? {
            let page = seen.get(base);
            if !page.is_valid() || page.map_order() < least.order() {
                continue;
            }
            let new = table.pages.enter(index, page);
            table.present = table.present.wrapping_add(new.into());
        }
        Ok(true)
    }

    /// Makes the pages of `part` that are there usable for the device.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `part` is not in the window, else as [`Pages::prepare`].
    pub(super) fn prepare(&mut self, part: &PageRange) -> Result {
        let range = self.window.range;
        let table = self.table();

        range
            .indices(part)?
            .try_for_each(|(index, _)| table.pages.prepare(index))
    }

    /// How many pages of `part` allow `access`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `part` is not in the window.
    pub(super) fn count(&mut self, part: &PageRange, access: Access) -> Result<usize> {
        let range = self.window.range;
        let pages = &self.table().pages;

        Ok(range.indices(part)?.fold(0usize, |n, (index, _)| {
            n.wrapping_add(pages.allows(index, access).into())
        }))
    }

    /// The pages around `part` that are worth a look before it is faulted in, if there are any.
    pub(super) fn around(&mut self, part: &PageRange) -> Option<PageRange> {
        let around = self.table().around;
        let block = self
            .window
            .range
            .block(part.start(), PageShift::of_pages(around))?;

        (block.contains(part) && block != *part).then_some(block)
    }

    /// Adapts the number of pages to look at to whether that was enough.
    pub(super) fn looked_around(&mut self, enough: bool) {
        let table = self.table();

        table.around = match enough {
            true => table.around.saturating_mul(2).min(WINDOW_PAGES),
            false => (table.around / 4).max(LEAST_AROUND),
        };
    }

    /// Retires the window if it is idle. Returns whether the caller has to [`free`] it.
    pub(super) fn retire_if_idle(mut self) -> bool {
        if !self.table().is_idle() {
            // Whatever makes it idle again marks it again.
            self.window.shared().windows.clear_idle(self.window.index());
            return false;
        }
        self.retire()
    }

    /// Retires the window. A DMA that is under way in it is one that was waited for, or has a mapping
    /// that was leaked: its pages are lost. Returns whether the caller has to [`free`] the window.
    pub(super) fn retire(mut self) -> bool {
        let window = self.window;
        let table = self.table();

        if table.is_retired() {
            return false;
        }
        match table.dma() {
            Some(_) => table.lose(),
            None => {
                let range = window.range;
                table.unmap(range.touched(range.start(), range.end()));
            }
        }
        let pages = replace(&mut table.pages, P::none());
        let free = table.users == 0;
        window.shared().windows.remove(window);
        drop(self);
        // Without the lock.
        drop(pages);
        free
    }
}

// SAFETY: `lock` takes the lock of the window it is given, a spinning one; nothing sleeps but
// `wait_for_dma`, where there is something to wait for. A window goes with its region, which goes in time,
// see `FaultWorkers::new`, or with its device.
unsafe impl<P: Pages> Invalidate for Inner<P> {
    type Guard<'a> = Locked<'a, P>;

    fn lock(watch: &Watch<Self>) -> Locked<'_, P> {
        watch.write()
    }

    fn would_wait(guard: &Locked<'_, P>) -> bool {
        guard.table.dma().is_some()
    }

    fn invalidated(guard: Locked<'_, P>, start: UserVa, end: UserVa) {
        let mut guard = guard.wait_for_dma();
        let window = guard.window;
        let unmapped = guard.table().unmap(window.range.touched(start, end));

        window.shared().counters.count_invalidation(unmapped);
        if unmapped != 0 {
            guard.mark_if_idle();
        }
    }
}

impl<P: Pages> Window<P> {
    /// Takes the window's lock for reading.
    #[inline]
    pub(super) fn read(&self) -> ReadGuard<'_, Table<P>> {
        self.table.read()
    }

    /// Takes the window's lock.
    pub(super) fn write(&self) -> Locked<'_, P> {
        Locked {
            window: self,
            table: self.table.write(),
        }
    }

    /// Makes this window the first that the next access looks at.
    #[inline]
    pub(super) fn remember(&self, table: &ReadGuard<'_, Table<P>>) {
        self.shared().windows.remember(self, table);
    }
}

impl<P: Pages> Inner<P> {
    pub(super) fn shared(&self) -> &Shared<P> {
        // SAFETY: By the type invariants of `SharedRef`.
        unsafe { self.shared.0.as_ref() }
    }

    /// The addresses that the window is for.
    #[inline]
    pub(super) fn range(&self) -> &PageRange {
        &self.range
    }

    /// The window's place in its map.
    #[inline]
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

/// A window that is nobody else's.
pub(super) struct WindowBox<P: Pages>(Pin<KBox<Window<P>>>);

impl<P: Pages> WindowBox<P> {
    /// Makes a window of `range`, which lies in one, that is in use already, in such `memory`.
    ///
    /// # Errors
    ///
    /// As [`Pages::new`] and [`IntervalNotifier::insert`]; `ENOMEM`.
    pub(super) fn new(
        shared: &Shared<P>,
        mm: &MmWithUser,
        range: PageRange,
        memory: Memory,
    ) -> Result<Self> {
        let table = Table {
            pages: P::new(&shared.device, &range, shared.writable, memory)?,
            present: 0,
            users: 1,
            waiting: 0,
            around: WINDOW_PAGES,
        };
        let inner = pin_init!(Inner {
            range,
            index: shared.index_of(range.start()),
            // INVARIANT: A region removes its windows before it goes.
            shared: SharedRef(NonNull::from(shared)),
            freed: RcuHead(Opaque::uninit()),
            aside: Link::new(),
            table <- RwLock::new(table, LOCK_NAME, static_lock_class!()),
        });
        let window = Watch::new(mm, &range, inner);

        Ok(Self(KBox::pin_init(window, memory.flags())?))
    }

    /// Gives the window away.
    pub(super) fn into_raw(self) -> NonNull<Window<P>> {
        // SAFETY: It is not moved. The pointer of a box is not null.
        unsafe { NonNull::new_unchecked(KBox::into_raw(Pin::into_inner_unchecked(self.0))) }
    }

    /// Takes it back.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`WindowBox::into_raw`], and nobody else may use it.
    pub(super) unsafe fn from_raw(raw: NonNull<Window<P>>) -> Self {
        // SAFETY: By the caller's promise.
        Self(unsafe { Pin::new_unchecked(KBox::from_raw(raw.as_ptr())) })
    }
}

impl<P: Pages> Deref for WindowBox<P> {
    type Target = Window<P>;

    fn deref(&self) -> &Window<P> {
        &self.0
    }
}

/// Frees a retired window, when the last reader has left the RCU section in which it was found.
///
/// # Safety
///
/// `window` must come from [`WindowBox::into_raw`], and [`Locked::retire`] or [`Locked::leave_use`]
/// must have told the caller to free it, who holds no lock of it.
pub(super) unsafe fn free<P: Pages>(window: NonNull<Window<P>>) {
    // SAFETY: A retired window is in no map and has no users but for RCU readers, who see that it
    // is retired. It has nothing left to drop, and its memory comes from `kmalloc()`.
    unsafe {
        let head = window.as_ref().freed.0.get();

        Watch::unregister(window);
        bindings::kvfree_call_rcu(head, window.as_ptr().cast());
    }
}

#[cfg(odp_kunit)]
#[path = "../tests/window.rs"]
mod tests;
