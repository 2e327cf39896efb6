// SPDX-License-Identifier: GPL-2.0

//! An engine for tests, with the face of `engine.rs`: the CPU moves the data, at once.

use crate::turns::{self, Turns};
use edu_odp_uapi::EDU_ODP_BUFFER;
use kernel::{
    dma::DmaAddress,
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

/// The size of the buffer.
pub(crate) const BUFFER_BYTES: usize = EDU_ODP_BUFFER as usize;

/// Which way data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From memory to the buffer.
    ToDevice,
    /// From the buffer to memory.
    ToMemory,
}

/// The buffer, and how many DMAs were done.
pub(crate) struct Buffer {
    pub(crate) bytes: KVec<u8>,
    pub(crate) dmas: u64,
}

/// The engine.
#[pin_data]
pub(crate) struct Engine {
    #[pin]
    turns: Turns,
    #[pin]
    pub(crate) buffer: Mutex<Buffer>,
}

impl Engine {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let bytes = KVec::from_elem(0, BUFFER_BYTES, GFP_KERNEL)?;

        Arc::pin_init(
            pin_init!(Self {
                turns <- Turns::new(),
                buffer <- new_mutex!(Buffer { bytes, dmas: 0 }),
            }),
            GFP_KERNEL,
        )
    }

    pub(crate) fn turn(&self) -> Result<Turn<'_>> {
        Ok(Turn {
            _turn: self.turns.take()?,
            engine: self,
        })
    }

    /// Ends the use of the engine.
    pub(crate) fn close(&self, why: Error) {
        self.turns.close(why);
    }
}

/// The turn to use the engine.
pub(crate) struct Turn<'a> {
    engine: &'a Engine,
    _turn: turns::Turn<'a>,
}

impl Turn<'_> {
    pub(crate) fn run(
        &self,
        direction: Direction,
        memory: DmaAddress,
        at: usize,
        len: usize,
    ) -> Result {
        let mut buffer = self.engine.buffer.lock();

        buffer.dmas += 1;
        let end = at.checked_add(len).filter(|_| len != 0).ok_or(EINVAL)?;
        let bytes = buffer.bytes.get_mut(at..end).ok_or(EINVAL)?;
        // SAFETY: Whoever has the turn has mapped it, and the process is the one that waits for this.
        let memory = unsafe { odp::tests::by_dma(memory, len) };
        match direction {
            Direction::ToDevice => bytes.copy_from_slice(memory),
            Direction::ToMemory => memory.copy_from_slice(bytes),
        }
        Ok(())
    }
}
