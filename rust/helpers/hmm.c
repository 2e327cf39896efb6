// SPDX-License-Identifier: GPL-2.0

#include <linux/hmm.h>

struct page *rust_helper_hmm_pfn_to_page(unsigned long hmm_pfn)
{
	return hmm_pfn_to_page(hmm_pfn);
}
