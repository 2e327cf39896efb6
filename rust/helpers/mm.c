// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

struct page *rust_helper_compound_head(struct page *page)
{
	return compound_head(page);
}
