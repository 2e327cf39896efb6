// SPDX-License-Identifier: GPL-2.0

//! The processes that have regions: one entry each, with the last of them gone.

use super::*;
use crate::{
    region::Region,
    tests::{UserMemory, PAGE},
    umem::AccessFlags,
    Access,
};

/// How many regions each process has, as the table says.
fn regions(workers: &FaultWorkers) -> (usize, usize) {
    let processes = workers.processes.lock();

    processes
        .values()
        .fold((0, 0), |(processes, regions), entry| {
            (processes + 1, regions + entry.regions)
        })
}

#[kunit_tests(odp_workers)]
mod suite {
    use super::*;

    #[test]
    fn a_process_is_there_with_its_regions() -> Result {
        // SAFETY: Ended below.
        let workers = unsafe { FaultWorkers::new()? };
        let memory = UserMemory::new(4, 0)?;
        let new = || {
            let access = AccessFlags::local(true);
            Region::new(&workers, memory.page(0), 4 * PAGE, access)
        };

        assert_eq!(regions(&workers), (0, 0));
        let (first, second) = (new()?, new()?);
        assert_eq!(regions(&workers), (1, 2));
        assert!(first.jobs.process().is_watched());
        assert!(!first.jobs.process().has_queues());
        first.prefetch_and_wait(memory.page(0), PAGE, Access::Read, &|| true)?;
        assert!(first.jobs.process().has_queues());
        drop(first);
        assert_eq!(regions(&workers), (1, 1));
        drop(second);
        assert_eq!(regions(&workers), (0, 0));
        let third = new()?;
        assert_eq!(regions(&workers), (1, 1));
        drop(third);
        workers.end(|_| ());
        Ok(())
    }

    #[test]
    fn what_cannot_be_registered_leaves_nothing() -> Result {
        // SAFETY: Ended below.
        let workers = unsafe { FaultWorkers::new()? };
        let _memory = UserMemory::new(1, 0)?;
        let access = AccessFlags::local(true);

        assert!(Region::new(&workers, crate::UserVa::new(PAGE), 0, access).is_err());
        assert_eq!(regions(&workers), (0, 0));
        workers.end(|_| ());
        Ok(())
    }
}
