// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! The addresses that peers use: what is in a memory region and what is not, at both ends of it and of
//! all addresses, and that it is the right memory; atomic operations on it.

use crate::mr::{AtomicOp, OdpMr};
use core::mem::MaybeUninit;
use kernel::prelude::*;
use odp::{
    tests::{same, workers, Random, UserMemory, PAGE},
    umem::AccessFlags,
    Access,
};

const PAGES: u64 = 8;
const BYTES: u64 = PAGES * PAGE;

/// The longest access.
const LONGEST: usize = 64;

/// Reads `len` bytes.
fn read(mr: &OdpMr, iova: u64, len: usize) -> Result {
    let mut bytes = [MaybeUninit::uninit(); LONGEST];

    mr.waiting().read(iova, bytes.get_mut(..len).ok_or(EINVAL)?)
}

fn register(memory: &UserMemory, iova: u64) -> Result<OdpMr> {
    OdpMr::register(
        &workers()?,
        memory.page(0).get(),
        BYTES,
        iova,
        AccessFlags::local(true),
    )
}

/// [`OdpMr::atomic`], with nothing to keep out.
fn atomic(mr: &OdpMr, iova: u64, op: AtomicOp) -> Result<u64> {
    mr.waiting().atomic(iova, op, |operation| operation())
}

#[kunit_tests(rxe_odp_mr)]
mod suite {
    use super::*;

    #[test]
    fn what_is_not_in_the_mr_is_refused() -> Result {
        let memory = UserMemory::new(PAGES, 0)?;
        let mut random = Random::new("what_is_not_in_the_mr_is_refused");

        for _ in 0..300 {
            // Peers' addresses may be any, and may wrap around at the end of the MR.
            let iova = match random.below(4) {
                0 => random.number(),
                1 => 0u64.wrapping_sub(random.below(2 * BYTES)),
                2 => memory.page(0).get(),
                _ => random.near_an_edge(),
            };
            let mr = register(&memory, iova)?;

            for _ in 0..30 {
                let len = random.below(LONGEST as u64 + 1);
                let offset = match random.below(3) {
                    0 => random.below(BYTES + 1),
                    1 => BYTES
                        .wrapping_sub(len)
                        .wrapping_add(random.below(5))
                        .wrapping_sub(2),
                    _ => random.below(5).wrapping_sub(2),
                };
                let at = iova.wrapping_add(offset);
                // An address below the first is not in it, nor is one that has wrapped.
                let inside = at
                    .checked_sub(iova)
                    .is_some_and(|offset| offset <= BYTES && len <= BYTES - offset);
                let should = match inside {
                    true => Ok(()),
                    false => Err(EFAULT),
                };
                assert!(same(
                    fmt!("{len} bytes at {at:#x} of an MR at {iova:#x}"),
                    read(&mr, at, len as usize),
                    should
                ));
            }
        }
        Ok(())
    }

    #[test]
    fn addresses_of_peers_are_the_right_memory() -> Result {
        let memory = UserMemory::new(PAGES, 0)?;
        let iova = 0xdead_b000_0000;
        let mr = register(&memory, iova)?;
        let mut random = Random::new("addresses_of_peers_are_the_right_memory");

        for _ in 0..1000 {
            let (offset, stamp) = (random.below(BYTES - 7), random.number());
            let mut found = [0; 8];

            mr.waiting().write(iova + offset, &stamp.to_le_bytes())?;
            memory.read(offset, &mut found)?;
            assert!(same(
                fmt!("offset {offset}"),
                u64::from_le_bytes(found),
                stamp
            ));
        }
        Ok(())
    }

    #[test]
    fn atomic_operations() -> Result {
        let memory = UserMemory::new(PAGES, 0)?;
        let mr = register(&memory, 1 << 60)?;
        let at = (1 << 60) + PAGE - 8;
        let swap = |compare, swap| atomic(&mr, at, AtomicOp::CompareSwap { compare, swap });

        assert_eq!(swap(1, 5), Ok(0));
        assert_eq!(swap(0, 5), Ok(0));
        assert_eq!(swap(5, u64::MAX), Ok(5));
        assert_eq!(atomic(&mr, at, AtomicOp::FetchAdd(3)), Ok(u64::MAX));
        assert_eq!(atomic(&mr, at, AtomicOp::FetchAdd(0)), Ok(2));
        assert_eq!(mr.waiting().atomic_write(at, 77), Ok(()));
        assert_eq!(atomic(&mr, at, AtomicOp::FetchAdd(0)), Ok(77));
        for odd in 1..8 {
            assert_eq!(atomic(&mr, at - odd, AtomicOp::FetchAdd(1)), Err(EINVAL));
            assert_eq!(mr.waiting().atomic_write(at - odd, 1), Err(EINVAL));
        }
        // The last word, and half of one.
        let end = (1 << 60) + BYTES;
        assert_eq!(mr.waiting().atomic_write(end - 8, 1), Ok(()));
        assert_eq!(mr.waiting().atomic_write(end - 4, 1), Err(EFAULT));
        assert_eq!(mr.waiting().atomic_write(end, 1), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn an_operation_that_is_refused_takes_no_lock() -> Result {
        let memory = UserMemory::new(PAGES, 0)?;
        let mr = register(&memory, 0)?;
        let mut locked = 0;

        for iova in [4, BYTES, BYTES - 4] {
            let refused = mr
                .waiting()
                .atomic(iova, AtomicOp::FetchAdd(1), |_| locked += 1);
            assert!(refused.is_err());
        }
        assert_eq!(locked, 0);
        mr.waiting().atomic(8, AtomicOp::FetchAdd(1), |operation| {
            locked += 1;
            operation();
        })?;
        assert_eq!(locked, 1);
        Ok(())
    }

    #[test]
    fn an_implicit_mr_is_the_whole_address_space() -> Result {
        let memory = UserMemory::new(PAGES, 0)?;
        let access = AccessFlags::local(true);
        let all = OdpMr::register(&workers()?, 0, u64::MAX, 0, access)?;

        assert!(all.is_implicit() && all.is_writable());
        assert_eq!(all.waiting().write(memory.page(3).get(), &[9]), Ok(()));
        let mut byte = [0];
        memory.read(3 * PAGE, &mut byte)?;
        assert_eq!(byte, [9]);
        assert_eq!(read(&all, u64::MAX, 1), Err(EFAULT));
        // It has no other addresses than those of the process.
        assert_eq!(
            OdpMr::register(&workers()?, 0, u64::MAX, PAGE, access).err(),
            Some(EINVAL)
        );
        // The same length from elsewhere is a range that wraps.
        assert_eq!(
            OdpMr::register(&workers()?, PAGE, u64::MAX, 0, access).err(),
            Some(EOVERFLOW)
        );
        Ok(())
    }

    #[test]
    fn prefetches_are_by_the_addresses_of_peers() -> Result {
        let memory = UserMemory::new(PAGES, 0)?;
        let mr = register(&memory, 0x1000_0000)?;
        let prefetch = |iova, len| mr.prefetch(iova, len, Access::Write, &|| true);

        assert_eq!(prefetch(0x1000_0000, BYTES), Ok(()));
        assert_eq!(mr.counters().page_prefetch.get(), PAGES);
        assert_eq!(prefetch(memory.page(0).get(), PAGE), Err(EFAULT));
        assert_eq!(prefetch(0x1000_0000 - 1, 2), Err(EFAULT));
        assert_eq!(prefetch(0x1000_0000, BYTES + 1), Err(EFAULT));
        assert_eq!(prefetch(0x1000_0000, 0), Err(EINVAL));
        assert!(!mr.is_implicit());
        Ok(())
    }
}
