// SPDX-License-Identifier: GPL-2.0

//! KUnit suites of the library and of drivers' parts that want no device, in a module of its own: the
//! library is in it once more, compiled with its tests. For kernels with KUnit.
//!
//! The suites are in `rust/odp/tests/` and in the drivers' `tests/`; `scripts/suites/kunit` runs them.

use kernel::prelude::*;

module! {
    type: Suites,
    name: "odp_kunit",
    authors: ["The ODP in Rust developers"],
    description: "KUnit suites of on-demand paging in Rust",
    license: "GPL",
    params: {
        seed: u64 {
            default: 1,
            description: "What the random numbers of the suites come from",
        },
    },
}

struct Suites;

impl kernel::Module for Suites {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // KUnit runs the suites after this.
        odp::tests::set_seed(module_parameters::seed.value());
        Ok(Self)
    }
}

impl Drop for Suites {
    fn drop(&mut self) {
        odp::tests::tear_down();
    }
}
