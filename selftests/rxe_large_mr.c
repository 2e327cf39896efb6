// SPDX-License-Identifier: GPL-2.0
/*
 * Regions that are larger than memory: pages at both ends, around 2 and 4 GiB and
 * in between are written and read by RDMA.
 *
 * rxe_large_mr odp|pinned MIB…   sizes in MiB; one that is not whole is given as
 *                                MIB+PAGES
 * rxe_large_mr memory MIB        kernel memory that untouched regions cost
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/odp.h"

#define RANDOM_PAGES	40
#define MIDDLE	2000UL	/* where a transfer starts in its page */
#define LEN	5000UL	/* what it has: it goes over a page's end */
#define REGIONS	128
#define LIMIT	(64UL << 10)

static char *map_reserved(size_t len)
{
	char *addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of %zu bytes", len);
	madvise(addr, len, MADV_NOHUGEPAGE);
	return addr;
}

/* WRITE to a place, seen by the CPU; READ from it, what the CPU wrote. */
static int place_right(struct odp *o, struct ibv_mr *buffer, struct ibv_mr *mr,
		       size_t offset, uint64_t stamp)
{
	unsigned char *at = (unsigned char *)mr->addr + offset;
	enum ibv_wc_status status;
	int right;

	odp_stamp(buffer->addr, LEN, offset, stamp);
	status = odp_rdma(o, IBV_WR_RDMA_WRITE, odp_at(buffer, 0),
			  odp_at(mr, offset), LEN);
	right = !status && odp_stamped(at, LEN, offset, stamp);

	odp_stamp(at, LEN, offset, stamp + 1);
	if (!status)
		status = odp_rdma(o, IBV_WR_RDMA_READ, odp_at(buffer, 0),
				  odp_at(mr, offset), LEN);
	right &= !status && odp_stamped(buffer->addr, LEN, offset, stamp + 1);
	if (!right)
		printf("offset %#zx: %s\n", offset,
		       status ? ibv_wc_status_str(status) : "wrong bytes");
	if (status)
		odp_connect(o);
	return right;
}

/* There is less memory than places. */
static void give_back(char *at)
{
	size_t in_page = (uintptr_t)at % ODP_PAGE;

	madvise(at - in_page, in_page + LEN, MADV_DONTNEED);
}

static unsigned long use(struct odp *o, struct ibv_mr *buffer, size_t len,
			 int access, unsigned short rnd[3])
{
	const size_t fixed[] = {
		0, len - LEN, len / 2, (2UL << 30) - MIDDLE, (4UL << 30) - MIDDLE,
		(4UL << 30), (1UL << 40) / 2 - 1
	};
	const size_t fixeds = sizeof(fixed) / sizeof(fixed[0]);
	unsigned long wrong = 0, done = 0;
	char *addr = map_reserved(len);
	struct ibv_mr *mr = ibv_reg_mr(o->pd, addr, len, ODP_RW | access);

	if (!mr) {
		printf("%zu MiB: ibv_reg_mr: %s\n", len >> 20, strerror(errno));
		munmap(addr, len);
		return 1;
	}
	for (size_t i = 0; i < fixeds + RANDOM_PAGES; i++) {
		size_t page = odp_random(rnd, len / ODP_PAGE - 2);
		size_t offset = i < fixeds ? fixed[i] : page * ODP_PAGE + MIDDLE;

		if (offset > len - LEN)
			continue;
		wrong += !place_right(o, buffer, mr, offset, 2 * i + 1);
		/* A pinned region would keep its page, and the process get another one */
		if (access & IBV_ACCESS_ON_DEMAND)
			give_back(addr + offset);
		done++;
	}
	ibv_dereg_mr(mr);
	munmap(addr, len);
	printf("%zu MiB: %lu wrong of %lu places\n", len >> 20, wrong, done);
	return wrong;
}

/* MIB or MIB+PAGES in bytes */
static size_t parse_size(const char *text)
{
	char *end;
	size_t len = strtoul(text, &end, 10) << 20;

	if (*end == '+')
		len += strtoul(end + 1, &end, 10) * ODP_PAGE;
	if (!len || *end)
		odp_die(0, "'%s' is not a size", text);
	return len;
}

/* What the kernel has allocated for itself, in bytes. */
static size_t kernel_memory(void)
{
	static const char * const names[] = {
		"Slab:", "PageTables:", "SecPageTables:", "VmallocUsed:", "Percpu:"
	};
	FILE *file = fopen("/proc/meminfo", "r");
	char name[64], line[256];
	size_t sum = 0, kib;

	if (!file)
		odp_die(errno, "/proc/meminfo");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %zu", name, &kib) != 2)
			continue;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strcmp(name, names[i]))
				sum += kib << 10;
	}
	fclose(file);
	return sum;
}

/* The mean of many regions: other things are allocated meanwhile, too. */
static bool memory_small(struct odp *o, size_t len)
{
	struct ibv_mr *mr[REGIONS];
	char *addr = map_reserved(len);
	size_t before, after, each;

	/* What the first one alone brings with it */
	ibv_dereg_mr(odp_reg(o, addr, len, ODP_RW | IBV_ACCESS_ON_DEMAND));
	before = kernel_memory();
	for (int i = 0; i < REGIONS; i++)
		mr[i] = odp_reg(o, addr, len, ODP_RW | IBV_ACCESS_ON_DEMAND);
	after = kernel_memory();
	for (int i = 0; i < REGIONS; i++)
		ibv_dereg_mr(mr[i]);
	each = after > before ? (after - before) / REGIONS : 0;
	printf("%zu bytes of kernel memory for each of %d regions of %zu MiB\n",
	       each, REGIONS, len >> 20);
	return each < LIMIT;
}

int main(int argc, char **argv)
{
	unsigned long wrong = 0;
	struct ibv_mr *buffer;
	unsigned short rnd[3];
	struct odp o = {};
	int access;

	if (argc < 3)
		odp_die(0, "usage: rxe_large_mr odp|pinned|memory MIB[+PAGES]...");
	odp_seed(rnd);
	odp_open(&o);
	buffer = odp_reg(&o, odp_map(LEN), LEN, IBV_ACCESS_LOCAL_WRITE);
	access = strcmp(argv[1], "pinned") ? IBV_ACCESS_ON_DEMAND : 0;
	for (int i = 2; i < argc; i++) {
		size_t len = parse_size(argv[i]);

		if (strcmp(argv[1], "memory"))
			wrong += use(&o, buffer, len, access, rnd);
		else
			wrong += !memory_small(&o, len);
	}
	ibv_dereg_mr(buffer);
	odp_close(&o);
	return wrong ? ODP_DEFECT : ODP_OK;
}
