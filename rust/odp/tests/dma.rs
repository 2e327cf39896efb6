// SPDX-License-Identifier: GPL-2.0

//! The live table of a umem, of a virtual device and of a real one: any order of what walks enter, what
//! drivers map, what is invalidated and what C leaves behind, against a model.

use super::*;
use crate::{
    page::{PageShift, UserVa},
    tests::{self, same, KernelPages, Random},
    Access,
};

/// The entries of the table, and the pages that are entered: few, so that they meet often.
const ENTRIES: usize = 6;
const PAGES: usize = 3;

/// An entry as the model has it: nothing, or a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    number: usize,
    write: bool,
    /// Whether the entry was entered by us and not invalidated since, and can be used: by a virtual
    /// device as it is, by a real one as it is mapped.
    ours: bool,
    /// Whether C has forgotten the page, but not its mapping.
    forgotten: bool,
}

/// A table, and what it should have in it.
struct Table {
    map: odp_bindings::hmm_dma_map,
    device: DmaDevice,
    writable: bool,
    pages: KernelPages,
    model: [Option<Page>; ENTRIES],
}

impl Table {
    fn new(device: DmaDevice, writable: bool) -> Result<Self> {
        let mut map = odp_bindings::hmm_dma_map::default();
        let len = ENTRIES as u64 * PageShift::BASE.bytes();
        let range = PageRange::covering(UserVa::new(0), len, PageShift::BASE)?;

        // SAFETY: `map` is zeroed and ours, and a real device stays as long as the test.
        unsafe { DmaMap::allocate(&mut map, device, &range)? };
        Ok(Self {
            map,
            device,
            writable,
            pages: KernelPages::new(PAGES)?,
            model: [None; ENTRIES],
        })
    }

    fn map(&mut self) -> DmaMap<'_> {
        // SAFETY: It was set up for the device, and nobody else has it.
        unsafe {
            DmaMap::from_raw(
                NonNull::from(&mut self.map),
                self.device,
                ENTRIES,
                self.writable,
            )
        }
    }

    fn is_real(&self) -> bool {
        matches!(self.device, DmaDevice::Real(_))
    }

    /// What a walk sees of a page.
    fn seen(&self, page: Option<(usize, bool)>) -> HmmPfn {
        let request = |write| match write {
            true => Access::Write.request_flags(),
            false => Access::Read.request_flags(),
        };
        page.map_or(HmmPfn::EMPTY, |(number, write)| {
            HmmPfn::from_raw(self.pages.pfn(number) | request(write))
        })
    }

    /// [`DmaMap::unmap`] by the model.
    fn model_unmap(&mut self, i: usize) -> Unmapped {
        let Some(old) = self.model[i].take() else {
            return Unmapped::default();
        };
        let mapped = self.is_real() && old.ours;
        let usable = match self.is_real() {
            true => mapped,
            // C's entries can be used without a mapping.
            false => true,
        };

        Unmapped {
            pages: usable.into(),
            dma_mapped: mapped.into(),
            dirtied: (self.writable && old.write && old.ours && !old.forgotten).into(),
        }
    }

    /// [`DmaMap::enter`] by the model: what has to go, if any, and what is there then.
    fn model_enter(&mut self, i: usize, seen: Option<(usize, bool)>) -> Option<Unmapped> {
        let new = seen.map(|(number, write)| Page {
            number,
            write,
            ours: !self.is_real(),
            forgotten: false,
        });
        let Some(old) = self.model[i].filter(|old| old.ours) else {
            self.model[i] = new;
            return None;
        };
        match seen {
            // Another walk was later.
            None => None,
            Some((number, write)) if number == old.number && !old.forgotten => {
                // What the device may do grows, and does not shrink.
                self.model[i] = Some(Page {
                    write: old.write || write,
                    ..old
                });
                None
            }
            Some(_) => {
                let unmapped = self.model_unmap(i);
                self.model[i] = new;
                Some(unmapped)
            }
        }
    }

    /// What the table has of an entry, in the words of the model.
    fn entry(&mut self, i: usize) -> Option<Page> {
        let entry = self.map().get(PageIndex::from_number(i));
        let number = (0..PAGES).find(|number| self.pages.pfn(*number) == entry.pfn());

        (!entry.is_empty()).then(|| Page {
            number: number.unwrap_or(usize::MAX),
            write: entry.as_raw() & Access::Write.request_flags() & !Access::Read.request_flags()
                != 0,
            ours: match self.is_real() {
                true => entry.is_dma_mapped(),
                false => entry.is_committed(),
            },
            forgotten: !entry.is_valid(),
        })
    }

    /// Which pages have been marked dirty.
    fn dirtied(&self) -> u64 {
        (0..PAGES)
            .map(|number| u64::from(self.pages.was_dirtied(number)))
            .sum()
    }

    /// One of all that can happen to an entry. Returns what became of it, and what should have.
    fn step(&mut self, random: &mut Random) -> (Option<Unmapped>, Option<Unmapped>) {
        let i = random.below(ENTRIES as u64) as usize;
        let index = PageIndex::from_number(i);
        let page = (random.below(PAGES as u64) as usize, random.coin());

        match random.below(6) {
            0 | 1 => {
                let page = (random.below(4) != 0).then_some(page);
                let seen = self.seen(page);
                (self.map().enter(index, seen), self.model_enter(i, page))
            }
            2 => (Some(self.map().unmap(index)), Some(self.model_unmap(i))),
            3 if self.is_real() => {
                if let Some(page) = self.model[i].as_mut().filter(|page| !page.forgotten) {
                    page.ours = true;
                    let should = (self.pages.pfn(page.number) as u64) << PageShift::BASE.get();
                    let mapped = self.map().map(index) == Ok(should);
                    (mapped.then(Unmapped::default), Some(Unmapped::default()))
                } else {
                    let refused = self.map().map(index) == Err(EFAULT);
                    (refused.then(Unmapped::default), Some(Unmapped::default()))
                }
            }
            4 => {
                // What C's walk leaves in the live table: of a page, or where it sees none any more.
                let entry = self.map().get(index);
                if !entry.is_dma_mapped() {
                    let seen = self.seen(Some(page));
                    self.map().set(index, seen);
                    self.model[i] = Some(Page {
                        number: page.0,
                        write: page.1,
                        ours: false,
                        forgotten: false,
                    });
                } else {
                    let valid = HmmPfn::EMPTY.revalidated().as_raw();
                    let forgotten = HmmPfn::from_raw(entry.as_raw() & !valid);
                    self.map().set(index, forgotten);
                    if let Some(page) = &mut self.model[i] {
                        page.forgotten = true;
                    }
                }
                (None, None)
            }
            _ => {
                self.map().forget_unmapped([index].into_iter());
                if self.is_real() {
                    self.model[i] = self.model[i].filter(|page| page.ours);
                }
                (None, None)
            }
        }
    }

    fn free(mut self) {
        for i in 0..ENTRIES {
            self.map().unmap(PageIndex::from_number(i));
        }
        // SAFETY: It was set up for the device, has no mapping, and is not used again.
        unsafe { DmaMap::free(&mut self.map, self.device) };
    }
}

/// Any order of anything. Returns whether all was as in the model.
fn agrees(name: &str, device: DmaDevice, writable: bool) -> Result<bool> {
    let mut random = Random::new(name);
    let mut table = Table::new(device, writable)?;

    for step in 0..20_000 {
        let (is, should) = table.step(&mut random);
        let dirtied = should.map_or(0, |unmapped| unmapped.dirtied);
        let entries = [0, 1, 2, 3, 4, 5].map(|i| table.entry(i));
        let model = table.model;

        if !same(
            fmt!("step {step}"),
            (is, table.dirtied(), entries),
            (should, dirtied, model),
        ) {
            return Ok(false);
        }
    }
    table.free();
    Ok(true)
}

/// A real device, which reaches pages at their physical addresses.
fn real() -> Result<DmaDevice> {
    let device = tests::device()?;

    Ok(DmaDevice::Real(NonNull::from(device).cast()))
}

#[kunit_tests(odp_dma)]
mod suite {
    use super::*;

    #[test]
    fn the_table_of_a_virtual_device_agrees_with_a_model() -> Result {
        assert!(agrees("virtual, writable", DmaDevice::Virtual, true)?);
        assert!(agrees("virtual, read-only", DmaDevice::Virtual, false)?);
        Ok(())
    }

    #[test]
    fn the_table_of_a_real_device_agrees_with_a_model() -> Result {
        assert!(agrees("real, writable", real()?, true)?);
        assert!(agrees("real, read-only", real()?, false)?);
        Ok(())
    }

    #[test]
    fn there_is_nothing_beyond_the_end() -> Result {
        for device in [DmaDevice::Virtual, real()?] {
            let mut table = Table::new(device, true)?;
            let seen = table.seen(Some((0, true)));

            for i in [ENTRIES, ENTRIES + 1, usize::MAX] {
                let index = PageIndex::from_number(i);
                assert_eq!(table.map().enter(index, seen), None);
                assert!(table.map().get(index).is_empty());
                assert!(table.map().map(index).is_err());
                assert_eq!(table.map().unmap(index), Unmapped::default());
            }
            // Nor has it come into the table.
            assert!((0..ENTRIES).all(|i| table.entry(i).is_none()));
            table.free();
        }
        Ok(())
    }

    #[test]
    fn what_is_lost_is_neither_freed_nor_forgotten() -> Result {
        for writable in [true, false] {
            let mut table = Table::new(real()?, writable)?;
            let index = PageIndex::from_number;

            // Of three pages that a walk has seen one is not mapped, and one cannot be written.
            for (number, write) in [(0, true), (1, true), (2, false)] {
                let seen = table.seen(Some((number, write)));
                table.map().enter(index(number), seen);
            }
            table.map().map(index(0))?;
            table.map().map(index(2))?;
            table.map().lose();
            for (number, references, dirtied) in [(0, 2, writable), (1, 1, false), (2, 2, false)] {
                assert!(table.map().get(index(number)).is_empty());
                assert_eq!(table.pages.references(number), references);
                assert_eq!(table.pages.was_dirtied(number), dirtied);
            }
            table.free();
        }
        Ok(())
    }

    #[test]
    fn modes() -> Result {
        let mut table = Table::new(DmaDevice::Virtual, true)?;
        let seen = table.seen(Some((0, true)));
        let first = PageIndex::from_number(0);

        assert_eq!(table.map().mode(), DmaMode::Direct);
        // A virtual device has no DMA address.
        table.map().enter(first, seen);
        assert_eq!(table.map().map(first), Err(EOPNOTSUPP));
        table.free();
        let mut table = Table::new(real()?, true)?;
        assert_eq!(table.map().mode(), tests::DMA_MODE);
        table.free();
        Ok(())
    }

    #[test]
    fn figures_do_not_wrap() {
        let most = Unmapped {
            pages: u64::MAX,
            dma_mapped: 1,
            dirtied: u64::MAX - 1,
        };
        let more = Unmapped {
            pages: 1,
            dma_mapped: 2,
            dirtied: 1,
        };
        let sum = most.and(more);

        assert_eq!(
            (sum.pages, sum.dma_mapped, sum.dirtied),
            (u64::MAX, 3, u64::MAX)
        );
        assert_eq!(more.and(Unmapped::default()), more);
    }
}
