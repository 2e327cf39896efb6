// SPDX-License-Identifier: GPL-2.0

#include <linux/page-flags.h>

bool rust_helper_folio_test_uptodate(const struct folio *folio)
{
	return folio_test_uptodate(folio);
}
