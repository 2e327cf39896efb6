// SPDX-License-Identifier: GPL-2.0
/*
 * An RDMA device with on-demand paging as far as the six ib_umem_odp functions
 * can tell: what does its DMA is QEMU's edu device, which knows one copy to or
 * from a DMA address, and its page table is an array here.
 *
 * It binds only to a device whose driver_override names it. A test module: it
 * trusts root, who must not take the device away while it is in use.
 */

#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <rdma/ib_verbs.h>

#include "device_table.h"
#include "edu.h"
#include "umem_odp_dma.h"

#define NR_REGIONS	64

static unsigned int dma_bits = 64;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "width of the DMA mask (default: 64)");

/* The one that is bound, and the RDMA device that it plays. */
static struct edu *edu;
static struct ib_device *ibdev;

struct odp_file {
	struct mutex lock;	/* protects regions against each other */
	struct region *regions[NR_REGIONS];
};

/* --- the device's DMA ---------------------------------------------------------- */

/* As the device does it: by its table, and a page that is not there is a fault. */
static int dma_by_table(struct region *region, struct umem_odp_dma *call)
{
	struct ib_umem_odp *odp = region->odp;
	bool write = call->call == DMA_WRITE;
	u64 offset = call->addr - ib_umem_start(odp);
	u64 index = offset >> odp->page_shift;
	int ret = -EFAULT;
	u64 entry;

	if (!region->table || index >= ib_umem_odp_num_pages(odp))
		return -EINVAL;
	offset &= BIT(odp->page_shift) - 1;
	if (offset + call->len > BIT(odp->page_shift))
		return -EINVAL;

	/* Who zaps an entry waits for what the device does by it. */
	mutex_lock(&odp->umem_mutex);
	entry = region->table[index];
	/* The right to write at all is the memory key's, not the table's. */
	if (write && !odp->umem.writable) {
		ret = -EPERM;
	} else if (entry & (write ? ENTRY_WRITE : ENTRY_READ)) {
		entry &= ~(ENTRY_READ | ENTRY_WRITE);
		ret = write ? edu_write_at(edu, entry + offset, call->len) :
			      edu_read_at(edu, entry + offset, call->len);
	}
	mutex_unlock(&odp->umem_mutex);
	return ret;
}

static s64 dma_run(struct region *region, struct umem_odp_dma *call)
{
	bool write = call->call == DMA_WRITE || call->call == DMA_WRITE_AT;
	void __user *data = u64_to_user_ptr(call->data);
	int ret;

	if (!call->len || call->len > DMA_MAX_LEN)
		return -EINVAL;
	guard(mutex)(&edu->lock);
	if (write && copy_from_user(edu->bounce, data, call->len))
		return -EFAULT;
	if (region)
		ret = dma_by_table(region, call);
	else
		ret = write ? edu_write_at(edu, call->addr, call->len) :
			      edu_read_at(edu, call->addr, call->len);
	if (!ret && !write && copy_to_user(data, edu->bounce, call->len))
		return -EFAULT;
	return ret;
}

/* --- faults and invalidations -------------------------------------------------- */

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

static s64 fault(struct region *region, struct umem_odp_dma *call)
{
	bool downgrade = call->flags & DMA_FAULT_DOWNGRADE;
	struct ib_umem_odp *odp = region->odp;
	u64 access = odp->umem.writable && !downgrade ? HMM_PFN_WRITE : 0;
	int pages, ret = 0;

	pages = ib_umem_odp_map_dma_and_lock(odp, call->addr, call->len, access,
					     !(call->flags & DMA_FAULT_SNAPSHOT));
	if (pages < 0)
		return pages;
	if (!(call->flags & DMA_FAULT_NO_UPDATE))
		ret = update_table(region, (call->addr - ib_umem_start(odp)) >>
				   odp->page_shift, pages,
				   downgrade ? MAP_FOR_READING : MAP);
	mutex_unlock(&odp->umem_mutex);
	return ret ?: pages;
}

static s64 unmap(struct region *region, struct umem_odp_dma *call)
{
	mutex_lock(&region->odp->umem_mutex);
	take_away(region, call->addr, call->addr + call->len);
	mutex_unlock(&region->odp->umem_mutex);
	return 0;
}

/* --- what a test looks at ------------------------------------------------------ */

static u32 entry_flags(struct region *region, size_t index)
{
	struct ib_umem_odp *odp = region->odp;
	unsigned long entry = odp->map.pfn_list[index];
	u64 device = region->table[index];
	u32 flags = 0;

	flags |= entry & HMM_PFN_VALID ? DMA_VALID : 0;
	flags |= entry & HMM_PFN_WRITE ? DMA_WRITABLE : 0;
	flags |= entry & HMM_PFN_DMA_MAPPED ? DMA_MAPPED : 0;
	flags |= entry & HMM_PFN_P2PDMA ? DMA_P2P : 0;
	flags |= entry & HMM_PFN_P2PDMA_BUS ? DMA_P2P_BUS : 0;
	flags |= device & ENTRY_READ ? DMA_DEVICE_READ : 0;
	flags |= device & ENTRY_WRITE ? DMA_DEVICE_WRITE : 0;
	device &= ~(ENTRY_READ | ENTRY_WRITE);
	if (device && device == place(odp, index))
		flags |= DMA_DEVICE_PLACE;
	return flags | translation(region, index);
}

static struct page *user_page(u64 addr)
{
	struct page *page;

	if (get_user_pages_fast(addr, 1, FOLL_PCI_P2PDMA, &page) != 1)
		return NULL;
	return page;
}

static s64 look_at_entry(struct region *region, struct umem_odp_dma *call)
{
	struct ib_umem_odp *odp = region->odp;
	struct page *page;
	unsigned long entry;
	u32 flags;

	if (!region->table || call->index >= ib_umem_odp_num_pages(odp))
		return -EINVAL;
	page = user_page(call->addr);
	mutex_lock(&odp->umem_mutex);
	entry = odp->map.pfn_list[call->index];
	flags = entry_flags(region, call->index);
	call->out[0] = region->table[call->index] & ~(ENTRY_READ | ENTRY_WRITE);
	call->out[1] = place(odp, call->index);
	mutex_unlock(&odp->umem_mutex);
	if (page && (entry & HMM_PFN_VALID) && hmm_pfn_to_page(entry) == page)
		flags |= DMA_SAME_PAGE;
	if (page)
		put_page(page);
	return flags;
}

/* How many entries were not as they must be, since the last time. */
static s64 check(struct region *region)
{
	struct ib_umem_odp *odp = region->odp;
	s64 wrong;
	size_t i;

	if (!region->table)
		return -EINVAL;
	mutex_lock(&odp->umem_mutex);
	for (i = 0; i < ib_umem_odp_num_pages(odp); i++)
		mend(region, i);
	wrong = region->wrong;
	region->wrong = 0;
	mutex_unlock(&odp->umem_mutex);
	return wrong;
}

static s64 state(struct region *region, struct umem_odp_dma *call)
{
	struct ib_umem_odp *odp = region->odp;

	call->out[0] = odp->is_implicit_odp ? 0 : ib_umem_start(odp);
	call->out[1] = odp->is_implicit_odp ? 0 : ib_umem_end(odp);
	call->out[2] = odp->page_shift;
	call->out[3] = (odp->umem.writable ? DMA_IS_WRITABLE : 0) |
		       (odp->is_implicit_odp ? DMA_IS_IMPLICIT : 0) |
		       (dma_use_iova(&odp->map.state) ? DMA_MODE_IOVA : 0) |
		       (odp->map.dma_list ? DMA_MODE_LIST : 0);
	return odp->npages;
}

static s64 dirty(struct umem_odp_dma *call)
{
	struct page *page = user_page(call->addr);
	struct folio *folio;
	s64 ret = 0;

	if (!page)
		return -EFAULT;
	folio = page_folio(page);
	folio_lock(folio);
	if (call->call == DMA_CLEAN)
		folio_clear_dirty(folio);
	else
		ret = folio_test_dirty(folio);
	folio_unlock(folio);
	put_page(page);
	return ret;
}

/* --- regions and calls --------------------------------------------------------- */

static void release(struct region *region)
{
	check(region);
	ib_umem_odp_release(region->odp);
	kvfree(region->table);
	kfree(region);
}

static s64 keep(struct odp_file *file, struct ib_umem_odp *odp, bool careful)
{
	struct region *region;
	int i;

	if (IS_ERR(odp))
		return PTR_ERR(odp);
	for (i = 0; i < NR_REGIONS && file->regions[i]; i++)
		;
	region = kzalloc_obj(*region);
	if (i == NR_REGIONS || !region)
		goto out_release;
	region->odp = odp;
	region->dev = edu->dev;
	region->careful = careful;
	if (!odp->is_implicit_odp) {
		region->table = kvcalloc(ib_umem_odp_num_pages(odp),
					 sizeof(*region->table), GFP_KERNEL);
		if (!region->table)
			goto out_release;
	}
	/* mlx5 sets this late as well, before the first fault. */
	mutex_lock(&odp->umem_mutex);
	odp->private = region;
	mutex_unlock(&odp->umem_mutex);
	file->regions[i] = region;
	return i;

out_release:
	kfree(region);
	ib_umem_odp_release(odp);
	return -ENOSPC;
}

static s64 region_call(struct odp_file *file, struct umem_odp_dma *call)
{
	struct region *region;

	if (call->region >= NR_REGIONS || !file->regions[call->region])
		return -ENOENT;
	region = file->regions[call->region];

	switch (call->call) {
	case DMA_RELEASE:
		file->regions[call->region] = NULL;
		release(region);
		return 0;
	case DMA_CHILD:
		return keep(file, ib_umem_odp_alloc_child(region->odp, call->addr,
							  call->len, &notifier_ops), false);
	case DMA_FAULT:
		return fault(region, call);
	case DMA_UNMAP:
		return region->table ? unmap(region, call) : -EINVAL;
	case DMA_STATE:
		return state(region, call);
	case DMA_ENTRY:
		return look_at_entry(region, call);
	case DMA_CHECK:
		return check(region);
	case DMA_READ:
	case DMA_WRITE:
		return dma_run(region, call);
	}
	return -ENOTTY;
}

static s64 run_call(struct odp_file *file, struct umem_odp_dma *call)
{
	switch (call->call) {
	case DMA_GET:
		return keep(file, ib_umem_odp_get(ibdev, call->addr, call->len,
						  call->access, &notifier_ops),
			    call->flags & DMA_GET_CAREFUL);
	case DMA_IMPLICIT:
		return keep(file, ib_umem_odp_alloc_implicit(ibdev, call->access),
			    false);
	case DMA_READ_AT:
	case DMA_WRITE_AT:
		return dma_run(NULL, call);
	case DMA_CLEAN:
	case DMA_IS_DIRTY:
		return dirty(call);
	}
	return region_call(file, call);
}

/* Faults and invalidations run beside each other; births and ends are alone. */
static bool is_concurrent(u32 call)
{
	return call == DMA_FAULT || call == DMA_CHECK;
}

static long odp_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct odp_file *file = filp->private_data;
	struct umem_odp_dma call;

	if (cmd != UMEM_ODP_DMA)
		return -ENOTTY;
	if (copy_from_user(&call, (void __user *)arg, sizeof(call)))
		return -EFAULT;
	if (!is_concurrent(call.call))
		mutex_lock(&file->lock);
	call.result = run_call(file, &call);
	if (!is_concurrent(call.call))
		mutex_unlock(&file->lock);
	if (copy_to_user((void __user *)arg, &call, sizeof(call)))
		return -EFAULT;
	return 0;
}

static int odp_open(struct inode *inode, struct file *filp)
{
	struct odp_file *file = kzalloc_obj(*file);

	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	filp->private_data = file;
	return 0;
}

static int odp_release(struct inode *inode, struct file *filp)
{
	struct odp_file *file = filp->private_data;
	u32 i;

	/* Children before their parents, which have lower numbers. */
	for (i = NR_REGIONS; i--; )
		if (file->regions[i])
			release(file->regions[i]);
	kfree(file);
	return 0;
}

static const struct file_operations odp_fops = {
	.owner = THIS_MODULE,
	.open = odp_open,
	.release = odp_release,
	.unlocked_ioctl = odp_ioctl,
};

static struct miscdevice odp_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "umem_odp_dma",
	.fops = &odp_fops,
	.mode = 0600,
};

static int odp_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *found;
	int ret;

	if (edu)
		return -EBUSY;
	found = edu_init(pdev, dma_bits);
	if (IS_ERR(found))
		return PTR_ERR(found);
	ibdev = _ib_alloc_device(sizeof(*ibdev), &init_net);
	if (!ibdev)
		return -ENOMEM;
	ibdev->dma_device = &pdev->dev;
	edu = found;
	ret = misc_register(&odp_misc);
	if (ret) {
		edu = NULL;
		ib_dealloc_device(ibdev);
	}
	return ret;
}

static void odp_remove(struct pci_dev *pdev)
{
	misc_deregister(&odp_misc);
	ib_dealloc_device(ibdev);
	edu = NULL;
}

static struct pci_driver odp_driver = {
	.name = KBUILD_MODNAME,
	.probe = odp_probe,
	.remove = odp_remove,
	.driver.suppress_bind_attrs = true,
};
module_pci_driver(odp_driver);

MODULE_DESCRIPTION("The ib_umem_odp functions and real DMA for a test in user space");
MODULE_LICENSE("GPL");
