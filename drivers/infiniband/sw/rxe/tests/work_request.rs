// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What a process can write into a ring, and what of it is a work request.

use crate::work_request::{length, payload, Limits, Operation, Payload, Refusal, Request};
use kernel::prelude::*;
use odp::tests::{same, Random};

const LIMITS: Limits = Limits {
    max_sge: 4,
    max_inline: 64,
};
const LONGEST: u32 = 1 << 31;
const OPERATIONS: [Operation; 7] = [
    Operation::Send,
    Operation::Receive,
    Operation::Read,
    Operation::Atomic,
    Operation::AtomicWrite,
    Operation::Flush,
    Operation::Local,
];

fn request(operation: Operation, inline: bool, length: u32, num_sge: u32) -> Request {
    Request {
        operation: Some(operation),
        inline,
        length,
        num_sge,
    }
}

/// A number as those who look for a mistake write it.
fn hostile(random: &mut Random) -> u32 {
    let near = [0, LIMITS.max_sge, LIMITS.max_inline, 1 << 31, u32::MAX];
    let base = near
        .get(random.below(6) as usize)
        .copied()
        .unwrap_or(random.number() as u32);

    base.wrapping_add(random.below(3) as u32).wrapping_sub(1)
}

#[kunit_tests(rxe_work_request)]
mod suite {
    use super::*;
    use Operation::{Atomic, AtomicWrite, Flush, Local, Read, Receive, Send};
    use Payload::{Data, Sges};
    use Refusal::{Length, Malformed};

    #[test]
    fn what_is_behind_a_request() {
        let table = [
            (request(Send, false, 8, 0), Ok(Sges(0))),
            (request(Send, false, 8, 4), Ok(Sges(4))),
            (request(Send, false, 8, 5), Err(Malformed)),
            (request(Send, false, 8, u32::MAX), Err(Malformed)),
            (request(Send, true, 0, 9), Ok(Data(0))),
            (request(Send, true, 64, u32::MAX), Ok(Data(64))),
            (request(Send, true, 65, 1), Err(Length)),
            (request(Send, true, u32::MAX, 1), Err(Length)),
            (request(Read, false, 8, 4), Ok(Sges(4))),
            (request(Read, false, 8, 5), Err(Malformed)),
            (request(Read, true, 8, 1), Err(Malformed)),
            (request(Atomic, false, 8, 1), Ok(Sges(1))),
            (request(Atomic, true, 8, 1), Err(Malformed)),
            (request(AtomicWrite, false, 8, 9), Ok(Data(8))),
            (request(AtomicWrite, true, 8, 0), Ok(Data(8))),
            (request(AtomicWrite, false, 7, 0), Err(Length)),
            (request(AtomicWrite, false, u32::MAX, 0), Err(Length)),
            (request(Flush, true, u32::MAX, u32::MAX), Ok(Data(0))),
            (request(Local, true, u32::MAX, u32::MAX), Ok(Data(0))),
            (request(Receive, false, u32::MAX, 4), Ok(Sges(4))),
            (request(Receive, false, 0, 5), Err(Malformed)),
        ];

        for (request, expected) in &table {
            assert!(same(
                fmt!("what is behind {request:?}"),
                payload(request, &LIMITS),
                *expected
            ));
        }
        let unknown = Request {
            operation: None,
            ..request(Send, false, 0, 0)
        };
        assert!(same(
            fmt!("what is behind no operation"),
            payload(&unknown, &LIMITS),
            Err(Malformed)
        ));
    }

    #[test]
    fn the_length_is_that_of_the_list() {
        let table: [(Request, &[u32], _); 14] = [
            (request(Send, false, 0, 0), &[], Ok(0)),
            (request(Send, false, 8, 0), &[], Err(Malformed)),
            (request(Send, false, 0, 1), &[8], Err(Malformed)),
            (request(Send, false, 12, 2), &[8, 4], Ok(12)),
            (request(Send, false, 13, 2), &[8, 4], Err(Malformed)),
            (request(Send, false, LONGEST, 1), &[LONGEST], Ok(LONGEST)),
            (request(Send, false, 0, 2), &[LONGEST, LONGEST], Err(Length)),
            (request(Send, false, LONGEST, 2), &[LONGEST, 1], Err(Length)),
            (request(Read, false, 8, 2), &[8, 0], Ok(8)),
            (request(Atomic, false, 8, 1), &[8], Ok(8)),
            (request(Atomic, false, 16, 1), &[16], Ok(16)),
            (request(Atomic, false, 7, 2), &[4, 3], Err(Length)),
            (request(Receive, false, u32::MAX, 2), &[5, 6], Ok(11)),
            (request(Receive, false, 1, 2), &[LONGEST, 1], Err(Length)),
        ];

        for (request, list, expected) in &table {
            assert!(same(
                fmt!("the length of {request:?}"),
                length(request, list.iter().copied()),
                *expected
            ));
        }
    }

    #[test]
    fn nothing_exceeds_what_the_queue_was_made_for() {
        let mut random = Random::new("nothing_exceeds_what_the_queue_was_made_for");

        for _ in 0..20_000 {
            let operation = OPERATIONS.get(random.below(7) as usize).copied();
            let request = Request {
                operation,
                inline: random.below(2) == 0,
                length: hostile(&mut random),
                num_sge: hostile(&mut random),
            };
            let fits = match payload(&request, &LIMITS) {
                Ok(Data(bytes)) => bytes <= LIMITS.max_inline,
                Ok(Sges(count)) => count <= LIMITS.max_sge && count == request.num_sge,
                Err(_) => true,
            };
            assert!(same(fmt!("whether {request:?} fits"), fits, true));

            let list = [hostile(&mut random), hostile(&mut random)];
            let sum: u64 = list.iter().map(|&length| u64::from(length)).sum();
            let right = match length(&request, list.into_iter()) {
                Ok(length) => u64::from(length) == sum && sum <= LONGEST.into(),
                Err(_) => true,
            };
            assert!(same(
                fmt!("whether the length of {request:?} is right"),
                right,
                true
            ));
        }
    }
}
