// SPDX-License-Identifier: GPL-2.0

#include <linux/pagemap.h>

struct folio *rust_helper_filemap_get_folio(struct address_space *mapping, pgoff_t index)
{
	return filemap_get_folio(mapping, index);
}
