// SPDX-License-Identifier: GPL-2.0

//! A umem of a virtual device on real memory: which flags mean what, what a fault commits to the live
//! table and what it refuses, that all of it comes or nothing, and what an invalidation leaves.

use super::*;
use crate::{
    hmm::{Access, HmmPfn},
    notifier::NotifierOps,
    page::PageIndex,
    tests::{attach_mm, same, Protection, Random, UserMemory, PAGE},
};
use core::mem::offset_of;
use kernel::bindings;

/// The callback of a driver, as C has it: under the mutex the number is set, and the pages go.
///
/// # Safety
///
/// `notifier` is that of a umem, and `range` is what is invalidated.
unsafe extern "C" fn invalidate(
    notifier: *mut bindings::mmu_interval_notifier,
    range: *const bindings::mmu_notifier_range,
    seq: c_ulong,
) -> bool {
    // SAFETY: The notifier is in a umem, which stays until the notifier was removed.
    unsafe {
        let umem = notifier.byte_sub(offset_of!(ib_umem_odp, notifier));
        let locked = UmemOdp::from_raw(umem.cast()).and_then(UmemOdp::lock);

        odp_bindings::mmu_interval_set_seq(notifier, seq);
        if let Ok(mut locked) = locked {
            locked.unmap(
                UserVa::new((*range).start as u64),
                UserVa::new((*range).end as u64),
            );
        }
    }
    true
}

/// The callbacks of a driver.
struct Ops(bindings::mmu_interval_notifier_ops);

// SAFETY: Constant.
unsafe impl Sync for Ops {}

static OPS: Ops = Ops(bindings::mmu_interval_notifier_ops {
    invalidate: Some(invalidate),
    invalidate_start: None,
    invalidate_finish: None,
});

/// An RDMA device without a device for DMA, of which nothing else is looked at.
struct VirtualDevice(KVec<u64>);

impl VirtualDevice {
    fn new() -> Result<Self> {
        // More than a `struct ib_device` has, all zeroes.
        Ok(Self(KVec::from_elem(
            0,
            (32 << 10) / size_of::<u64>(),
            GFP_KERNEL,
        )?))
    }

    fn device(&self) -> &IbDevice {
        // SAFETY: It is larger than a `struct ib_device`, and lives for as long as its umems.
        unsafe { IbDevice::from_raw(self.0.as_ptr().cast_mut().cast()) }
    }

    /// A umem of `[va, va + len)`.
    fn umem(&self, va: UserVa, len: u64, access: c_int) -> Result<OwnedUmemOdp> {
        let ops: NotifierOps = &OPS.0;

        attach_mm()?;
        // SAFETY: The callback does what it has to, and stays.
        unsafe {
            OwnedUmemOdp::get(
                self.device(),
                va.get(),
                len,
                AccessFlags::from_raw(access),
                ops,
            )
        }
    }
}

const ON_DEMAND: c_int = odp_bindings::ib_access_flags_IB_ACCESS_ON_DEMAND as c_int;
const LOCAL_WRITE: c_int = odp_bindings::ib_access_flags_IB_ACCESS_LOCAL_WRITE as c_int;
const HUGETLB: c_int = odp_bindings::ib_access_flags_IB_ACCESS_HUGETLB as c_int;
const PAGES: usize = 32;

/// What is in an entry: whether it may be written, if anything is.
type Entry = Option<bool>;

/// The entries of a umem, all of them.
fn entries(umem: &UmemOdp) -> Result<[Entry; PAGES]> {
    let mut locked = umem.lock()?;
    let (_, table) = locked.parts();
    let mut entries = [None; PAGES];

    for (i, entry) in entries.iter_mut().enumerate() {
        let found = table.get(PageIndex::from_number(i));
        if found.is_valid() != found.is_committed() {
            return Err(EIO);
        }
        *entry = found.is_valid().then(|| found.is_writable());
    }
    Ok(entries)
}

/// The first byte of a page, as a virtual device sees it.
fn first_byte(umem: &UmemOdp, page: usize) -> Result<u8> {
    let mut locked = umem.lock()?;
    let (_, table) = locked.parts();
    let entry: HmmPfn = table.get(PageIndex::from_number(page));

    if !entry.is_valid() {
        return Err(ENOENT);
    }
    // SAFETY: The lock keeps the page.
    Ok(unsafe {
        odp_bindings::pfn_to_kaddr(entry.pfn())
            .cast::<u8>()
            .read_volatile()
    })
}

/// How many pages a fault covers, and how many of them are there then.
fn fault(umem: &UmemOdp, va: UserVa, len: u64, access: Access) -> Result<(usize, usize)> {
    let mut retries = 0;
    let mapped = umem.map_and_lock(va, len, access, &mut retries)?;

    Ok((mapped.pages, mapped.present))
}

#[kunit_tests(odp_umem)]
mod suite {
    use super::*;

    #[test]
    fn access_flags_mean_what_c_says() {
        let writes = odp_bindings::ib_access_flags_IB_ACCESS_LOCAL_WRITE
            | odp_bindings::ib_access_flags_IB_ACCESS_REMOTE_WRITE
            | odp_bindings::ib_access_flags_IB_ACCESS_REMOTE_ATOMIC
            | odp_bindings::ib_access_flags_IB_ACCESS_MW_BIND;

        // All combinations of all flags that there are.
        for raw in 0..1 << 12 {
            let flags = AccessFlags::from_raw(raw);
            let is = [
                flags.is_on_demand(),
                flags.is_hugetlb(),
                flags.is_writable(),
            ];
            let should = [raw & ON_DEMAND, raw & HUGETLB, raw & writes as c_int];
            assert!(same(fmt!("{raw:#x}"), is, should.map(|bits| bits != 0)));
        }
        assert!(AccessFlags::local(true).is_writable());
        assert!(!AccessFlags::local(false).is_writable());
        assert!(!AccessFlags::local(true).is_on_demand());
        assert!(!AccessFlags::local(true).is_hugetlb());
    }

    #[test]
    fn umems_that_cannot_be_are_refused() -> Result {
        let device = VirtualDevice::new()?;
        let new = |va, len, access| device.umem(UserVa::new(va), len, access).map(|_| ());

        assert_eq!(new(PAGE, PAGE, 0), Err(EINVAL));
        assert_eq!(new(PAGE, 0, ON_DEMAND), Err(EINVAL));
        assert_eq!(new(0, u64::MAX, ON_DEMAND), Err(EOVERFLOW));
        assert_eq!(new(u64::MAX, 1, ON_DEMAND), Err(EOVERFLOW));
        assert_eq!(new(u64::MAX - PAGE, PAGE, ON_DEMAND), Err(EOVERFLOW));
        assert_eq!(new(PAGE, 1, ON_DEMAND), Ok(()));
        assert_eq!(new(PAGE + 1, 0, ON_DEMAND), Ok(()));
        Ok(())
    }

    #[test]
    fn a_umem_covers_whole_pages() -> Result {
        let device = VirtualDevice::new()?;
        let huge = PageShift::HUGE.bytes();
        let base = device.umem(UserVa::new(5 * PAGE + 7), 2 * PAGE, ON_DEMAND)?;
        let large = device.umem(UserVa::new(5 * huge + 7), huge, ON_DEMAND | HUGETLB)?;

        let range = base.range()?;
        assert_eq!((range.start().get(), range.umem_pages()), (5 * PAGE, 3));
        assert_eq!(range.shift(), PageShift::BASE);
        let range = large.range()?;
        assert_eq!((range.start().get(), range.umem_pages()), (5 * huge, 2));
        assert_eq!(range.shift(), PageShift::HUGE);
        assert!(!base.is_writable() && !base.is_implicit());
        Ok(())
    }

    #[test]
    fn an_implicit_umem_has_no_pages() -> Result {
        let device = VirtualDevice::new()?;
        let access = AccessFlags::from_raw(ON_DEMAND | LOCAL_WRITE);

        attach_mm()?;
        let root = OwnedUmemOdp::implicit(device.device(), access)?;
        assert!(root.is_implicit() && root.is_writable());
        assert_eq!(root.range().err(), Some(EFAULT));
        assert_eq!(root.lock().err(), Some(EFAULT));
        assert_eq!(
            fault(&root, UserVa::new(PAGE), PAGE, Access::Read),
            Err(EFAULT)
        );
        let huge = AccessFlags::from_raw(ON_DEMAND | HUGETLB);
        assert_eq!(
            OwnedUmemOdp::implicit(device.device(), huge).err(),
            Some(EINVAL)
        );
        assert_eq!(root.release(), Unmapped::default());
        Ok(())
    }

    #[test]
    fn a_fault_is_within_the_umem() -> Result {
        let device = VirtualDevice::new()?;
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let umem = device.umem(memory.page(8), 8 * PAGE, ON_DEMAND | LOCAL_WRITE)?;
        let of = |va, len| fault(&umem, va, len, Access::Write);

        assert_eq!(of(memory.at(8 * PAGE + 1), 1), Ok((1, 1)));
        assert_eq!(of(memory.at(9 * PAGE - 1), 2), Ok((2, 2)));
        assert_eq!(of(memory.page(8), 8 * PAGE), Ok((8, 8)));
        assert_eq!(of(memory.at(8 * PAGE - 1), 2), Err(EFAULT));
        assert_eq!(of(memory.page(15), PAGE + 1), Err(EFAULT));
        assert_eq!(of(memory.page(17), 1), Err(EFAULT));
        assert_eq!(of(memory.page(9), 0), Err(EINVAL));
        assert_eq!(of(memory.page(9), u64::MAX), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn what_is_refused_leaves_nothing() -> Result {
        let device = VirtualDevice::new()?;
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let umem = device.umem(memory.page(0), PAGES as u64 * PAGE, ON_DEMAND | LOCAL_WRITE)?;
        let all = PAGES as u64 * PAGE;

        // All pages but one can be had, which is none of them.
        memory.unmap(30, 1)?;
        assert_eq!(
            fault(&umem, memory.page(0), all, Access::Write),
            Err(EFAULT)
        );
        assert_eq!(entries(&umem)?, [None; PAGES]);
        memory.replace(30, 1, Protection::Read)?;
        assert_eq!(fault(&umem, memory.page(0), all, Access::Write), Err(EPERM));
        assert_eq!(entries(&umem)?, [None; PAGES]);
        assert_eq!(
            fault(&umem, memory.page(0), all, Access::Read),
            Ok((PAGES, PAGES))
        );
        Ok(())
    }

    #[test]
    fn huge_pages_that_are_none_are_refused() -> Result {
        let device = VirtualDevice::new()?;
        let memory = UserMemory::new(512, 0)?;
        let umem = device.umem(memory.page(0), 512 * PAGE, ON_DEMAND | HUGETLB)?;

        // Not even a transparent one goes over the end of a mapping.
        memory.replace(500, 1, Protection::Read)?;
        for access in [Access::Read, Access::Snapshot] {
            assert_eq!(fault(&umem, memory.page(0), 1, access), Err(EINVAL));
        }
        assert_eq!(umem.release(), Unmapped::default());
        Ok(())
    }

    #[test]
    fn a_release_tells_what_was_there() -> Result {
        let device = VirtualDevice::new()?;
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let umem = device.umem(memory.page(0), PAGES as u64 * PAGE, ON_DEMAND | LOCAL_WRITE)?;

        fault(&umem, memory.page(0), 4 * PAGE, Access::Read)?;
        fault(&umem, memory.page(10), 3 * PAGE, Access::Write)?;
        let should = Unmapped {
            pages: 7,
            dma_mapped: 0,
            dirtied: 3,
        };
        assert_eq!(umem.release(), should);
        Ok(())
    }

    #[test]
    fn a_umem_agrees_with_a_model() -> Result {
        let device = VirtualDevice::new()?;
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let all = PAGES as u64 * PAGE;
        let umem = device.umem(memory.page(0), all, ON_DEMAND | LOCAL_WRITE)?;
        let mut random = Random::new("a_umem_agrees_with_a_model");
        // What the CPU maps, and what is in the table.
        let (mut cpu, mut table) = ([None; PAGES], [None; PAGES]);

        for step in 0..2000 {
            let first = random.below(PAGES as u64) as usize;
            let pages = random.below((PAGES - first) as u64) as usize + 1;
            let (part, va) = (first..first + pages, memory.page(first as u64));
            let len = pages as u64 * PAGE;
            let present = |cpu: &[Entry]| cpu.iter().flatten().count();

            match random.below(5) {
                0 => {
                    memory.replace(first as u64, pages as u64, Protection::Write)?;
                    cpu[part.clone()].fill(None);
                    table[part].fill(None);
                }
                1 => {
                    memory.write(first as u64 * PAGE, &[step as u8])?;
                    // A first write to the page of zeroes is another page.
                    if cpu[first] != Some(true) {
                        table[first] = None;
                    }
                    cpu[first] = Some(true);
                }
                2 => {
                    let is = fault(&umem, va, len, Access::Snapshot)?;
                    assert!(same(
                        fmt!("{step}"),
                        is,
                        (pages, present(&cpu[part.clone()]))
                    ));
                    for i in part {
                        table[i] = cpu[i];
                    }
                }
                write => {
                    let access = [Access::Read, Access::Write][write as usize - 3];
                    let is = fault(&umem, va, len, access)?;
                    assert!(same(fmt!("{step}"), is, (pages, pages)));
                    for i in part.clone() {
                        if access == Access::Write && cpu[i] == Some(false) {
                            table[i] = None;
                        }
                        cpu[i] = match access {
                            Access::Write => Some(true),
                            _ => cpu[i].or(Some(false)),
                        };
                    }
                    for i in part {
                        table[i] = cpu[i];
                    }
                }
            }
            assert!(same(fmt!("step {step}"), entries(&umem)?, table));
        }
        Ok(())
    }

    #[test]
    fn a_device_sees_the_process_s_pages() -> Result {
        let device = VirtualDevice::new()?;
        let memory = UserMemory::new(PAGES as u64, 0)?;
        let umem = device.umem(memory.page(0), PAGES as u64 * PAGE, ON_DEMAND | LOCAL_WRITE)?;
        let mut random = Random::new("a_device_sees_the_process_s_pages");

        for _ in 0..500 {
            let page = random.below(PAGES as u64);
            let stamp = random.number() as u8;

            if random.coin() {
                memory.replace(page, 1, Protection::Write)?;
                assert_eq!(first_byte(&umem, page as usize), Err(ENOENT));
            }
            fault(&umem, memory.page(page), PAGE, Access::Read)?;
            memory.write(page * PAGE, &[stamp])?;
            // Unless the page had to be copied for it.
            match first_byte(&umem, page as usize) {
                Err(ENOENT) => fault(&umem, memory.page(page), PAGE, Access::Read).map(|_| ())?,
                other => assert_eq!(other, Ok(stamp)),
            }
            assert_eq!(first_byte(&umem, page as usize), Ok(stamp));
        }
        Ok(())
    }
}
