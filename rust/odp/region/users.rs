// SPDX-License-Identifier: GPL-2.0

//! How many workers the processes of a user have in all.
//!
//! A worker that waits is a kernel thread, which is charged to nobody. So a user with many processes has
//! not as many times the workers of one: the more there are, the fewer get those that come, down to one
//! for each kind of work, which is about what the process itself costs.

use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    new_mutex,
    prelude::*,
    rbtree::{Entry, RBTree, RBTreeNodeReservation},
    sync::{Arc, Mutex},
    task::Kuid,
};

/// How many workers a user may have, but for the last one of each process.
const MAX: c_int = 2_048;
/// Which part of what is left one process gets at the most.
const PART: c_int = 8;

/// The users whose processes have workers.
#[pin_data]
pub(super) struct Users {
    /// By the number of the user: how many workers his processes may have.
    #[pin]
    workers: Mutex<RBTree<u32, c_int>>,
}

/// What a process may have of its user's workers.
///
/// # Invariants
///
/// It is counted.
pub(super) struct Share {
    users: Arc<Users>,
    user: u32,
    workers: c_int,
}

impl Users {
    /// Nobody yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                workers <- new_mutex!(RBTree::new(), "odp_users"),
            }),
            GFP_KERNEL,
        )
    }

    /// The number of the current task's user, in the first user namespace.
    pub(super) fn current() -> u32 {
        Kuid::current_euid().into_raw().val
    }

    /// A share for a process of `user` that wants so many workers: one at least.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn share(this: &Arc<Self>, user: u32, wanted: c_int) -> Result<Share> {
        // If it is not wanted it is freed after the lock.
        let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let mut users = this.workers.lock();
        let all = match users.entry(user) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(0, room),
        };
        let workers = wanted.min(MAX.saturating_sub(*all) / PART).max(1);

        *all = all.saturating_add(workers);
        drop(users);
        // INVARIANT: Just counted.
        Ok(Share {
            users: this.clone(),
            user,
            workers,
        })
    }
}

impl Share {
    /// How many workers that is.
    pub(super) fn workers(&self) -> c_int {
        self.workers
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut users = self.users.workers.lock();
        let Some(all) = users.get_mut(&self.user) else {
            return;
        };

        *all = all.saturating_sub(self.workers);
        let gone = match *all {
            0 => users.remove_node(&self.user),
            _ => None,
        };
        drop(users);
        drop(gone);
    }
}

#[cfg(odp_kunit)]
#[path = "../tests/users.rs"]
mod tests;
