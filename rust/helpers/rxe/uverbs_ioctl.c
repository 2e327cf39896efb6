// SPDX-License-Identifier: GPL-2.0

#include <rdma/uverbs_ioctl.h>

struct ib_ucontext *rust_helper_ib_uverbs_get_ucontext(const struct uverbs_attr_bundle *attrs)
{
	return ib_uverbs_get_ucontext(attrs);
}
