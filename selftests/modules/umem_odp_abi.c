// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a test in user space call the six ib_umem_odp functions as a driver
 * would, for those arguments and functions that soft-RoCE never uses: implicit
 * regions and their children, huge pages, ranges that wrap.
 *
 * A test module: it trusts root.
 */

#include <linux/dma-mapping.h>
#include <linux/hmm.h>
#include <linux/hugetlb.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pci-p2pdma.h>
#include <linux/platform_device.h>
#include <linux/uaccess.h>
#include <rdma/ib_umem_odp.h>
#include <rdma/ib_verbs.h>

#include "umem_odp_abi.h"

#define NR_OBJECTS 64

static char *netdev = "";
module_param(netdev, charp, 0444);
MODULE_PARM_DESC(netdev, "make umems for the RDMA device on this net device (default: for one with real DMA)");

/* Without a net device: an RDMA device that is not registered, and what does its DMA. */
static struct platform_device *dma_device;
static struct ib_device *dma_ibdev;

struct abi_file {
	struct mutex lock;	/* protects objects, one call at a time */
	struct ib_device *ibdev;
	struct ib_umem *objects[NR_OBJECTS];
};

static bool abi_invalidate(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq)
{
	struct ib_umem_odp *odp =
		container_of(notifier, struct ib_umem_odp, notifier);

	if (!mmu_notifier_range_blockable(range))
		return false;

	mutex_lock(&odp->umem_mutex);
	mmu_interval_set_seq(notifier, cur_seq);
	ib_umem_odp_unmap_dma_pages(odp, range->start, range->end);
	mutex_unlock(&odp->umem_mutex);
	return true;
}

static const struct mmu_interval_notifier_ops abi_ops = {
	.invalidate = abi_invalidate,
};

static s64 abi_keep(struct abi_file *file, struct ib_umem *umem)
{
	int i;

	if (IS_ERR(umem))
		return PTR_ERR(umem);
	for (i = 0; i < NR_OBJECTS; i++) {
		if (!file->objects[i]) {
			file->objects[i] = umem;
			return i;
		}
	}
	ib_umem_release(umem);
	return -ENOSPC;
}

static s64 abi_keep_odp(struct abi_file *file, struct ib_umem_odp *odp)
{
	return abi_keep(file, IS_ERR(odp) ? ERR_CAST(odp) : &odp->umem);
}

static void abi_release_object(struct abi_file *file, u32 object)
{
	struct ib_umem *umem = file->objects[object];

	file->objects[object] = NULL;
	if (umem && umem->is_odp)
		ib_umem_odp_release(to_ib_umem_odp(umem));
	else if (umem)
		ib_umem_release(umem);
}

/* Maps for DMA what is present, as a driver does before it unlocks. */
static int abi_map_dma(struct ib_umem_odp *odp, u64 addr, int pages)
{
	u64 first = (addr - ib_umem_start(odp)) >> odp->page_shift;
	struct pci_p2pdma_map_state p2pdma = {};
	struct device *dev = odp->umem.ibdev->dma_device;
	int i;

	for (i = 0; i < pages; i++) {
		unsigned long entry = odp->map.pfn_list[first + i];

		if (!(entry & HMM_PFN_VALID))
			continue;
		if (dma_mapping_error(dev, hmm_dma_map_pfn(dev, &odp->map,
							   first + i, &p2pdma)))
			return -EFAULT;
		if (!(entry & HMM_PFN_DMA_MAPPED))
			odp->npages++;
	}
	return pages;
}

static s64 abi_map(struct ib_umem_odp *odp, struct umem_odp_abi *call)
{
	int ret = ib_umem_odp_map_dma_and_lock(odp, call->addr, call->len,
					       call->access ? HMM_PFN_WRITE : 0,
					       call->fault);

	if (ret < 0)
		return ret;
	if (odp->umem.ibdev == dma_ibdev)
		ret = abi_map_dma(odp, call->addr, ret);
	mutex_unlock(&odp->umem_mutex);
	return ret;
}

static s64 abi_unmap(struct ib_umem_odp *odp, struct umem_odp_abi *call)
{
	mutex_lock(&odp->umem_mutex);
	ib_umem_odp_unmap_dma_pages(odp, call->addr, call->len);
	mutex_unlock(&odp->umem_mutex);
	return 0;
}

static s64 abi_state(struct ib_umem_odp *odp, struct umem_odp_abi *call)
{
	call->out[0] = ib_umem_start(odp);
	call->out[1] = ib_umem_end(odp);
	call->out[2] = odp->page_shift;
	call->out[3] = (odp->umem.writable ? ABI_WRITABLE : 0) |
		       (odp->umem.is_odp ? ABI_IS_ODP : 0) |
		       (odp->is_implicit_odp ? ABI_IS_IMPLICIT : 0);
	return odp->npages;
}

static struct page *abi_page(u64 addr)
{
	struct page *page;

	if (get_user_pages_fast(addr, 1, 0, &page) != 1)
		return NULL;
	return page;
}

static s64 abi_entry(struct ib_umem_odp *odp, struct umem_odp_abi *call)
{
	unsigned long entry;
	struct page *page;

	if (odp->is_implicit_odp || call->addr >= ib_umem_odp_num_pages(odp))
		return -EINVAL;

	page = abi_page(call->len);
	mutex_lock(&odp->umem_mutex);
	entry = odp->map.pfn_list[call->addr];
	mutex_unlock(&odp->umem_mutex);
	call->out[0] = (entry & HMM_PFN_VALID ? ABI_VALID : 0) |
		       (entry & HMM_PFN_WRITE ? ABI_WRITE : 0);
	call->out[1] = hmm_pfn_to_map_order(entry);
	call->out[2] = page && (entry & HMM_PFN_VALID) &&
		       hmm_pfn_to_page(entry) == page;
	if (page)
		put_page(page);
	return 0;
}

static s64 abi_dirty(struct umem_odp_abi *call)
{
	struct page *page = abi_page(call->addr);
	struct folio *folio;
	s64 ret = 0;

	if (!page)
		return -EFAULT;
	folio = page_folio(page);
	if (call->call == ABI_CLEAN) {
		folio_lock(folio);
		folio_clear_dirty(folio);
		folio_unlock(folio);
	} else {
		ret = folio_test_dirty(folio);
	}
	put_page(page);
	return ret;
}

static s64 abi_object_call(struct abi_file *file, struct umem_odp_abi *call)
{
	struct ib_umem_odp *odp;

	if (call->object >= NR_OBJECTS || !file->objects[call->object])
		return -ENOENT;
	odp = to_ib_umem_odp(file->objects[call->object]);

	switch (call->call) {
	case ABI_RELEASE:
		abi_release_object(file, call->object);
		return 0;
	case ABI_MAP:
		return abi_map(odp, call);
	case ABI_CHILD:
		return abi_keep_odp(file, ib_umem_odp_alloc_child(odp, call->addr,
								  call->len,
								  &abi_ops));
	}
	/* The others look into an ODP umem themselves. */
	if (!odp->umem.is_odp)
		return -EINVAL;
	switch (call->call) {
	case ABI_UNMAP:
		return abi_unmap(odp, call);
	case ABI_STATE:
		return abi_state(odp, call);
	case ABI_ENTRY:
		return abi_entry(odp, call);
	}
	return -ENOTTY;
}

static s64 abi_call(struct abi_file *file, struct umem_odp_abi *call)
{
	switch (call->call) {
	case ABI_GET:
		return abi_keep_odp(file,
				    ib_umem_odp_get(file->ibdev, call->addr,
						    call->len, call->access,
						    &abi_ops));
	case ABI_IMPLICIT:
		return abi_keep_odp(file,
				    ib_umem_odp_alloc_implicit(file->ibdev,
							       call->access));
	case ABI_PINNED:
		return abi_keep(file, ib_umem_get_va(file->ibdev, call->addr,
						     call->len,
						     IB_ACCESS_LOCAL_WRITE));
	case ABI_CLEAN:
	case ABI_IS_DIRTY:
		return abi_dirty(call);
	}
	return abi_object_call(file, call);
}

static long abi_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct abi_file *file = filp->private_data;
	struct umem_odp_abi call;

	if (cmd != UMEM_ODP_ABI)
		return -ENOTTY;
	if (copy_from_user(&call, (void __user *)arg, sizeof(call)))
		return -EFAULT;

	mutex_lock(&file->lock);
	call.result = abi_call(file, &call);
	mutex_unlock(&file->lock);

	if (copy_to_user((void __user *)arg, &call, sizeof(call)))
		return -EFAULT;
	return 0;
}

static struct ib_device *abi_find_device(void)
{
	struct net_device *ndev;
	struct ib_device *ibdev;

	if (dma_ibdev)
		return dma_ibdev;
	ndev = dev_get_by_name(&init_net, netdev);
	if (!ndev)
		return NULL;
	ibdev = ib_device_get_by_netdev(ndev, RDMA_DRIVER_UNKNOWN);
	dev_put(ndev);
	return ibdev;
}

static int abi_open(struct inode *inode, struct file *filp)
{
	struct abi_file *file = kzalloc_obj(*file);

	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	file->ibdev = abi_find_device();
	if (!file->ibdev) {
		kfree(file);
		return -ENODEV;
	}
	filp->private_data = file;
	return 0;
}

static int abi_release(struct inode *inode, struct file *filp)
{
	struct abi_file *file = filp->private_data;
	u32 i;

	/* Children before their parents, which have lower numbers. */
	for (i = NR_OBJECTS; i--; )
		abi_release_object(file, i);
	if (file->ibdev != dma_ibdev)
		ib_device_put(file->ibdev);
	kfree(file);
	return 0;
}

static const struct file_operations abi_fops = {
	.owner = THIS_MODULE,
	.open = abi_open,
	.release = abi_release,
	.unlocked_ioctl = abi_ioctl,
};

static struct miscdevice abi_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "umem_odp_abi",
	.fops = &abi_fops,
	.mode = 0600,
};

static void abi_free_dma_device(void)
{
	if (dma_ibdev)
		ib_dealloc_device(dma_ibdev);
	platform_device_unregister(dma_device);
}

static int abi_make_dma_device(void)
{
	int ret;

	dma_device = platform_device_register_simple("umem_odp_abi", -1, NULL, 0);
	if (IS_ERR(dma_device))
		return PTR_ERR(dma_device);
	ret = dma_coerce_mask_and_coherent(&dma_device->dev, DMA_BIT_MASK(64));
	if (ret)
		goto out;
	dma_ibdev = _ib_alloc_device(sizeof(*dma_ibdev), &init_net);
	if (!dma_ibdev) {
		ret = -ENOMEM;
		goto out;
	}
	dma_ibdev->dma_device = &dma_device->dev;
	return 0;
out:
	abi_free_dma_device();
	return ret;
}

static int __init abi_init(void)
{
	int ret = *netdev ? 0 : abi_make_dma_device();

	if (ret)
		return ret;
	ret = misc_register(&abi_device);
	if (ret && !*netdev)
		abi_free_dma_device();
	return ret;
}
module_init(abi_init);

static void __exit abi_exit(void)
{
	misc_deregister(&abi_device);
	if (!*netdev)
		abi_free_dma_device();
}
module_exit(abi_exit);

MODULE_DESCRIPTION("The ib_umem_odp functions for a test in user space");
MODULE_LICENSE("GPL");
