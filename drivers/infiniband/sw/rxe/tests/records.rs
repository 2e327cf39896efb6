// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! Which of the requests that a responder remembers a packet is that comes again.

use crate::reach::{is_of_record, Duplicate, Extent, Kind, Record};
use kernel::prelude::*;

const KEY: u32 = 0x1234_5678;

const fn bytes(start: u64, length: u64) -> Extent {
    Extent { start, length }
}

#[kunit_tests(rxe_records)]
mod suite {
    use super::*;

    const MTU: u32 = 1024;
    const KINDS: [Kind; 4] = [Kind::Read, Kind::Atomic, Kind::AtomicWrite, Kind::Flush];

    /// A READ of four packets, the third of which has the first PSN of all.
    fn record(kind: Kind) -> Record {
        Record {
            kind,
            first_psn: 0xff_fffe,
            last_psn: 1,
            key: KEY,
            bytes: bytes(0x5000, 3500),
        }
    }

    fn duplicate(kind: Kind, psn: u32, start: u64, length: u64) -> Duplicate {
        Duplicate {
            kind,
            psn,
            key: KEY,
            bytes: bytes(start, length),
        }
    }

    #[test]
    fn a_record_answers_its_own_kind() {
        for kind in KINDS {
            for recorded in KINDS {
                let again = duplicate(kind, 0xff_fffe, 0x5000, 3500);
                let answers = is_of_record(&again, &record(recorded), MTU);
                assert_eq!(answers, kind == recorded);
            }
        }
    }

    #[test]
    fn a_record_answers_its_own_psns() {
        for kind in KINDS {
            for (psn, packet) in [(0xff_fffe, 0), (0xff_ffff, 1), (0, 2), (1, 3)] {
                let again = duplicate(kind, psn, 0x5000 + packet * 1024, 100);
                assert!(is_of_record(&again, &record(kind), MTU));
            }
            for psn in [0xff_fffd, 2, 0x7f_ffff, 0x80_0000] {
                let again = duplicate(kind, psn, 0x5000, 100);
                assert!(!is_of_record(&again, &record(kind), MTU));
            }
        }
    }

    #[test]
    fn what_is_left_of_a_read_starts_with_a_packet() {
        let read = record(Kind::Read);
        let of = |psn, start, length| {
            is_of_record(&duplicate(Kind::Read, psn, start, length), &read, MTU)
        };

        assert!(of(0, 0x5800, 3500 - 2048) && of(0, 0x5800, 5));
        assert!(!of(0, 0x5800, 3500 - 2047));
        assert!(!of(0, 0x5000, 3500) && !of(0, 0x5801, 5) && !of(0xff_fffe, 0x5800, 5));
        assert!(!of(0xff_fffe, 0x4fff, 5) && !of(0xff_fffe, 0x5000, 3501));
        assert!(!of(0xff_fffe, 0x5000, 0) && !of(0xff_fffe, 0x5000, u64::MAX));
        let mut other = duplicate(Kind::Read, 0xff_fffe, 0x5000, 3500);
        other.key += 1;
        assert!(!is_of_record(&other, &read, MTU));
    }

    #[test]
    fn a_read_at_the_end_of_all_addresses() {
        let mut read = record(Kind::Read);
        read.bytes = bytes(u64::MAX - 2047, 2048);
        read.last_psn = 0xff_ffff;
        let of = |psn, start, length| {
            is_of_record(&duplicate(Kind::Read, psn, start, length), &read, MTU)
        };

        assert!(of(0xff_fffe, u64::MAX - 2047, 2048) && of(0xff_ffff, u64::MAX - 1023, 1024));
        assert!(!of(0xff_ffff, u64::MAX - 1023, 1025) && !of(0xff_ffff, 1, 1024));
    }

    #[test]
    fn a_read_of_nothing_has_no_address() {
        let mut read = record(Kind::Read);
        (read.bytes, read.key, read.last_psn) = (bytes(7, 0), 0, read.first_psn);
        for (psn, length, should) in [
            (0xff_fffe, 0, true),
            (0xff_fffe, 1, false),
            (0xff_ffff, 0, false),
        ] {
            let again = duplicate(Kind::Read, psn, 0x1234, length);
            assert_eq!(is_of_record(&again, &read, MTU), should);
        }
    }
}
