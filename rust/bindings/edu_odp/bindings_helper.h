/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interface of edu_odp to user space, as Rust sees it.
 */

#include "../../../drivers/misc/edu_odp/edu_odp.h"

/* Macros with sizeof() or casts in them, which bindgen would leave out. */
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_DEVICE = EDU_ODP_IOC_DEVICE;
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_REGISTER = EDU_ODP_IOC_REGISTER;
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_DEREGISTER = EDU_ODP_IOC_DEREGISTER;
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_DMA = EDU_ODP_IOC_DMA;
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_PREFETCH = EDU_ODP_IOC_PREFETCH;
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_QUERY = EDU_ODP_IOC_QUERY;
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_PEEK = EDU_ODP_IOC_PEEK;
const __u32 RUST_CONST_HELPER_EDU_ODP_IOC_RAW_DMA = EDU_ODP_IOC_RAW_DMA;
