// SPDX-License-Identifier: GPL-2.0

#include <linux/iommu.h>

void rust_helper_iommu_flush_iotlb_all(struct iommu_domain *domain)
{
	iommu_flush_iotlb_all(domain);
}
