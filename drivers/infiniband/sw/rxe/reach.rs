// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What a peer may reach: the one place where that is decided.
//!
//! A key is a memory region's or a memory window's. What is asked of it, and on whose behalf, is the
//! same for the first packet of a request and for the last, for a READ that is answered again, and for
//! regions with on-demand paging and without. Here are values only: `ffi/reach.rs` has C's side.

/// Access rights: `enum ib_access_flags`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights(pub(crate) u32);

impl Rights {
    pub(crate) const LOCAL_WRITE: Self = Self(1 << 0);
    pub(crate) const REMOTE_WRITE: Self = Self(1 << 1);
    pub(crate) const REMOTE_READ: Self = Self(1 << 2);
    pub(crate) const REMOTE_ATOMIC: Self = Self(1 << 3);
    pub(crate) const MW_BIND: Self = Self(1 << 4);
    pub(crate) const ZERO_BASED: Self = Self(1 << 5);
    pub(crate) const FLUSH_GLOBAL: Self = Self(1 << 8);
    pub(crate) const FLUSH_PERSISTENT: Self = Self(1 << 9);

    /// Both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of the two that are in both.
    const fn of(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `wanted` are there.
    fn include(self, wanted: Self) -> bool {
        self.of(wanted) == wanted
    }
}

/// `length` bytes from `start` on, which may include the last address of all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Extent {
    /// Whether all of `other` is in here, and none of it behind the last address.
    fn contains(self, other: Self) -> bool {
        let room = other
            .start
            .checked_sub(self.start)
            .and_then(|offset| self.length.checked_sub(offset));
        let last = other.start.checked_add(other.length.saturating_sub(1));

        last.is_some() && room.is_some_and(|room| other.length <= room)
    }
}

/// What a peer asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
    Atomic,
    AtomicWrite,
    Flush(Flush),
}

/// What a FLUSH asks for, as it is in the packet: bits of visibility and of persistence, and a level.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flush {
    pub(crate) placement: u8,
    pub(crate) level: u8,
}

impl Flush {
    pub(crate) const GLOBAL: u8 = 1;
    pub(crate) const PERSISTENT: u8 = 2;
    pub(crate) const RANGE: u8 = 0;
    pub(crate) const WHOLE: u8 = 1;
}

impl Operation {
    /// The rights that it takes; none for what does not exist.
    fn rights(self) -> Option<Rights> {
        match self {
            Self::Read => Some(Rights::REMOTE_READ),
            Self::Write | Self::AtomicWrite => Some(Rights::REMOTE_WRITE),
            Self::Atomic => Some(Rights::REMOTE_ATOMIC),
            Self::Flush(Flush { level, .. }) if level != Flush::RANGE && level != Flush::WHOLE => {
                None
            }
            Self::Flush(Flush { placement, .. }) => match placement {
                Flush::GLOBAL => Some(Rights::FLUSH_GLOBAL),
                Flush::PERSISTENT => Some(Rights::FLUSH_PERSISTENT),
                0b11 => Some(Rights::FLUSH_GLOBAL.and(Rights::FLUSH_PERSISTENT)),
                _ => None,
            },
        }
    }

    /// Whether it is of all that the key is of, whatever the address is.
    fn is_of_all(self) -> bool {
        matches!(self, Self::Flush(Flush { level, .. }) if level == Flush::WHOLE)
    }

    /// Whether it has to be aligned to its eight bytes.
    fn is_atomic(self) -> bool {
        matches!(self, Self::Atomic | Self::AtomicWrite)
    }
}

/// A request, or what is left of it. Owners are known by a number.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) key: u32,
    pub(crate) bytes: Extent,
    pub(crate) pd: usize,
    pub(crate) qp: usize,
    /// What the queue pair allows its peer.
    pub(crate) qp_rights: Rights,
}

/// A memory region.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) valid: bool,
    pub(crate) key: u32,
    pub(crate) pd: usize,
    pub(crate) rights: Rights,
    /// The addresses that peers use (IOVA); `None` is a region of the kernel's that has all of them.
    pub(crate) bytes: Option<Extent>,
}

impl Region {
    fn contains(&self, bytes: Extent) -> bool {
        self.bytes.is_none_or(|all| all.contains(bytes))
    }
}

/// A memory window of type 1, or of type 2B.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) valid: bool,
    pub(crate) key: u32,
    pub(crate) pd: usize,
    /// The queue pair that a window of type 2 is bound to.
    pub(crate) qp: Option<usize>,
    pub(crate) is_type2: bool,
    pub(crate) rights: Rights,
    pub(crate) bytes: Extent,
}

impl Window {
    /// Whether a region may have this window: C10-72 to C10-75 of IBA, asked when it is bound, and at
    /// each access again, since a region can be registered anew. What a region does not let its
    /// owner do, or cannot, no window of it lets a peer do.
    pub(crate) fn may_be_of(&self, region: &Region) -> bool {
        let writes = Rights::REMOTE_WRITE.and(Rights::REMOTE_ATOMIC);
        let flushes = Rights::FLUSH_GLOBAL.and(Rights::FLUSH_PERSISTENT);

        region.valid
            && region.pd == self.pd
            && region.bytes.is_some()
            && region.rights.include(Rights::MW_BIND)
            && !region.rights.include(Rights::ZERO_BASED)
            && (self.rights.of(writes) == Rights(0) || region.rights.include(Rights::LOCAL_WRITE))
            && region.rights.include(self.rights.of(flushes))
            && region.contains(self.bytes)
    }

    /// Whether a queue pair, or its peer, may invalidate it: o10-37.2.26. Only what is bound can be, by
    /// the queue pair that it is bound to.
    pub(crate) fn may_be_invalidated_by(&self, pd: usize, qp: usize) -> bool {
        self.valid && self.is_type2 && self.pd == pd && self.qp == Some(qp)
    }

    /// Whether the peer of `request`'s queue pair may use the key.
    fn is_open_to(&self, request: &Request) -> bool {
        self.valid
            && self.key == request.key
            && self.pd == request.pd
            && self.bytes.length != 0
            && (!self.is_type2 || self.qp == Some(request.qp))
    }
}

/// Why a peer is not let.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A remote access error.
    Denied,
    /// An invalid request.
    Misaligned,
}

/// Decides whether a peer may do what it asks for by the key of `window`, or of `region` itself, and which
/// of the region's addresses that is. `region` is the one that the window is bound to.
///
/// READs and WRITEs of nothing are not asked about: no key belongs to them (C9-88).
///
/// # Errors
///
/// - [`Refusal::Denied`] if the key is not of that queue pair, or does not allow the operation there;
/// - [`Refusal::Misaligned`] if it is an atomic one that is not aligned to eight bytes.
// Into both callers: to who has no window the half about windows is nothing.
#[inline(always)]
pub(crate) fn reach(
    request: &Request,
    region: &Region,
    window: Option<&Window>,
) -> Result<Extent, Refusal> {
    let wanted = request.operation.rights().ok_or(Refusal::Denied)?;
    let (is_open, rights, all) = match window {
        Some(window) => (
            window.is_open_to(request) && window.may_be_of(region),
            window.rights,
            Some(window.bytes),
        ),
        None => (
            region.valid && region.key == request.key && region.pd == request.pd,
            region.rights,
            region.bytes,
        ),
    };

    if !is_open || !rights.include(wanted) || !request.qp_rights.include(wanted) {
        return Err(Refusal::Denied);
    }
    let bytes = match (all, window) {
        (Some(all), _) if request.operation.is_of_all() => all,
        (Some(all), Some(window)) if window.rights.include(Rights::ZERO_BASED) => Extent {
            start: all
                .start
                .checked_add(request.bytes.start)
                .ok_or(Refusal::Denied)?,
            length: request.bytes.length,
        },
        _ => request.bytes,
    };
    if !all.is_none_or(|all| all.contains(bytes)) {
        return Err(Refusal::Denied);
    }
    if request.operation.is_atomic() && (bytes.start | request.bytes.start) % 8 != 0 {
        return Err(Refusal::Misaligned);
    }
    Ok(bytes)
}

/// What a responder remembers of a request, to answer it again.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) first_psn: u32,
    pub(crate) last_psn: u32,
    /// Of a READ: the key, and the bytes by the addresses that the peer used.
    pub(crate) key: u32,
    pub(crate) bytes: Extent,
}

/// What a record is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Atomic,
    AtomicWrite,
    Flush,
}

/// A request that has come before, by its PSN.
#[derive(Clone, Copy)]
pub(crate) struct Duplicate {
    pub(crate) kind: Kind,
    pub(crate) psn: u32,
    pub(crate) key: u32,
    pub(crate) bytes: Extent,
}

/// PSNs have 24 bits.
const PSN_MASK: u32 = (1 << 24) - 1;

/// Whether `duplicate` is the request of `record`, or, of a READ, what is left of it from one of its
/// packets on. It is told by what was asked for: what may be reached is another question.
pub(crate) fn is_of_record(duplicate: &Duplicate, record: &Record, mtu: u32) -> bool {
    let packet = duplicate.psn.wrapping_sub(record.first_psn) & PSN_MASK;
    let packets = record.last_psn.wrapping_sub(record.first_psn) & PSN_MASK;

    if duplicate.kind != record.kind || packet > packets {
        return false;
    }
    if record.kind != Kind::Read {
        return true;
    }
    // The address and the key of nothing say nothing.
    if record.bytes.length == 0 || duplicate.bytes.length == 0 {
        return record.bytes.length == duplicate.bytes.length;
    }
    // CAST: Both have less than 32 bits.
    let offset = u64::from(packet) * u64::from(mtu);
    let room = record.bytes.length.checked_sub(offset);

    duplicate.key == record.key
        && record.bytes.start.checked_add(offset) == Some(duplicate.bytes.start)
        && room.is_some_and(|room| duplicate.bytes.length <= room)
}
