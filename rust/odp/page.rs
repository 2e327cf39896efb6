// SPDX-License-Identifier: GPL-2.0

//! User addresses, page sizes, and indices that cannot be mistaken for one another.
//!
//! ODP counts in two page sizes at once: the CPU's (`PAGE_SIZE`), in which HMM reports, and the
//! umem's own (`1 << page_shift`, 2 MiB for a huge-page region), in which a device's page table and
//! the umem's table count. An index in one unit is meaningless in the other, so the unit is part of
//! the index type.

use core::marker::PhantomData;
use kernel::{page::PAGE_SHIFT, prelude::*};

/// A user virtual address, as an RDMA application gave it: any 64-bit value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserVa(u64);

impl UserVa {
    /// Wraps an address. Nothing is checked: an address is hostile input until it became part of a
    /// [`PageRange`] that lies in a umem.
    #[inline]
    pub const fn new(va: u64) -> Self {
        Self(va)
    }

    /// The address as a number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The address `len` bytes further on.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW` if that is past the last 64-bit address.
    #[inline]
    pub fn checked_add(self, len: u64) -> Result<Self> {
        self.0.checked_add(len).map(Self).ok_or(EOVERFLOW)
    }

    /// The start of the page of size `shift` that holds this address.
    pub const fn align_down(self, shift: PageShift) -> Self {
        Self(self.0 & !shift.mask())
    }

    /// This address if it starts a page of size `shift`, else the start of the next page.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW` if there is no next page.
    pub fn align_up(self, shift: PageShift) -> Result<Self> {
        Ok(self.checked_add(shift.mask())?.align_down(shift))
    }
}

/// The binary logarithm of a page size in bytes.
///
/// # Invariants
///
/// `PAGE_SHIFT <= self.0 <= PageShift::MAX`. So the wrapping operations here never wrap; they keep
/// the compiler from emitting a panic that could never be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageShift(u32);

impl PageShift {
    /// The CPU's own page size, `PAGE_SIZE`.
    // INVARIANT: Equal to the lower bound. CAST: `PAGE_SHIFT` is a small constant.
    pub const BASE: Self = Self(PAGE_SHIFT as u32);

    /// The default huge page size, `HPAGE_SIZE`.
    // INVARIANT: A huge page is larger than a base page and smaller than the address space.
    pub const HUGE: Self = Self(odp_bindings::HPAGE_SHIFT);

    /// 2 MiB, what a page of page table entries maps on most machines.
    // INVARIANT: Larger than a base page and smaller than the address space.
    pub const TWO_MIB: Self = Self(21);

    /// The largest page that an address space could hold, as a shift.
    pub const MAX: u32 = 47;

    /// Takes a page shift that came from C.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the page would be smaller than `PAGE_SIZE` or larger than the address space.
    pub fn new(shift: u32) -> Result<Self> {
        if !(Self::BASE.0..=Self::MAX).contains(&shift) {
            return Err(EINVAL);
        }
        // INVARIANT: Checked above.
        Ok(Self(shift))
    }

    /// The shift as a number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The page size in bytes.
    pub const fn bytes(self) -> u64 {
        1u64.wrapping_shl(self.0)
    }

    /// The page size as a power of two of `PAGE_SIZE`: 0 for a base page, 9 for 2 MiB on x86-64.
    pub const fn order(self) -> u32 {
        self.0.wrapping_sub(Self::BASE.0)
    }

    /// The shift of blocks of `pages` base pages, rounded down to a power of two.
    pub const fn of_pages(pages: usize) -> Self {
        let shift = match pages.checked_ilog2() {
            Some(order) => Self::BASE.0.wrapping_add(order),
            None => Self::BASE.0,
        };
        // INVARIANT: Within the bounds.
        Self(if shift > Self::MAX { Self::MAX } else { shift })
    }

    const fn mask(self) -> u64 {
        self.bytes().wrapping_sub(1)
    }
}

mod sealed {
    /// Keeps the set of units closed.
    pub trait Sealed {}
}

/// The unit that a [`PageIndex`] counts in.
pub trait PageUnit: sealed::Sealed {}

/// Pages of `PAGE_SIZE` bytes, counted from the start of a walked range: what HMM reports.
#[derive(Clone, Copy, Debug)]
pub enum BasePage {}

/// Pages of the umem's own page size, counted from the start of the umem: what its table, its DMA
/// map and the device's page table are indexed by.
#[derive(Clone, Copy, Debug)]
pub enum UmemPage {}

impl sealed::Sealed for BasePage {}
impl sealed::Sealed for UmemPage {}
impl PageUnit for BasePage {}
impl PageUnit for UmemPage {}

/// A page's number, in units of `U`.
#[derive(Clone, Copy, Debug)]
pub struct PageIndex<U: PageUnit>(usize, PhantomData<U>);

impl<U: PageUnit> PageIndex<U> {
    /// Counted by somebody who knows that it is in units of `U`.
    pub(crate) const fn from_number(index: usize) -> Self {
        Self(index, PhantomData)
    }

    /// The index as a number, in units of `U`.
    pub const fn get(self) -> usize {
        self.0
    }
}

/// A page-aligned, non-empty part of the user address space: `[start, end)`.
///
/// # Invariants
///
/// `start < end`, both are multiples of the page size `shift`, and both fit a `usize`. So the
/// wrapping operations here never wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    start: UserVa,
    end: UserVa,
    shift: PageShift,
}

impl PageRange {
    /// The whole pages of size `shift` that hold `[va, va + len)`.
    ///
    /// As for a pinned region, an address within a page and a length of zero give that page.
    ///
    /// # Errors
    ///
    /// - `EOVERFLOW` if the range, or its last page, wraps around the address space, or if it ends
    ///   at address zero;
    /// - `EINVAL` if there is no page in it: `len` is zero and `va` starts a page.
    pub fn covering(va: UserVa, len: u64, shift: PageShift) -> Result<Self> {
        let end = va.checked_add(len)?.align_up(shift)?;
        let start = va.align_down(shift);

        // C takes an end of zero for one that has wrapped.
        if end.get() == 0 || usize::try_from(end.get()).is_err() {
            return Err(EOVERFLOW);
        }
        if start >= end {
            return Err(EINVAL);
        }
        // INVARIANT: Both ends are aligned, in order, and fit a `usize`.
        Ok(Self { start, end, shift })
    }

    /// The address of the first byte.
    pub const fn start(&self) -> UserVa {
        self.start
    }

    /// The address after the last byte.
    pub const fn end(&self) -> UserVa {
        self.end
    }

    /// The size of the range's pages.
    pub const fn shift(&self) -> PageShift {
        self.shift
    }

    /// The length in bytes.
    pub const fn bytes(&self) -> u64 {
        self.end.0.wrapping_sub(self.start.0)
    }

    /// The number of base pages (`PAGE_SIZE`).
    pub const fn base_pages(&self) -> usize {
        // CAST: Fits by the type invariant.
        self.bytes().wrapping_shr(PageShift::BASE.0) as usize
    }

    /// The number of pages of the range's own size.
    pub const fn umem_pages(&self) -> usize {
        // CAST: At most the number of base pages, which fits.
        self.bytes().wrapping_shr(self.shift.0) as usize
    }

    /// The part of this range that `[start, end)` touches, whole pages of it.
    ///
    /// Unlike [`PageRange::covering`] this clips instead of failing: an invalidation names the
    /// addresses that it wants, and a umem gives up what it has of them.
    pub fn clip(&self, start: UserVa, end: UserVa) -> Option<Self> {
        let start = start.max(self.start).align_down(self.shift);
        // `end` is at most `self.end`, which is aligned: rounding up cannot pass it.
        let end = end.min(self.end).align_up(self.shift).ok()?;

        // INVARIANT: Aligned, in order, and within `self`.
        (start < end).then_some(Self {
            start,
            end,
            shift: self.shift,
        })
    }

    /// The part of this range in the block of size `block` that holds `va`.
    pub fn block(&self, va: UserVa, block: PageShift) -> Option<Self> {
        let start = va.align_down(block);
        let end = start.checked_add(block.bytes()).unwrap_or(self.end);

        self.clip(start, end)
    }

    /// The pages of this range that `[start, end)` touches, as indices into a table that starts at
    /// the start of the range. There may be none.
    pub fn touched(&self, start: UserVa, end: UserVa) -> impl Iterator<Item = PageIndex<UmemPage>> {
        let indices = match self.clip(start, end) {
            Some(part) => {
                let first = self.offset_of(&part);
                first..first.wrapping_add(part.umem_pages())
            }
            None => 0..0,
        };
        indices.map(PageIndex::from_number)
    }

    /// The first `pages` base pages of this range, in whole pages of its own size and at least one,
    /// and the rest, if there is any.
    pub fn split(&self, pages: usize) -> (Self, Option<Self>) {
        let bytes = (pages as u64).saturating_mul(PageShift::BASE.bytes());
        let at = self
            .start
            .checked_add(bytes.max(self.shift.bytes()))
            .map_or(self.end, |at| at.align_down(self.shift));

        if at >= self.end {
            return (*self, None);
        }
        // INVARIANT: `at` is aligned and lies between the ends.
        (Self { end: at, ..*self }, Some(Self { start: at, ..*self }))
    }

    /// Whether `inner` lies in this range.
    pub fn contains(&self, inner: &PageRange) -> bool {
        self.start <= inner.start && inner.end <= self.end
    }

    /// The pages around `part`: the aligned blocks of `block` pages that it touches, less itself, as
    /// indices into a table that starts at the start of `self`. `block` is a power of two.
    ///
    /// # Errors
    ///
    /// As [`PageRange::indices`].
    pub fn around(
        &self,
        part: &PageRange,
        block: usize,
    ) -> Result<impl Iterator<Item = PageIndex<UmemPage>>> {
        let first = self.index_of(part)?;
        let last = first.wrapping_add(part.umem_pages());
        let mask = block.wrapping_sub(1);
        let before = (first & !mask)..first;
        let after = last..(last.saturating_add(mask) & !mask).min(self.umem_pages());

        Ok(Iterator::chain(before, after).map(PageIndex::from_number))
    }

    /// The index of the first page of `part`, in pages of this range's size.
    fn index_of(&self, part: &PageRange) -> Result<usize> {
        if !self.contains(part) || self.shift != part.shift {
            return Err(EINVAL);
        }
        Ok(self.offset_of(part))
    }

    /// [`PageRange::index_of`] for a `part` that is known to be one.
    const fn offset_of(&self, part: &PageRange) -> usize {
        let offset = part.start.0.wrapping_sub(self.start.0);
        // CAST: At most the number of base pages of `self`, which fits.
        offset.wrapping_shr(self.shift.0) as usize
    }

    /// The pages of `part` as indices into a table that starts at the start of `self`, each with
    /// the index of its first base page in a walk over `part`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `part` does not lie in this range or counts in another page size.
    pub fn indices(
        &self,
        part: &PageRange,
    ) -> Result<impl Iterator<Item = (PageIndex<UmemPage>, PageIndex<BasePage>)>> {
        let first = self.index_of(part)?;
        let order = self.shift.order();

        // The one stays below `self.umem_pages()`, the other below `part.base_pages()`.
        Ok((0..part.umem_pages()).map(move |i| {
            (
                PageIndex::from_number(first.wrapping_add(i)),
                PageIndex::from_number(i.wrapping_shl(order)),
            )
        }))
    }
}

#[cfg(odp_kunit)]
#[path = "tests/page.rs"]
mod tests;
