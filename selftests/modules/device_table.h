/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page table of a device with on-demand paging, kept as mlx5 keeps its own: in
 * blocks of eight entries, and with npages counted as there. See umem_odp_dma.c.
 */
#ifndef DEVICE_TABLE_H
#define DEVICE_TABLE_H

#include <linux/dma-mapping.h>
#include <linux/hmm.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci-p2pdma.h>
#include <rdma/ib_umem_odp.h>

#include "umem_odp_dma.h"

#define BLOCK		8UL	/* entries that change at once */
#define ENTRY_READ	1UL
#define ENTRY_WRITE	2UL

struct region {
	struct ib_umem_odp *odp;
	struct device *dev;
	bool careful;		/* unmaps page by page, each after a look at it */
	u64 *table;		/* the device's; protected by the umem_mutex */
	u64 wrong;		/* entries that had to be mended */
};

/* The DMA address that a page must have; 0 if that is not known. */
static inline dma_addr_t place(struct ib_umem_odp *odp, size_t index)
{
	unsigned long entry = odp->map.pfn_list[index];

	/* On x86, memory of a PCI device has the same address on its bus. */
	if (entry & HMM_PFN_P2PDMA_BUS)
		return hmm_pfn_to_phys(entry);
	if (dma_use_iova(&odp->map.state))
		return odp->map.state.addr + ((u64)index << odp->page_shift);
	if (!(entry & HMM_PFN_DMA_MAPPED))
		return 0;
	if (odp->map.dma_list)
		return odp->map.dma_list[index];
	return hmm_pfn_to_phys(entry);
}

static inline u32 translation(struct region *region, size_t index)
{
	struct ib_umem_odp *odp = region->odp;
	struct iommu_domain *domain = iommu_get_domain_for_dev(region->dev);
	phys_addr_t page = hmm_pfn_to_phys(odp->map.pfn_list[index]);
	dma_addr_t addr = place(odp, index);
	u64 offset;

	if (!domain || !iommu_iova_to_phys(domain, addr))
		return 0;
	for (offset = 0; offset < BIT(odp->page_shift); offset += PAGE_SIZE)
		if (iommu_iova_to_phys(domain, addr + offset) != page + offset)
			return DMA_TRANSLATED;
	return DMA_TRANSLATED | DMA_TRANSLATED_WHOLE;
}

/*
 * In one range of IOVA: what is mapped in the table is mapped in the IOMMU, to a
 * page that is not free, and nothing else is. Mends an entry where it is not so,
 * before the kernel stumbles over it, so that the test can go on and count.
 */
static inline void mend(struct region *region, size_t index)
{
	struct ib_umem_odp *odp = region->odp;
	unsigned long *entry = &odp->map.pfn_list[index];
	u32 found;

	if (!dma_use_iova(&odp->map.state) || *entry & HMM_PFN_P2PDMA_BUS)
		return;
	found = translation(region, index);
	if (*entry & HMM_PFN_DMA_MAPPED ?
	    found & DMA_TRANSLATED_WHOLE && page_count(hmm_pfn_to_page(*entry)) :
	    !found)
		return;
	if (found)
		dma_iova_unlink(region->dev, &odp->map.state, (u64)index << odp->page_shift,
				BIT(odp->page_shift), DMA_BIDIRECTIONAL,
				DMA_ATTR_REQUIRE_COHERENT);
	*entry &= ~HMM_PFN_FLAGS;
	region->table[index] = 0;
	region->wrong++;
}

enum update { MAP, MAP_FOR_READING, ZAP };

/* All blocks that [first, first + count) touches, as mlx5r_umr_update_xlt() does. */
static inline int update_table(struct region *region, size_t first, size_t count,
			       enum update update)
{
	struct pci_p2pdma_map_state p2pdma = {};
	struct ib_umem_odp *odp = region->odp;
	size_t end = min(ALIGN(first + count, BLOCK), ib_umem_odp_num_pages(odp));
	size_t i;

	for (i = ALIGN_DOWN(first, BLOCK); i < end; i++) {
		unsigned long entry;
		dma_addr_t addr;

		mend(region, i);
		entry = odp->map.pfn_list[i];
		if (update == ZAP || !(entry & HMM_PFN_VALID)) {
			region->table[i] = 0;
			continue;
		}
		addr = hmm_dma_map_pfn(region->dev, &odp->map, i, &p2pdma);
		if (dma_mapping_error(region->dev, addr))
			return -EFAULT;
		region->table[i] = addr | ENTRY_READ;
		if ((entry & HMM_PFN_WRITE) && update == MAP)
			region->table[i] |= ENTRY_WRITE;
		odp->npages++;
	}
	return 0;
}

static inline void take_away(struct region *region, u64 start, u64 end)
{
	struct ib_umem_odp *odp = region->odp;
	u64 addr;

	start = max_t(u64, start, ib_umem_start(odp));
	end = min_t(u64, end, ib_umem_end(odp));
	for (addr = start; addr < end; addr += BIT(odp->page_shift)) {
		size_t index = (addr - ib_umem_start(odp)) >> odp->page_shift;

		mend(region, index);
		if (odp->map.pfn_list[index] & HMM_PFN_VALID)
			update_table(region, index, 1, ZAP);
		if (region->careful)
			ib_umem_odp_unmap_dma_pages(odp, addr, addr + 1);
	}
	if (!region->careful)
		ib_umem_odp_unmap_dma_pages(odp, start, end);
}

/* As long as nothing is mapped, mlx5 ignores invalidations. */
static inline bool invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	struct ib_umem_odp *odp = container_of(notifier, struct ib_umem_odp, notifier);

	if (!mmu_notifier_range_blockable(range))
		return false;
	mutex_lock(&odp->umem_mutex);
	mmu_interval_set_seq(notifier, cur_seq);
	if (odp->npages && odp->private)
		take_away(odp->private, range->start, range->end);
	mutex_unlock(&odp->umem_mutex);
	return true;
}

#endif
