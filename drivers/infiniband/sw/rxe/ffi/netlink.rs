// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

//! What `rdma` shows of an MR: `rdma resource show mr` and `rdma statistic show mr`.

use super::odp_of;
use crate::mr::OdpMr;
use kernel::{bindings, prelude::*, sync::ArcBorrow};
use rxe_bindings::{ib_mr, rxe_mr};

/// Fills a nested attribute of a netlink message: all of it, or nothing.
///
/// # Safety
///
/// `msg` must be a live message under construction.
unsafe fn nested(
    msg: *mut bindings::sk_buff,
    kind: rxe_bindings::rdma_nldev_attr,
    fill: impl FnOnce() -> bool,
) -> c_int {
    // SAFETY: By the caller's promise. CAST: Attributes are small positive numbers.
    let nest = unsafe { rxe_bindings::nla_nest_start(msg, kind as c_int) };

    if nest.is_null() {
        return EMSGSIZE.to_errno();
    }
    // SAFETY: As above; `nest` was started in `msg`.
    unsafe {
        if fill() {
            rxe_bindings::nla_nest_end(msg, nest);
            0
        } else {
            rxe_bindings::nla_nest_cancel(msg, nest);
            EMSGSIZE.to_errno()
        }
    }
}

/// # Safety
///
/// `ibmr` must be a live MR of rxe.
unsafe fn odp_of_ib<'a>(ibmr: *mut ib_mr) -> Option<ArcBorrow<'a, OdpMr>> {
    // SAFETY: By the caller's promise it is embedded in one.
    unsafe { odp_of(kernel::container_of!(ibmr, rxe_mr, ibmr)).ok() }
}

/// `rdma resource show mr`: what kind of region it is.
///
/// # Safety
///
/// As C's contract: `ibmr` is a live MR of rxe, `msg` a message under construction.
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_odp_fill_res_mr_entry(
    msg: *mut bindings::sk_buff,
    ibmr: *mut ib_mr,
) -> c_int {
    // SAFETY: By C's contract.
    let Some(odp) = (unsafe { odp_of_ib(ibmr) }) else {
        return 0;
    };
    let kind = match odp.is_implicit() {
        true => c"implicit",
        false => c"explicit",
    };
    // SAFETY: By C's contract; the strings are copied.
    unsafe {
        nested(
            msg,
            rxe_bindings::rdma_nldev_attr_RDMA_NLDEV_ATTR_DRIVER,
            || {
                let (name, kind) = (c"odp".as_char_ptr(), kind.as_char_ptr());
                rxe_bindings::rdma_nl_put_driver_string(msg, name, kind) == 0
            },
        )
    }
}

/// `rdma statistic show mr`: the counters of a region.
///
/// # Safety
///
/// As [`rxe_odp_fill_res_mr_entry`].
#[no_mangle]
pub(super) unsafe extern "C" fn rxe_odp_fill_stat_mr_entry(
    msg: *mut bindings::sk_buff,
    ibmr: *mut ib_mr,
) -> c_int {
    // SAFETY: By C's contract.
    let Some(odp) = (unsafe { odp_of_ib(ibmr) }) else {
        return 0;
    };
    let counters = odp.counters();
    let entries = [
        (c"page_faults", &counters.page_faults),
        (c"page_faults_handled", &counters.page_faults_handled),
        (c"page_invalidations", &counters.page_invalidations),
        (
            c"page_invalidations_handled",
            &counters.page_invalidations_handled,
        ),
        (c"page_prefetch", &counters.page_prefetch),
    ];
    // SAFETY: By C's contract; the names are copied.
    unsafe {
        nested(
            msg,
            rxe_bindings::rdma_nldev_attr_RDMA_NLDEV_ATTR_STAT_HWCOUNTERS,
            || {
                entries.iter().all(|(name, counter)| {
                    let (name, value) = (name.as_char_ptr(), counter.get());
                    rxe_bindings::rdma_nl_stat_hwcounter_entry(msg, name, value) == 0
                })
            },
        )
    }
}
