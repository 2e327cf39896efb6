// SPDX-License-Identifier: GPL-2.0

#include <linux/oom.h>

bool rust_helper_check_stable_address_space(struct mm_struct *mm)
{
	return check_stable_address_space(mm);
}
