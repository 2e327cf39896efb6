// SPDX-License-Identifier: GPL-2.0

//! One at a time, in turn, for a device that many tasks want.
//!
//! A mutex would do, but for two things: a task that is killed while it waits for its turn must go at
//! once, and all must go when the device does.

use kernel::{
    new_condvar, new_mutex,
    prelude::*,
    sync::{
        lock::{Backend, Guard},
        CondVar, CondVarTimeoutResult, Mutex, MutexGuard,
    },
    time::{delay::fsleep, msecs_to_jiffies, Delta, Msecs},
};
use odp::task;

/// After this time a waiting task looks by itself.
const LOOK: Msecs = 1000;

/// How often a task looks that cannot sleep interruptibly.
const POLL: Delta = Delta::from_millis(1);

/// Waits for `event`, for a second at most, with the lock of `guard` dropped meanwhile. It may return
/// early.
///
/// For events that a signal is no reason to miss. The kernel's [`CondVar`] has a time limit only
/// together with signals, and while one is pending it does not sleep: look now and then instead.
pub(crate) fn wait_for<'a, T: ?Sized, B: Backend>(
    event: &CondVar,
    mut guard: Guard<'a, T, B>,
) -> Guard<'a, T, B> {
    match event.wait_interruptible_timeout(&mut guard, msecs_to_jiffies(LOOK)) {
        CondVarTimeoutResult::Signal { .. } => {
            let lock = guard.lock_ref();

            drop(guard);
            fsleep(POLL);
            lock.lock()
        }
        CondVarTimeoutResult::Woken { .. } | CondVarTimeoutResult::Timeout => guard,
    }
}

/// Who waits, and for what.
struct Queue {
    /// Why there are no more turns, if so.
    closed: Option<Error>,
    /// It is somebody's turn, or was handed over.
    taken: bool,
    /// Whoever had the last turn has handed it over to those who wait: it is not for newcomers, or
    /// one task with much to do would keep out all others.
    handed_over: bool,
    /// How often that was so: who comes later waits for the next time.
    hand_overs: u64,
    waiting: usize,
}

impl Queue {
    fn check_open(&self) -> Result {
        self.closed.map_or(Ok(()), Err)
    }
}

/// Gives turns.
#[pin_data]
pub(crate) struct Turns {
    #[pin]
    queue: Mutex<Queue>,
    #[pin]
    changed: CondVar,
}

impl Turns {
    /// Nobody's turn.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            queue <- new_mutex!(Queue {
                closed: None,
                taken: false,
                handed_over: false,
                hand_overs: 0,
                waiting: 0,
            }),
            changed <- new_condvar!(),
        })
    }

    /// Whether there are turns.
    ///
    /// # Errors
    ///
    /// What [`Turns::close`] was told.
    pub(crate) fn check_open(&self) -> Result {
        self.queue.lock().check_open()
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// - what [`Turns::close`] was told;
    /// - `EINTR` if the caller is being killed.
    pub(crate) fn take(&self) -> Result<Turn<'_>> {
        let mut queue = self.queue.lock();

        queue.check_open()?;
        if queue.taken {
            self.wait(queue)?;
        } else {
            queue.taken = true;
        }
        Ok(Turn { turns: self })
    }

    fn wait(&self, mut queue: MutexGuard<'_, Queue>) -> Result {
        let arrived = queue.hand_overs;
        queue.waiting = queue.waiting.saturating_add(1);

        let result = loop {
            if let Err(error) = queue.check_open() {
                break Err(error);
            }
            if queue.handed_over && queue.hand_overs != arrived {
                queue.handed_over = false;
                break Ok(());
            }
            if task::is_being_killed() {
                break Err(EINTR);
            }
            queue = wait_for(&self.changed, queue);
        };

        queue.waiting = queue.waiting.saturating_sub(1);
        if result.is_err() && queue.handed_over {
            // It may have been this task that was woken to take it.
            self.hand_over(&mut queue);
        }
        result
    }

    /// Passes a turn on to those who wait, if there are any.
    fn hand_over(&self, queue: &mut Queue) {
        queue.handed_over = queue.waiting != 0 && queue.closed.is_none();
        queue.hand_overs = queue.hand_overs.wrapping_add(queue.handed_over.into());
        queue.taken = queue.handed_over;
        if queue.closed.is_some() {
            self.changed.notify_all();
        } else {
            self.changed.notify_one();
        }
    }

    /// Ends all waiting, and gives no more turns: callers get `why`, of which `ENODEV` is final. A turn
    /// that somebody has is not ended.
    pub(crate) fn close(&self, why: Error) {
        let mut queue = self.queue.lock();

        if queue.closed != Some(ENODEV) {
            queue.closed = Some(why);
        }
        self.changed.notify_all();
    }

    /// Waits for the end of the last turn, after [`Turns::close`].
    pub(crate) fn wait_for_last(&self) {
        let mut queue = self.queue.lock();

        while queue.taken {
            self.changed.wait(&mut queue);
        }
    }
}

/// A turn, which ends when this is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
}

impl Turn<'_> {
    /// [`Turns::close`]: whoever has the turn may find out that it is the last.
    pub(crate) fn close(&self, why: Error) {
        self.turns.close(why);
    }

    /// [`Turns::check_open`].
    pub(crate) fn check_open(&self) -> Result {
        self.turns.check_open()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.hand_over(&mut self.turns.queue.lock());
    }
}

#[cfg(odp_kunit)]
#[path = "tests/turns.rs"]
mod tests;
