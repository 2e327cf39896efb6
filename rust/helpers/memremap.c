// SPDX-License-Identifier: GPL-2.0

#include <linux/memremap.h>

bool rust_helper_is_pci_p2pdma_page(const struct page *page)
{
	return is_pci_p2pdma_page(page);
}
