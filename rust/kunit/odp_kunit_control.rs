// SPDX-License-Identifier: GPL-2.0

//! A suite that fails, to show that a failure would be seen: it passes through the same macro, the same
//! kernel and the same parser as those of `odp_kunit.ko`.

use kernel::prelude::*;

module! {
    type: Control,
    name: "odp_kunit_control",
    authors: ["The ODP in Rust developers"],
    description: "A KUnit suite that fails on purpose",
    license: "GPL",
}

struct Control;

impl kernel::Module for Control {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

#[kunit_tests(odp_control)]
mod suite {
    use kernel::prelude::*;

    #[test]
    fn passes() {
        assert_eq!(1 + 1, 2);
    }

    #[test]
    fn fails_by_an_assertion() {
        assert_eq!(1 + 1, 3);
    }

    #[test]
    fn fails_by_an_error() -> Result {
        Err(EINVAL)
    }
}
