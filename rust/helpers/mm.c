// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

struct page *rust_helper_compound_head(struct page *page)
{
	return compound_head(page);
}

void rust_helper_folio_put(struct folio *folio)
{
	folio_put(folio);
}

void rust_helper_get_page(struct page *page)
{
	get_page(page);
}

void *rust_helper_pfn_to_kaddr(unsigned long pfn)
{
	return pfn_to_kaddr(pfn);
}

struct page *rust_helper_virt_to_page(const void *kaddr)
{
	return virt_to_page(kaddr);
}

bool rust_helper_vma_is_dax(struct vm_area_struct *vma)
{
	return vma_is_dax(vma);
}
