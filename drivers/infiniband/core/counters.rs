// SPDX-License-Identifier: GPL-2.0

//! What the module did since it was loaded, one decimal number a file, under debugfs.
//!
//! `page_faults`, `page_invalidations` and `page_prefetch` mean what mlx5's counters of these names
//! do; pages are counted in the umem's own page size.

use kernel::prelude::*;
use odp::{
    debugfs::{CounterDir, ShownCounter},
    dma::Unmapped,
    umem::Mapped,
    Access,
};

/// Declares the counters and the debugfs files that show them, of the same names.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters. They count up and wrap around.
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: ShownCounter,)*
        }

        /// The counters of this load of the module.
        pub(crate) static COUNTERS: Counters = Counters {
            $($name: ShownCounter::new(),)*
        };

        impl Counters {
            /// Shows the counters under `/sys/kernel/debug/rust_umem_odp`, until the result is
            /// dropped. Only meanwhile they count.
            ///
            /// # Errors
            ///
            /// `EBUSY` if they are shown already; `ENOMEM`.
            pub(crate) fn publish(&'static self) -> Result<CounterDir> {
                let mut dir = CounterDir::new(c"rust_umem_odp");

                $(dir.add(kernel::c_str!(stringify!($name)), &self.$name)?;)*
                Ok(dir)
            }
        }
    };
}

counters! {
    /// Calls of `ib_umem_odp_get()`.
    umem_get,
    /// Calls of `ib_umem_odp_alloc_implicit()`.
    umem_alloc_implicit,
    /// Calls of `ib_umem_odp_alloc_child()`.
    umem_alloc_child,
    /// Calls of `ib_umem_odp_release()`.
    umem_release,
    /// Calls of `ib_umem_odp_map_dma_and_lock()` that were to fault pages in.
    faults,
    /// Pages that such calls mapped.
    page_faults,
    /// Pages that calls mapped which were to take only what is resident.
    page_prefetch,
    /// Walks that were repeated because an invalidation collided with them.
    fault_retries,
    /// Calls of `ib_umem_odp_map_dma_and_lock()` that failed.
    fault_errors,
    /// Calls of `ib_umem_odp_unmap_dma_pages()`.
    invalidations,
    /// Pages that the device could use and that were taken from it, at a release too.
    page_invalidations,
    /// Pages marked dirty because the device may have written to them.
    dirtied_pages,
}

impl Counters {
    /// Counts a call of `ib_umem_odp_map_dma_and_lock()`.
    pub(crate) fn count_fault(&self, access: Access, outcome: &Result<Mapped<'_>>, retries: u64) {
        if access != Access::Snapshot {
            self.faults.add(1);
        }
        self.fault_retries.add(retries);
        match outcome {
            Ok(mapped) => {
                // Lossless: a `usize` has 64 bits.
                let pages = mapped.present as u64;
                match access {
                    Access::Snapshot => self.page_prefetch.add(pages),
                    Access::Read | Access::Write => self.page_faults.add(pages),
                }
            }
            Err(_) => self.fault_errors.add(1),
        }
    }

    /// Counts what was taken from the device.
    pub(crate) fn count_unmapped(&self, unmapped: Unmapped) {
        self.page_invalidations.add(unmapped.pages);
        self.dirtied_pages.add(unmapped.dirtied);
    }
}
