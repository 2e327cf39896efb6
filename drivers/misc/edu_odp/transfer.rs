// SPDX-License-Identifier: GPL-2.0

//! A DMA of any length on user memory that is not pinned.
//!
//! It goes through the device's buffer, chunk by chunk. For each chunk:
//!
//! 1. wait for the turn to use the engine;
//! 2. [`Region::try_map`]: if the device can reach all the memory, let it, and drop the mappings when it
//!    has done, since the kernel may be waiting for the pages;
//! 3. where it cannot, end the turn, [`Region::fault`], and begin again: until the next turn the page
//!    can go.
//!
//! Nothing faults with a mapping or a turn in hand. That is all that a driver has to know about memory.
//!
//! [`Region::try_map`]: odp::Region::try_map
//! [`Region::fault`]: odp::Region::fault

use crate::{
    engine::{Direction, Engine, Turn, BUFFER_BYTES},
    ranges::{Range, Ranges},
};
use kernel::{prelude::*, sync::Arc, time::Msecs};
use odp::{deadline::Deadline, region::Mapping, task, Access, UserVa};

/// How long a chunk may lose its pages again and again before it could use them.
const PATIENCE: Msecs = 5000;

/// Registered memory that a transfer reads or writes.
pub(crate) struct Memory {
    handle: u32,
    range: Arc<Range>,
    start: UserVa,
    direction: Direction,
}

impl Memory {
    /// `len` bytes from `va` on in the range that `handle` names.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if there is no such range, `EFAULT` if they are not in it;
    /// - `EPERM` if they are to be written and must not be.
    pub(crate) fn find(
        ranges: &Ranges,
        handle: u32,
        va: u64,
        len: u64,
        direction: Direction,
    ) -> Result<Self> {
        let range = ranges.get(handle)?;
        let start = range.part(va, len)?;

        if direction == Direction::ToMemory && !range.region.is_writable() {
            return Err(EPERM);
        }
        Ok(Self {
            handle,
            range,
            start,
            direction,
        })
    }

    fn access(&self) -> Access {
        match self.direction {
            Direction::ToDevice => Access::Read,
            Direction::ToMemory => Access::Write,
        }
    }

    /// The part of it that `chunk` is about.
    fn part(&self, chunk: Chunk) -> Result<Part<'_>> {
        Ok(Part {
            memory: self,
            va: self.start.checked_add(chunk.offset)?,
            at: chunk.at,
            len: chunk.len,
        })
    }
}

/// So much of a transfer as fits in the buffer.
#[derive(Clone, Copy)]
struct Chunk {
    /// Where in the transfer.
    offset: u64,
    /// Where in the buffer.
    at: usize,
    len: usize,
}

/// A part of the memory that is to be moved, and where in the buffer it goes.
#[derive(Clone, Copy)]
struct Part<'a> {
    memory: &'a Memory,
    va: UserVa,
    at: usize,
    len: usize,
}

/// What came of an attempt.
enum Attempt<'a, T> {
    Done(T),
    /// From there on a fault is wanted.
    Missing(Part<'a>),
}

/// A part that is mapped, all of it: the device finds it in one piece, or in two, where a page or a
/// window ends.
struct Pieces<'a> {
    part: Part<'a>,
    first: Mapping<'a>,
    second: Option<Mapping<'a>>,
}

impl Pieces<'_> {
    /// Moves the data.
    fn run(self, turn: &Turn<'_>) -> Result {
        let direction = self.part.memory.direction;
        let at = self.part.at;

        turn.run(direction, self.first.address(), at, self.first.len())?;
        if let Some(second) = &self.second {
            let at = at.saturating_add(self.first.len());
            turn.run(direction, second.address(), at, second.len())?;
        }
        Ok(())
    }
}

impl<'a> Part<'a> {
    /// Without the first `bytes`.
    fn skip(self, bytes: usize) -> Result<Self> {
        Ok(Self {
            va: self.va.checked_add(bytes as u64)?,
            at: self.at.saturating_add(bytes),
            len: self.len.saturating_sub(bytes),
            ..self
        })
    }

    fn try_map(self) -> Result<Option<Mapping<'a>>> {
        let region = &self.memory.range.region;

        region.try_map(self.va, self.len, self.memory.access())
    }

    /// Maps it, all or nothing.
    fn map(self) -> Result<Attempt<'a, Pieces<'a>>> {
        let Some(first) = self.try_map()? else {
            return Ok(Attempt::Missing(self));
        };
        let rest = self.skip(first.len())?;
        let second = match rest.len {
            0 => None,
            _ => match rest.try_map()? {
                // A chunk lies in two pages.
                Some(second) if second.len() != rest.len => return Err(EFAULT),
                None => return Ok(Attempt::Missing(rest)),
                second => second,
            },
        };
        Ok(Attempt::Done(Pieces {
            part: self,
            first,
            second,
        }))
    }

    fn fault(&self, deadline: &mut Deadline) -> Result {
        let region = &self.memory.range.region;

        region.fault(self.va, self.len as u64, self.memory.access(), deadline)
    }
}

/// A DMA from registered memory to the buffer, from the buffer to registered memory, or both.
pub(crate) struct Transfer<'a> {
    /// Who does it.
    pub(crate) engine: &'a Engine,
    /// What the memory is registered in.
    pub(crate) ranges: &'a Ranges,
    /// What is read.
    pub(crate) source: Option<Memory>,
    /// What is written.
    pub(crate) target: Option<Memory>,
    /// How much.
    pub(crate) len: u64,
}

impl Transfer<'_> {
    /// Does it. `done` is how much was done, whatever the result.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if there is no memory that a device may use, or its process is gone;
    /// - `EPERM` if it is to be written and is read-only; `EHWPOISON`;
    /// - `EAGAIN` if it was taken away again and again;
    /// - `ECANCELED` if it is not registered any more;
    /// - `ENODEV` if the device is gone, `EIO` if it is out of order;
    /// - `EINTR` if a signal came.
    pub(crate) fn run(&self, done: &mut u64) -> Result {
        while *done < self.len {
            if *done != 0 && task::has_signal() {
                return Err(EINTR);
            }
            // CAST: Less than the size of the buffer, both of them.
            let at = (*done % BUFFER_BYTES as u64) as usize;
            let room = BUFFER_BYTES.wrapping_sub(at);
            let len = self.len.wrapping_sub(*done).min(room as u64) as usize;

            self.chunk(Chunk {
                offset: *done,
                at,
                len,
            })?;
            *done = done.saturating_add(len as u64);
        }
        Ok(())
    }

    fn chunk(&self, chunk: Chunk) -> Result {
        let mut deadline = Deadline::after_msecs(PATIENCE);

        while let Attempt::Missing(part) = self.attempt(chunk)? {
            part.fault(&mut deadline)?;
        }
        Ok(())
    }

    /// Moves a chunk, if all that it needs is there.
    fn attempt(&self, chunk: Chunk) -> Result<Attempt<'_, ()>> {
        if task::is_being_killed() {
            return Err(EINTR);
        }
        // Nobody else uses the buffer between reading and writing.
        let turn = self.engine.turn()?;
        let dma = self.ranges.begin_dma();
        let memories = [&self.source, &self.target];
        for memory in memories.into_iter().flatten() {
            dma.check(memory.handle, &memory.range)?;
        }

        // All of it before anything is moved: a DMA takes long, pages go meanwhile, and what was read
        // may be gone when it is to be read again, as memory may be copied to itself.
        let mut mapped = [None, None];
        for (memory, mapped) in memories.into_iter().flatten().zip(&mut mapped) {
            match memory.part(chunk)?.map()? {
                Attempt::Done(pieces) => *mapped = Some(pieces),
                Attempt::Missing(part) => return Ok(Attempt::Missing(part)),
            }
        }
        for pieces in mapped.into_iter().flatten() {
            pieces.run(&turn)?;
        }
        Ok(Attempt::Done(()))
    }
}
