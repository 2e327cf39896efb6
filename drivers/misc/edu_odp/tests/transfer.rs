// SPDX-License-Identifier: GPL-2.0

//! Transfers of any length between any addresses, chunk by chunk, on real memory that is taken away
//! between them, against a model that moves bytes; and how much was done when one fails.

use crate::{
    engine::{Direction, Engine, BUFFER_BYTES},
    ranges::{Range, Ranges},
    transfer::{Memory, Transfer},
};
use kernel::{prelude::*, sync::Arc};
use odp::{
    tests::{self, same, Protection, Random, UserMemory, PAGE},
    umem::AccessFlags,
    BusDevice,
};

/// Pages of memory, and after how many of them a window ends.
const PAGES: u64 = 20;
const FIRST_WINDOW: u64 = 9;
const BYTES: u64 = PAGES * PAGE;

/// Memory that is registered, and what should be in it and in the device's buffer.
struct Fixture {
    memory: UserMemory,
    engine: Arc<Engine>,
    ranges: Arc<Ranges>,
    handle: u32,
    model: KVVec<u8>,
    buffer: KVVec<u8>,
}

impl Fixture {
    fn new(writable: bool) -> Result<Self> {
        let memory = UserMemory::new(PAGES, 512 - FIRST_WINDOW)?;
        let bus = BusDevice::new(tests::device()?)?;
        let access = AccessFlags::local(writable);
        let ranges = Arc::pin_init(Ranges::new(), GFP_KERNEL)?;
        let handle = ranges.add(Range::new(bus, memory.page(0), BYTES, access)?)?;

        Ok(Self {
            memory,
            engine: Engine::new()?,
            ranges,
            handle,
            model: KVVec::from_elem(0, BYTES as usize, GFP_KERNEL)?,
            buffer: KVVec::from_elem(0, BUFFER_BYTES, GFP_KERNEL)?,
        })
    }

    fn find(&self, at: u64, len: u64, direction: Direction) -> Result<Memory> {
        let va = self.memory.at(at).get();

        Memory::find(&self.ranges, self.handle, va, len, direction)
    }

    /// Moves `len` bytes from `source`, if any, to `target`, if any. Returns how many were moved.
    fn run(&self, source: Option<u64>, target: Option<u64>, len: u64) -> (Result, u64) {
        let find =
            |at: Option<u64>, direction| at.map(|at| self.find(at, len, direction)).transpose();
        let mut done = 0;
        let result = || -> Result<Transfer<'_>> {
            Ok(Transfer {
                engine: &self.engine,
                ranges: &self.ranges,
                source: find(source, Direction::ToDevice)?,
                target: find(target, Direction::ToMemory)?,
                len,
            })
        }()
        .and_then(|transfer| transfer.run(&mut done));

        (result, done)
    }

    /// The same by the model.
    fn model(&mut self, source: Option<u64>, target: Option<u64>, len: u64) {
        let mut done = 0;

        while done < len as usize {
            let chunk = BUFFER_BYTES.min(len as usize - done);
            if let Some(at) = source {
                let at = at as usize + done;
                self.buffer[..chunk].copy_from_slice(&self.model[at..at + chunk]);
            }
            if let Some(at) = target {
                let at = at as usize + done;
                self.model[at..at + chunk].copy_from_slice(&self.buffer[..chunk]);
            }
            done += chunk;
        }
    }

    /// Whether memory and buffer are as they should be.
    fn agrees(&self) -> Result<bool> {
        let mut bytes = KVVec::from_elem(0, BYTES as usize, GFP_KERNEL)?;

        self.memory.read(0, &mut bytes)?;
        let buffer = self.engine.buffer.lock();
        Ok(bytes[..] == self.model[..] && buffer.bytes[..] == self.buffer[..])
    }

    /// New bytes, by the process.
    fn stamp(&mut self, at: u64, len: u64, random: &mut Random) -> Result {
        let bytes = &mut self.model[at as usize..(at + len) as usize];

        for byte in bytes.iter_mut() {
            *byte = random.number() as u8;
        }
        self.memory.write(at, bytes)
    }
}

#[kunit_tests(edu_odp_transfer)]
mod suite {
    use super::*;

    #[test]
    fn transfers_agree_with_a_model() -> Result {
        let mut fixture = Fixture::new(true)?;
        let mut random = Random::new("transfers_agree_with_a_model");

        for step in 0..400 {
            let len = random.below(4 * PAGE) >> random.below(12);
            let place = |random: &mut Random| random.below(BYTES - len + 1);
            let (source, target) = match random.below(4) {
                0 => (Some(place(&mut random)), None),
                1 => (None, Some(place(&mut random))),
                // To itself too: what is read is read before anything of the chunk is written.
                _ => (Some(place(&mut random)), Some(place(&mut random))),
            };
            match random.below(4) {
                0 => fixture.stamp(place(&mut random), len, &mut random)?,
                1 => {
                    let page = random.below(PAGES);
                    fixture.memory.replace(page, 1, Protection::Write)?;
                    let from = (page * PAGE) as usize;
                    fixture.model[from..from + PAGE as usize].fill(0);
                }
                _ => (),
            }
            let is = fixture.run(source, target, len);
            fixture.model(source, target, len);
            assert!(same(
                fmt!("step {step}: {len} bytes from {source:?} to {target:?}"),
                (is, fixture.agrees()?),
                ((Ok(()), len), true)
            ));
        }
        Ok(())
    }

    #[test]
    fn a_chunk_takes_as_few_dmas_as_it_can() -> Result {
        let fixture = Fixture::new(true)?;
        let dmas = |at: u64, len: u64| -> Result<u64> {
            let before = fixture.engine.buffer.lock().dmas;
            fixture.run(Some(at), None, len).0?;
            Ok(fixture.engine.buffer.lock().dmas - before)
        };

        assert_eq!(dmas(0, 0)?, 0);
        assert_eq!(dmas(0, 1)?, 1);
        assert_eq!(dmas(0, PAGE)?, 1);
        assert_eq!(dmas(0, PAGE + 1)?, 2);
        // Over the end of a window there are always two.
        let end = FIRST_WINDOW * PAGE;
        assert_eq!(dmas(end - 1, 2)?, 2);
        assert_eq!(dmas(end, PAGE)?, 1);
        Ok(())
    }

    #[test]
    fn how_much_was_done_is_told() -> Result {
        let mut fixture = Fixture::new(true)?;
        let buffer = BUFFER_BYTES as u64;

        fixture.memory.unmap(7, 1)?;
        // All before the chunk that touches the hole.
        assert_eq!(
            fixture.run(Some(0), None, 10 * buffer),
            (Err(EFAULT), 7 * buffer)
        );
        assert_eq!(
            fixture.run(Some(10), None, 10 * buffer),
            (Err(EFAULT), 6 * buffer)
        );
        assert_eq!(fixture.run(Some(7 * PAGE), None, 1), (Err(EFAULT), 0));
        assert_eq!(fixture.run(Some(6 * PAGE), None, PAGE), (Ok(()), PAGE));
        // A copy whose target is missing has written nothing of the chunk.
        fixture.memory.replace(7, 1, Protection::Read)?;
        assert_eq!(
            fixture.run(Some(0), Some(6 * PAGE), 2 * buffer),
            (Err(EPERM), buffer)
        );
        fixture.model.fill(0);
        assert_eq!(fixture.agrees(), Ok(true));
        Ok(())
    }

    #[test]
    fn what_may_not_be_is_refused_at_once() -> Result {
        let fixture = Fixture::new(true)?;
        let read_only = Fixture::new(false)?;
        let error = |at, len, direction| fixture.find(at, len, direction).err();

        assert_eq!(error(0, BYTES + 1, Direction::ToDevice), Some(EFAULT));
        assert_eq!(error(BYTES, 1, Direction::ToMemory), Some(EFAULT));
        assert_eq!(error(1, u64::MAX, Direction::ToDevice), Some(EFAULT));
        assert_eq!(error(BYTES, 0, Direction::ToMemory), None);
        assert_eq!(read_only.find(0, 1, Direction::ToMemory).err(), Some(EPERM));
        assert!(read_only.find(0, 1, Direction::ToDevice).is_ok());
        let (ranges, unknown) = (&fixture.ranges, fixture.handle + 1);
        let va = fixture.memory.page(0).get();
        let found = Memory::find(ranges, unknown, va, 1, Direction::ToDevice);
        assert_eq!(found.err(), Some(ENOENT));
        Ok(())
    }

    #[test]
    fn what_was_deregistered_is_not_touched() -> Result {
        let fixture = Fixture::new(true)?;
        let mut done = 0;
        let transfer = Transfer {
            engine: &fixture.engine,
            ranges: &fixture.ranges,
            source: None,
            target: Some(fixture.find(0, BYTES, Direction::ToMemory)?),
            len: BYTES,
        };

        fixture.ranges.remove(fixture.handle)?;
        assert_eq!(transfer.run(&mut done), Err(ECANCELED));
        assert_eq!(done, 0);
        assert_eq!(fixture.engine.buffer.lock().dmas, 0);
        Ok(())
    }

    #[test]
    fn an_engine_that_is_gone_does_nothing() -> Result {
        let fixture = Fixture::new(true)?;

        fixture.engine.close(ENODEV);
        assert_eq!(fixture.run(Some(0), None, 1), (Err(ENODEV), 0));
        // Nothing takes no engine.
        assert_eq!(fixture.run(Some(0), None, 0), (Ok(()), 0));
        assert_eq!(fixture.engine.buffer.lock().dmas, 0);
        Ok(())
    }
}
