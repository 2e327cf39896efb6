// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What a peer may reach: each thing that is asked, in a table that changes one of them at a time; bounds
//! against arithmetic in 128 bits.

use crate::reach::{reach, Extent, Flush, Operation, Refusal, Region, Request, Rights, Window};
use kernel::prelude::*;
use odp::tests::{same, Random};

const KEY: u32 = 0x1234_5678;
const PD: usize = 1;
const QP: usize = 2;
const ALL: Rights = Rights(!0);

const fn bytes(start: u64, length: u64) -> Extent {
    Extent { start, length }
}

/// A request, the region and the window that its key is of.
#[derive(Clone, Copy)]
struct Case {
    request: Request,
    region: Region,
    window: Option<Window>,
}

impl Case {
    fn reaches(&self) -> Result<Extent, Refusal> {
        reach(&self.request, &self.region, self.window.as_ref())
    }

    fn window(&mut self) -> Option<&mut Window> {
        self.window.as_mut()
    }
}

/// Eight bytes of a region of 8192 bytes, which allows all.
fn by_region(operation: Operation) -> Case {
    Case {
        request: Request {
            operation,
            key: KEY,
            bytes: bytes(0x1800, 8),
            pd: PD,
            qp: QP,
            qp_rights: ALL,
        },
        region: Region {
            valid: true,
            key: KEY,
            pd: PD,
            rights: Rights(!Rights::ZERO_BASED.0),
            bytes: Some(bytes(0x1000, 0x2000)),
        },
        window: None,
    }
}

/// The same by a window of 4096 bytes in that region.
fn by_window(operation: Operation, is_type2: bool) -> Case {
    let mut case = by_region(operation);

    case.region.key = 77;
    case.window = Some(Window {
        valid: true,
        key: KEY,
        pd: PD,
        qp: is_type2.then_some(QP),
        is_type2,
        rights: Rights(!Rights::ZERO_BASED.0),
        bytes: bytes(0x1400, 0x1000),
    });
    case
}

const fn flush(placement: u8, level: u8) -> Operation {
    Operation::Flush(Flush { placement, level })
}

/// All there are, with what right each takes.
const OPERATIONS: [(Operation, Rights); 8] = [
    (Operation::Read, Rights::REMOTE_READ),
    (Operation::Write, Rights::REMOTE_WRITE),
    (Operation::Atomic, Rights::REMOTE_ATOMIC),
    (Operation::AtomicWrite, Rights::REMOTE_WRITE),
    (flush(Flush::GLOBAL, Flush::RANGE), Rights::FLUSH_GLOBAL),
    (
        flush(Flush::PERSISTENT, Flush::RANGE),
        Rights::FLUSH_PERSISTENT,
    ),
    (flush(Flush::GLOBAL, Flush::WHOLE), Rights::FLUSH_GLOBAL),
    (
        flush(Flush::GLOBAL | Flush::PERSISTENT, Flush::RANGE),
        Rights::FLUSH_GLOBAL.and(Rights::FLUSH_PERSISTENT),
    ),
];

/// What makes any access impossible, by whatever key.
const NEVER: [(&CStr, fn(&mut Case)); 5] = [
    (c"another key", |case| case.request.key += 1),
    (c"a queue pair of another PD", |case| case.request.pd += 1),
    (c"a region of another PD", |case| case.region.pd += 1),
    (c"a region that is not valid", |case| {
        case.region.valid = false
    }),
    (c"a queue pair that allows nothing", |case| {
        case.request.qp_rights = Rights(0);
    }),
];

/// And by a window of either type.
const NEVER_BY_WINDOW: [(&CStr, fn(&mut Window)); 5] = [
    (c"not valid", |window| window.valid = false),
    (c"of another PD", |window| window.pd += 1),
    (c"of nothing", |window| window.bytes.length = 0),
    (c"a byte longer than the region", |window| {
        window.bytes.length = 0x1c01;
    }),
    (c"a byte before the region", |window| {
        window.bytes = bytes(0xfff, 0x1001);
    }),
];

/// Checks that a case is refused.
fn refused(what: &CStr, operation: usize, case: &Case) {
    assert!(same(
        fmt!("{what:?}, operation {operation}"),
        case.reaches().err(),
        Some(Refusal::Denied)
    ));
}

/// Each operation by a region, a window of type 1, and one of type 2.
fn for_all(mut f: impl FnMut(usize, Rights, Case)) {
    for (i, (operation, rights)) in OPERATIONS.into_iter().enumerate() {
        f(i, rights, by_region(operation));
        f(i, rights, by_window(operation, false));
        f(i, rights, by_window(operation, true));
    }
}

#[kunit_tests(rxe_reach)]
mod suite {
    use super::*;

    #[test]
    fn what_is_allowed_is_allowed() {
        for_all(|i, _, case| {
            let whole = case.window.map_or(bytes(0x1000, 0x2000), |w| w.bytes);
            let wanted = match case.request.operation {
                Operation::Flush(Flush {
                    level: Flush::WHOLE,
                    ..
                }) => whole,
                _ => case.request.bytes,
            };
            let found = case.reaches().is_ok_and(|found| found == wanted);
            assert!(same(fmt!("operation {i}"), found, true));
        });
    }

    #[test]
    fn one_thing_that_is_wrong_is_enough() {
        for_all(|i, _, case| {
            for (what, change) in NEVER {
                let mut case = case;
                change(&mut case);
                refused(what, i, &case);
            }
            for (what, change) in NEVER_BY_WINDOW {
                let mut case = case;
                let Some(window) = case.window() else {
                    continue;
                };
                change(window);
                refused(what, i, &case);
            }
        });
    }

    #[test]
    fn each_right_is_asked_for() {
        for_all(|i, rights, case| {
            for bit in 0..32 {
                let (bit, mut narrower) = (Rights(1 << bit), case);
                let should = rights.0 & bit.0 == 0;

                match narrower.window() {
                    Some(window) => window.rights.0 &= !bit.0,
                    None => narrower.region.rights.0 &= !bit.0,
                }
                assert!(same(
                    fmt!("operation {i} without right {:#x}", bit.0),
                    narrower.reaches().is_ok(),
                    should
                ));
                narrower = case;
                narrower.request.qp_rights.0 &= !bit.0;
                assert!(same(
                    fmt!("operation {i} by a queue pair without {:#x}", bit.0),
                    narrower.reaches().is_ok(),
                    should
                ));
            }
        });
    }

    #[test]
    fn a_window_gives_no_more_than_its_region_could() {
        for is_type2 in [false, true] {
            for (i, (operation, rights)) in OPERATIONS.into_iter().enumerate() {
                let mut case = by_window(operation, is_type2);
                if let Some(window) = case.window() {
                    window.rights = rights;
                }
                let writes = Rights::REMOTE_WRITE.0 | Rights::REMOTE_ATOMIC.0;
                let takes_local_write = rights.0 & writes != 0;
                let flushes = rights.0 & (Rights::FLUSH_GLOBAL.0 | Rights::FLUSH_PERSISTENT.0);

                // Not the region's remote rights: a window may be all that peers get.
                case.region.rights = Rights(Rights::MW_BIND.0 | Rights::LOCAL_WRITE.0 | flushes);
                assert!(same(fmt!("operation {i}"), case.reaches().is_ok(), true));
                case.region.rights.0 &= !Rights::LOCAL_WRITE.0;
                assert!(same(
                    fmt!("operation {i} of a region that is read-only"),
                    case.reaches().is_ok(),
                    !takes_local_write
                ));
                case.region.rights = Rights(Rights::LOCAL_WRITE.0 | flushes);
                refused(c"a region that allows no windows", i, &case);
                case.region.rights = Rights(Rights::MW_BIND.0 | Rights::LOCAL_WRITE.0);
                assert!(same(
                    fmt!("operation {i} of a region that allows no FLUSH"),
                    case.reaches().is_ok(),
                    flushes == 0
                ));
            }
        }
    }

    #[test]
    fn a_window_of_type_2_is_one_queue_pairs() {
        for (qp, by_type1, by_type2) in [
            (Some(QP), true, true),
            (Some(9), true, false),
            (None, true, false),
        ] {
            for (is_type2, should) in [(false, by_type1), (true, by_type2)] {
                let mut case = by_window(Operation::Read, is_type2);
                if let Some(window) = case.window() {
                    window.qp = qp;
                }
                assert_eq!(case.reaches().is_ok(), should);
            }
        }
    }

    #[test]
    fn bounds_are_to_the_byte() {
        let mut random = Random::new("bounds_are_to_the_byte");

        for _ in 0..20_000 {
            let length = random.below(100) + 1;
            let start = match random.below(3) {
                0 => random.below(300),
                1 => 0u64.wrapping_sub(length + random.below(100)),
                _ => random.near_an_edge().min(u64::MAX - length),
            };
            let zero_based = random.below(2) == 0;
            let at = start
                .wrapping_add(random.below(2 * length))
                .wrapping_sub(random.below(40));
            let len = match random.below(8) {
                0 => 0u64.wrapping_sub(random.below(length)),
                _ => random.below(length + 2),
            };
            let mut case = by_window(Operation::Read, random.below(2) == 0);

            case.region.bytes = Some(bytes(start.saturating_sub(50), length.saturating_add(100)));
            case.request.bytes = bytes(at, len);
            if let Some(window) = case.window() {
                window.bytes = bytes(start, length);
                if zero_based {
                    window.rights = ALL;
                    case.request.bytes.start = at.wrapping_sub(start);
                }
            }
            // The window's, and the region's: both in the numbers that do not wrap.
            let (first, end) = (u128::from(start), u128::from(start) + u128::from(length));
            let asked = match zero_based {
                true => first + u128::from(case.request.bytes.start),
                false => u128::from(case.request.bytes.start),
            };
            let last_of_all = 1u128 << 64;
            let should = asked >= first
                && asked + u128::from(len) <= end
                && asked < last_of_all
                && end <= last_of_all;
            // The region is wide enough, unless it were to end behind the last address.
            let backed = case.region.bytes.is_some_and(|all| {
                u128::from(all.start) + u128::from(all.length) >= end && all.start <= start
            });
            let found = case.reaches().map(|found| (found.start, found.length)).ok();
            let wanted = (should && backed).then_some((asked as u64, len));
            assert!(same(
                fmt!("{len:#x} bytes at {at:#x} of {length:#x} at {start:#x}, from zero: {zero_based}"),
                found,
                wanted
            ));
        }
    }

    #[test]
    fn a_window_is_bound_within_its_region() {
        let region = by_region(Operation::Read).region;
        let last = Region {
            bytes: Some(bytes(0u64.wrapping_sub(0x2000), 0x2000)),
            ..region
        };
        let base = 0u64.wrapping_sub(0x2000);

        for (region, start, length, should) in [
            (region, 0x1000, 0x2000, true),
            (region, 0x1000, 0x2001, false),
            (region, 0x2fff, 1, true),
            (region, 0x2fff, 2, false),
            (region, 0xfff, 1, false),
            (region, 0x2fff, u64::MAX, false),
            (region, 0x1000, u64::MAX - 0xfff, false),
            (last, base, 0x2000, true),
            (last, base, 0x1000, true),
            (last, base + 1, 0x2000, false),
            (last, base + 1, 0x1fff, true),
            (last, u64::MAX, 1, true),
            (last, u64::MAX, 2, false),
            (last, base, 0x3000, false),
        ] {
            for rights in [
                Rights::REMOTE_READ,
                Rights::REMOTE_READ.and(Rights::ZERO_BASED),
            ] {
                let window = Window {
                    valid: false,
                    key: 0,
                    pd: PD,
                    qp: None,
                    is_type2: true,
                    rights,
                    bytes: bytes(start, length),
                };
                assert!(same(
                    fmt!("{length:#x} bytes at {start:#x}"),
                    window.may_be_of(&region),
                    should
                ));
            }
        }
    }

    #[test]
    fn who_may_invalidate_a_window() {
        for (valid, is_type2, pd, qp, should) in [
            (true, true, PD, Some(QP), true),
            (false, true, PD, Some(QP), false),
            (true, false, PD, Some(QP), false),
            (true, true, PD + 1, Some(QP), false),
            (true, true, PD, Some(QP + 1), false),
            (true, true, PD, None, false),
        ] {
            let mut window = by_window(Operation::Read, true).window;
            if let Some(window) = &mut window {
                (window.valid, window.is_type2) = (valid, is_type2);
                (window.pd, window.qp) = (pd, qp);
            }
            assert_eq!(
                window.map(|w| w.may_be_invalidated_by(PD, QP)),
                Some(should)
            );
        }
    }

    #[test]
    fn atomic_operations_are_aligned() {
        for operation in [Operation::Atomic, Operation::AtomicWrite] {
            for at in 0x1800..0x1810 {
                let mut case = by_region(operation);
                case.request.bytes.start = at;
                let wanted = (at % 8 != 0).then_some(Refusal::Misaligned);
                assert_eq!(case.reaches().err(), wanted);
                // Out of bounds, it is not the alignment that is told.
                case.request.bytes.start = at + 0x1000_0000;
                assert_eq!(case.reaches().err(), Some(Refusal::Denied));
                // From zero, the address is to be aligned, and so is the memory.
                for base in [0x1400, 0x1404] {
                    let mut case = by_window(operation, true);
                    case.request.bytes.start = at - 0x1800;
                    if let Some(window) = case.window() {
                        window.rights = ALL;
                        window.bytes.start = base;
                    }
                    let wanted = (at % 8 != 0 || base % 8 != 0).then_some(Refusal::Misaligned);
                    assert_eq!(case.reaches().err(), wanted);
                }
            }
        }
    }

    #[test]
    fn a_flush_asks_for_what_there_is() {
        for placement in 0..16 {
            for level in 0..4 {
                let exists = (1..=3).contains(&placement) && level <= Flush::WHOLE;
                let case = by_region(flush(placement, level));
                assert!(same(
                    fmt!("placement {placement}, level {level}"),
                    case.reaches().is_ok(),
                    exists
                ));
            }
        }
        // All of it, wherever the address is.
        for is_type2 in [false, true] {
            let mut case = by_window(flush(Flush::GLOBAL, Flush::WHOLE), is_type2);
            case.request.bytes = bytes(3, u64::MAX);
            assert!(case.reaches() == Ok(bytes(0x1400, 0x1000)));
        }
    }

    #[test]
    fn a_region_without_bounds_has_no_window() {
        let mut case = by_region(Operation::Write);
        case.region.bytes = None;
        case.request.bytes = bytes(u64::MAX - 3, 4);
        assert!(case.reaches() == Ok(bytes(u64::MAX - 3, 4)));
        let mut case = by_window(Operation::Write, false);
        case.region.bytes = None;
        refused(c"a window of everything", 1, &case);
    }
}
