// SPDX-License-Identifier: GPL-2.0
/*
 * The livepatch of ib_core: its six ODP functions and what serves them instead.
 *
 * The module uses no symbol of ib_core, so it may be loaded before ib_core and
 * does not keep ib_core from being unloaded.
 */

#include <linux/livepatch.h>
#include <linux/module.h>
#include <rdma/ib_umem_odp.h>

/* drivers/infiniband/core/ffi.rs. Declared by the types of what they replace. */
extern typeof(ib_umem_odp_get) rust_ib_umem_odp_get;
extern typeof(ib_umem_odp_alloc_implicit) rust_ib_umem_odp_alloc_implicit;
extern typeof(ib_umem_odp_alloc_child) rust_ib_umem_odp_alloc_child;
extern typeof(ib_umem_odp_release) rust_ib_umem_odp_release;
extern typeof(ib_umem_odp_map_dma_and_lock) rust_ib_umem_odp_map_dma_and_lock;
extern typeof(ib_umem_odp_unmap_dma_pages) rust_ib_umem_odp_unmap_dma_pages;

int rust_umem_odp_livepatch_enable(void);

#define REPLACE(name) { .old_name = #name, .new_func = rust_##name }

static struct klp_func ib_core_funcs[] = {
	REPLACE(ib_umem_odp_get),
	REPLACE(ib_umem_odp_alloc_implicit),
	REPLACE(ib_umem_odp_alloc_child),
	REPLACE(ib_umem_odp_release),
	REPLACE(ib_umem_odp_map_dma_and_lock),
	REPLACE(ib_umem_odp_unmap_dma_pages),
	{ }
};

static struct klp_object objects[] = {
	{ .name = "ib_core", .funcs = ib_core_funcs },
	{ }
};

/* Other patches of ib_core may stay: `replace` is off. */
static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

int rust_umem_odp_livepatch_enable(void)
{
	return klp_enable_patch(&patch);
}

MODULE_INFO(livepatch, "Y");
