// SPDX-License-Identifier: GPL-2.0

//! A snapshot that collided is worth nothing: the next attempt has to walk anew.

use odp::{snapshot::Collision, Locked, Snapshot};

pub fn retry(snapshot: Snapshot<'_>, locked: &mut Locked<'_>) -> Option<Collision> {
    let hold = locked.parts().0;

    let _collision = snapshot.validate(hold).err()?;
    #[cfg(not(correct))]
    let _collision = snapshot.validate(hold).err()?; //~ ERROR E0382: use of moved value: snapshot
    Some(_collision)
}
