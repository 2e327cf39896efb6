// SPDX-License-Identifier: GPL-2.0

#include <linux/mmu_notifier.h>

bool rust_helper_mmu_interval_read_retry(struct mmu_interval_notifier *notifier,
					 unsigned long seq)
{
	return mmu_interval_read_retry(notifier, seq);
}

void rust_helper_mmu_interval_set_seq(struct mmu_interval_notifier *notifier,
				      unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
}

bool rust_helper_mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return mmu_notifier_range_blockable(range);
}
