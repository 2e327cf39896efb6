// SPDX-License-Identifier: GPL-2.0

#include <linux/memcontrol.h>

void rust_helper_mem_cgroup_put(struct mem_cgroup *memcg)
{
	mem_cgroup_put(memcg);
}
