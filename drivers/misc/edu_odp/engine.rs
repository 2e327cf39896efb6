// SPDX-License-Identifier: GPL-2.0

//! The DMA engine of the device: one DMA at a time, from or to its buffer.

use crate::{
    pci,
    regs::{self, Registers},
    turns::{self, wait_for, Turns},
};
use edu_odp_uapi::EDU_ODP_BUFFER;
use kernel::{
    dev_err,
    dma::DmaAddress,
    io::Io,
    irq::{self, IrqReturn},
    new_condvar, new_spinlock_irq,
    prelude::*,
    sync::{Arc, CondVar, SpinLockIrq},
    time::Msecs,
};
use odp::deadline::Deadline;

/// The size of the device's buffer.
pub(crate) const BUFFER_BYTES: usize = EDU_ODP_BUFFER as usize;

/// How long a DMA may take, which takes the device a tenth of a second.
const LIMIT: Msecs = 10_000;

/// Which way data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From memory to the device's buffer.
    ToDevice,
    /// From the device's buffer to memory.
    ToMemory,
}

/// The engine. It outlives the device, but does nothing then.
#[pin_data]
pub(crate) struct Engine {
    registers: Registers,
    #[pin]
    turns: Turns,
    /// Whether the DMA has ended that was started last.
    #[pin]
    ended: SpinLockIrq<bool>,
    #[pin]
    interrupted: CondVar,
}

impl Engine {
    /// The engine of the device that has `registers`. It needs [`Interrupts`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(registers: Registers) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                registers,
                turns <- Turns::new(),
                ended <- new_spinlock_irq!(false),
                interrupted <- new_condvar!(),
            }),
            GFP_KERNEL,
        )
    }

    /// Waits until it is the caller's turn to use the engine.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if the device is gone, `EIO` if it is out of order;
    /// - `EINTR` if the caller is being killed.
    pub(crate) fn turn(&self) -> Result<Turn<'_>> {
        Ok(Turn {
            turn: self.turns.take()?,
            engine: self,
        })
    }

    /// Whether the device is there. A device that is out of order is.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is not.
    pub(crate) fn check_there(&self) -> Result {
        match self.turns.check_open() {
            Err(ENODEV) => Err(ENODEV),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Ends the use of the engine for good: waits for the DMA that is under way, and starts no more.
    pub(crate) fn shut_down(&self) {
        self.turns.close(ENODEV);
        self.turns.wait_for_last();
    }

    /// Starts a DMA. The device wants its registers written in one piece.
    fn start(&self, direction: Direction, memory: DmaAddress, buffer: u64, len: usize) -> Result {
        let bar = self.registers.try_access().ok_or(ENODEV)?;
        let command = regs::DMA_COMMAND::zeroed()
            .with_const_run::<1>()
            .with_const_interrupt::<1>();
        let (source, target, command) = match direction {
            Direction::ToDevice => (memory, buffer, command),
            Direction::ToMemory => (buffer, memory, command.with_const_to_memory::<1>()),
        };

        // Until the device has the command, an interrupt is not about it.
        let mut ended = self.ended.lock();
        *ended = false;
        bar.try_write_reg(regs::DMA_SOURCE::from_raw(source))?;
        bar.try_write_reg(regs::DMA_TARGET::from_raw(target))?;
        bar.try_write_reg(regs::DMA_COUNT::from_raw(len as u64))?;
        bar.try_write_reg(command)
    }

    /// Waits for the end of the DMA. Nothing can end it early, so signals have to wait. Returns whether
    /// it came.
    fn wait_for_end(&self) -> bool {
        let mut deadline = Deadline::after_msecs(LIMIT);
        let mut ended = self.ended.lock();

        while !*ended && deadline.again().is_ok() {
            ended = wait_for(&self.interrupted, ended);
        }
        *ended
    }

    /// Whether the device is still there. If not, its registers read as all ones, or as zero in some
    /// virtual machines.
    fn answers(&self) -> bool {
        self.registers
            .try_access()
            .is_some_and(|bar| bar.read(regs::IDENTIFICATION).edu() == regs::EDU)
    }
}

/// The turn of a task to use the engine.
pub(crate) struct Turn<'a> {
    engine: &'a Engine,
    turn: turns::Turn<'a>,
}

impl Turn<'_> {
    /// Moves `len` bytes between `memory` and the buffer, from its byte `at` on, and waits for it.
    /// Whatever `memory` is, the caller sees to it that it stays meanwhile.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if the device is gone, `EIO` if it is out of order;
    /// - `EINVAL` if that is not in the buffer.
    pub(crate) fn run(
        &self,
        direction: Direction,
        memory: DmaAddress,
        at: usize,
        len: usize,
    ) -> Result {
        if len == 0 || at >= BUFFER_BYTES || len > BUFFER_BYTES.saturating_sub(at) {
            return Err(EINVAL);
        }
        self.turn.check_open()?;

        let buffer = regs::BUFFER.saturating_add(at as u64);
        self.engine.start(direction, memory, buffer, len)?;
        if self.engine.wait_for_end() {
            Ok(())
        } else {
            Err(self.fail())
        }
    }

    /// The device does not answer: it gets no more to do, and must not touch memory any more.
    #[cold]
    fn fail(&self) -> Error {
        let device = self.engine.registers.device();
        let (why, text) = if self.engine.answers() {
            (EIO, "a DMA does not end: no more of them")
        } else {
            (ENODEV, "the device does not answer any more")
        };

        pci::take_bus_from(device, self);
        dev_err!(device, "{text}\n");
        self.turn.close(why);
        why
    }
}

/// Handles the interrupts of the device.
pub(crate) struct Interrupts(Arc<Engine>);

impl Interrupts {
    /// Those of `engine`.
    pub(crate) fn of(engine: Arc<Engine>) -> Self {
        Self(engine)
    }
}

impl irq::Handler for Interrupts {
    fn handle(&self) -> IrqReturn {
        let engine = &self.0;
        let Some(bar) = engine.registers.try_access() else {
            return IrqReturn::None;
        };
        let status = bar.read(regs::INTERRUPT_STATUS);

        // The line may be another device's, too.
        if matches!(status.into_raw(), 0 | regs::NO_ANSWER) {
            return IrqReturn::None;
        }
        bar.write_reg(regs::INTERRUPT_ACKNOWLEDGE::from_raw(status.into_raw()));
        // One that was left over does not mean the DMA that runs now.
        let command = bar.try_read(regs::DMA_COMMAND);
        if status.dma() != 0 && command.is_ok_and(|command| command.run() == 0) {
            *engine.ended.lock() = true;
            engine.interrupted.notify_all();
        }
        IrqReturn::Handled
    }
}
