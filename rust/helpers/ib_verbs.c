// SPDX-License-Identifier: GPL-2.0

#include <rdma/ib_verbs.h>

bool rust_helper_ib_uses_virt_dma(struct ib_device *dev)
{
	return ib_uses_virt_dma(dev);
}

struct device *rust_helper_ib_device_dma_device(struct ib_device *dev)
{
	return dev->dma_device;
}

bool rust_helper_ib_access_writable(int access_flags)
{
	return ib_access_writable(access_flags);
}
