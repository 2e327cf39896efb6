// SPDX-License-Identifier: GPL-2.0

#include <linux/ioport.h>
#include <linux/mm.h>

bool rust_helper_is_persistent(const void *kaddr)
{
	return region_intersects(__pa(kaddr) & PAGE_MASK, PAGE_SIZE, IORESOURCE_MEM,
				 IORES_DESC_PERSISTENT_MEMORY) == REGION_INTERSECTS;
}
