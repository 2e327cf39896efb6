// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! Work requests that a process wrote into memory that it shares with the kernel: what is right in one.
//!
//! Whoever asks has copied the request, so that it is what was checked that is done.

/// The longest message, as the port has it.
const LONGEST: u64 = 1 << 31;

/// What atomic operations and atomic writes work on, in bytes.
const WORD: u32 = 8;

/// What a request does, as far as its check is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// Takes data from here: a SEND or a WRITE.
    Send,
    /// Receives what comes, of any length.
    Receive,
    /// A READ.
    Read,
    /// An atomic operation, which brings a word.
    Atomic,
    /// An atomic write, whose word is in the request.
    AtomicWrite,
    /// A FLUSH, which has a length and no data.
    Flush,
    /// Something without a packet.
    Local,
}

/// What a process says of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// `None` if the queue pair has no such operation.
    pub(crate) operation: Option<Operation>,
    /// Whether the data is in the request, where the scatter list would be.
    pub(crate) inline: bool,
    /// Of the data.
    pub(crate) length: u32,
    /// Of the scatter list.
    pub(crate) num_sge: u32,
}

/// What the queue has been made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_sge: u32,
    pub(crate) max_inline: u32,
}

/// What is behind a request, and belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Payload {
    /// So many bytes of data.
    Data(u32),
    /// So many elements of a scatter list.
    Sges(u32),
}

/// What is wrong with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It says what nobody may, or contradicts itself.
    Malformed,
    /// It is too long, or too short.
    Length,
}

/// What has to be copied behind a request.
///
/// # Errors
///
/// - [`Refusal::Malformed`] if there is no such operation, or it does not have what it says it has;
/// - [`Refusal::Length`] if it has more data than goes into a request.
pub(crate) fn payload(request: &Request, limits: &Limits) -> Result<Payload, Refusal> {
    let operation = request.operation.ok_or(Refusal::Malformed)?;

    match operation {
        // Whatever else they say does not count.
        Operation::Flush | Operation::Local => Ok(Payload::Data(0)),
        Operation::AtomicWrite if request.length != WORD => Err(Refusal::Length),
        Operation::AtomicWrite => Ok(Payload::Data(WORD)),
        Operation::Send if request.inline && request.length > limits.max_inline => {
            Err(Refusal::Length)
        }
        Operation::Send if request.inline => Ok(Payload::Data(request.length)),
        _ if request.inline || request.num_sge > limits.max_sge => Err(Refusal::Malformed),
        _ => Ok(Payload::Sges(request.num_sge)),
    }
}

/// The length of a request's data, which is that of its scatter list.
///
/// # Errors
///
/// - [`Refusal::Malformed`] if the request says another length;
/// - [`Refusal::Length`] if it is too long for a message, or too short for the result of an atomic operation.
pub(crate) fn length(request: &Request, sges: impl Iterator<Item = u32>) -> Result<u32, Refusal> {
    let total = sges.fold(0u64, |sum, length| sum.saturating_add(length.into()));
    let length = u32::try_from(total).map_err(|_| Refusal::Length)?;

    if total > LONGEST {
        return Err(Refusal::Length);
    }
    match request.operation {
        Some(Operation::Receive) => Ok(length),
        _ if length != request.length => Err(Refusal::Malformed),
        Some(Operation::Atomic) if length < WORD => Err(Refusal::Length),
        _ => Ok(length),
    }
}
