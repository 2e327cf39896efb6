// SPDX-License-Identifier: GPL-2.0
/*
 * Regions of huge pages, and of pages of mixed sizes: random transfers over all
 * of it, compared with a shadow, all bytes at the end.
 *
 * rxe_huge_pages CASE odp|pinned STEPS    see cases[]
 * rxe_huge_pages small                    IBV_ACCESS_HUGETLB on 4 KiB pages
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/odp.h"

#define HUGE	(2UL << 20)
#define COUNT	12		/* huge pages of a region */
#define LEN	(COUNT * HUGE)
#define CHUNK	(192UL << 10)
#define START	(ODP_PAGE + 808)	/* of the region in its first page */
#define SHOWN	5

/* --- memory --- */

/* Address space that starts at a huge page. */
static unsigned char *reserve(void)
{
	unsigned char *addr = mmap(NULL, LEN + 2 * HUGE, PROT_NONE, MAP_PRIVATE |
				   MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap");
	return (unsigned char *)(((uintptr_t)addr + HUGE - 1) & ~(HUGE - 1));
}

static void put(unsigned char *addr, size_t len, int prot, int flags)
{
	if (mmap(addr, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags,
		 -1, 0) != addr)
		odp_die(errno, "mmap of %zu bytes", len);
}

static void put_hugetlb(unsigned char *addr, size_t count)
{
	put(addr, count * HUGE, PROT_READ | PROT_WRITE, MAP_HUGETLB);
}

static void put_thp(unsigned char *addr, size_t count)
{
	put(addr, count * HUGE, PROT_READ | PROT_WRITE, 0);
	madvise(addr, count * HUGE, MADV_HUGEPAGE);
}

static void put_small(unsigned char *addr, size_t len)
{
	put(addr, len, PROT_READ | PROT_WRITE, 0);
	madvise(addr, len, MADV_NOHUGEPAGE);
}

static void make_hugetlb(unsigned char *addr)
{
	put_hugetlb(addr, COUNT);
}

static void make_shared(unsigned char *addr)
{
	if (mmap(addr, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS |
		 MAP_FIXED | MAP_HUGETLB, -1, 0) != addr)
		odp_die(errno, "mmap of shared huge pages");
}

static void make_thp(unsigned char *addr)
{
	put_thp(addr, COUNT);
}

/* THP that are split: other access, another mapping or a hole in their midst. */
static void make_split(unsigned char *addr)
{
	put_thp(addr, COUNT);
	memset(addr, 1, LEN);
	for (size_t i = 0; i < COUNT; i += 3) {
		unsigned char *page = addr + i * HUGE + 100 * ODP_PAGE;

		if (mprotect(page, 7 * ODP_PAGE, PROT_READ) ||
		    mprotect(page, 7 * ODP_PAGE, PROT_READ | PROT_WRITE))
			odp_die(errno, "mprotect");
		munmap(page + 50 * ODP_PAGE, 3 * ODP_PAGE);
		put_small(page + 50 * ODP_PAGE, 3 * ODP_PAGE);
		madvise(page + 90 * ODP_PAGE, 20 * ODP_PAGE, MADV_DONTNEED);
	}
}

/* Huge pages beside THP beside 4 KiB pages. */
static void make_mixed(unsigned char *addr)
{
	for (size_t i = 0; i < COUNT; i++) {
		if (i % 3 == 0)
			put_small(addr + i * HUGE, HUGE);
		else if (i % 3 == 1)
			put_hugetlb(addr + i * HUGE, 1);
		else
			put_thp(addr + i * HUGE, 1);
	}
}

static const struct memory_case {
	const char *name;
	void (*make)(unsigned char *addr);
	int access;
	size_t unit;		/* what MADV_DONTNEED can take away */
} cases[] = {
	{ "hugetlb", make_hugetlb, IBV_ACCESS_HUGETLB, HUGE },
	{ "hugetlb-shared", make_shared, IBV_ACCESS_HUGETLB, 0 },
	{ "hugetlb-unasked", make_hugetlb, 0, HUGE },
	{ "thp", make_thp, 0, ODP_PAGE },
	{ "split", make_split, 0, ODP_PAGE },
	{ "mixed", make_mixed, 0, HUGE },
};

/* --- transfers --- */

struct test {
	struct odp o;
	unsigned char *addr, *shadow;	/* of the region: from START on */
	size_t len;
	struct ibv_mr *mr, *buffer;
	unsigned short rnd[3];
	unsigned long wrong;
};

static void wrong(struct test *t, size_t offset, size_t len, const char *what)
{
	if (t->wrong++ < SHOWN)
		printf("offset %#zx, %zu bytes: %s\n", offset, len, what);
}

static void transfer(struct test *t, enum ibv_wr_opcode op, size_t offset,
		     size_t len)
{
	unsigned char *buffer = t->buffer->addr;
	enum ibv_wc_status status;
	size_t before;

	odp_stamp(buffer, CHUNK, nrand48(t->rnd), offset);
	if (op == IBV_WR_RDMA_WRITE)
		memcpy(t->shadow + offset, buffer, len);
	status = odp_rdma(&t->o, op, odp_at(t->buffer, 0), odp_at(t->mr, offset),
			  len);
	if (status) {
		wrong(t, offset, len, ibv_wc_status_str(status));
		odp_connect(&t->o);
		return;
	}
	if (op == IBV_WR_RDMA_READ) {
		if (memcmp(buffer, t->shadow + offset, len))
			wrong(t, offset, len, "wrong bytes read");
		return;
	}
	before = offset < 64 ? offset : 64;
	if (memcmp(t->addr + offset - before, t->shadow + offset - before,
		   before + len))
		wrong(t, offset, len, "wrong bytes written");
}

static void take_away(struct test *t, size_t unit)
{
	unsigned char *base = t->addr - START;
	const size_t at = unit * (1 + odp_random(t->rnd, LEN / unit - 1));
	/* Of its first and last page the region has but a part */
	const size_t first = at < START ? START : at;
	const size_t end = at + unit < START + t->len ? at + unit : START + t->len;

	if (madvise(base + at, unit, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
	memset(t->shadow + first - START, 0, end - first);
}

/* Every huge page, in a random order, then anything. */
static void steps(struct test *t, const struct memory_case *c,
		  unsigned long count, bool pinned)
{
	for (unsigned long i = 0; i < count; i++) {
		size_t len = 1 + odp_random(t->rnd, CHUNK);
		size_t offset = odp_random(t->rnd, t->len - len + 1);

		if (i < COUNT)
			offset = (i * 5 % COUNT) * HUGE + 12345;
		else if (i < 2 * COUNT - 1)
			offset = (i - COUNT + 1) * HUGE - START - len / 2;
		if (offset > t->len - len)
			offset = t->len - len;
		if (c->unit && !pinned && !odp_random(t->rnd, 8))
			take_away(t, c->unit);
		transfer(t, i % 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, offset,
			 len);
	}
}

static unsigned long try_case(struct test *t, const struct memory_case *c,
			      bool pinned, unsigned long count)
{
	int access = ODP_RW | (pinned ? 0 : IBV_ACCESS_ON_DEMAND | c->access);
	unsigned char *base = reserve();

	c->make(base);
	t->addr = base + START;
	t->len = LEN - START - 1001;
	t->shadow = odp_map(LEN);
	t->buffer = odp_reg(&t->o, odp_map(CHUNK), CHUNK, IBV_ACCESS_LOCAL_WRITE);
	memcpy(t->shadow, t->addr, t->len);
	if (!pinned && c->unit)
		for (unsigned int i = 0; i < COUNT; i++)
			take_away(t, c->unit);
	t->mr = ibv_reg_mr(t->o.pd, t->addr, t->len, access);
	if (!t->mr) {
		printf("ibv_reg_mr: %s\n", strerror(errno));
		return 1;
	}
	steps(t, c, count, pinned);
	if (memcmp(t->addr, t->shadow, t->len))
		wrong(t, 0, t->len, "wrong bytes in all of it");
	ibv_dereg_mr(t->mr);
	ibv_dereg_mr(t->buffer);
	printf("%s: %lu wrong of %lu transfers\n", c->name, t->wrong, count);
	return t->wrong;
}

/* --- IBV_ACCESS_HUGETLB where the pages are small --- */

/* Expects an error of the device, and memory that is as it was. */
static void must_fail(struct test *t, struct ibv_mr *mr, size_t offset)
{
	static const unsigned char zeros[ODP_PAGE];
	enum ibv_wc_status status;

	odp_stamp(t->buffer->addr, ODP_PAGE, 1, 1);
	status = odp_rdma(&t->o, IBV_WR_RDMA_WRITE, odp_at(t->buffer, 0),
			  odp_at(mr, offset), ODP_PAGE);
	odp_connect(&t->o);
	if (status != IBV_WC_REM_ACCESS_ERR)
		wrong(t, offset, ODP_PAGE, ibv_wc_status_str(status));
	if (memcmp((unsigned char *)mr->addr + offset, zeros, ODP_PAGE))
		wrong(t, offset, ODP_PAGE, "memory was written");
}

/* The registration is refused, or the device meets an error. */
static unsigned long small_pages(struct test *t)
{
	const int access = ODP_RW | IBV_ACCESS_ON_DEMAND | IBV_ACCESS_HUGETLB;
	unsigned char *base = reserve();
	struct ibv_mr *mr;

	t->buffer = odp_reg(&t->o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
	put_small(base, LEN);
	mr = ibv_reg_mr(t->o.pd, base, 2 * HUGE, access);
	printf("4 KiB pages: %s\n", mr ? "registered" : strerror(errno));
	if (mr) {
		must_fail(t, mr, 5 * ODP_PAGE);
		must_fail(t, mr, HUGE + 5 * ODP_PAGE);
		ibv_dereg_mr(mr);
	} else if (errno != EINVAL) {
		wrong(t, 0, 2 * HUGE, "not EINVAL");
	}

	put_hugetlb(base, 1);
	mr = ibv_reg_mr(t->o.pd, base, 2 * HUGE, access);
	printf("a huge page, then 4 KiB pages: %s\n",
	       mr ? "registered" : strerror(errno));
	if (!mr)
		return t->wrong + 1;
	odp_stamp(t->buffer->addr, ODP_PAGE, 2, 2);
	if (odp_rdma(&t->o, IBV_WR_RDMA_WRITE, odp_at(t->buffer, 0),
		     odp_at(mr, 9 * ODP_PAGE + 8), ODP_PAGE) ||
	    !odp_stamped(base + 9 * ODP_PAGE + 8, ODP_PAGE, 2, 2))
		wrong(t, 9 * ODP_PAGE, ODP_PAGE, "WRITE to the huge page");
	must_fail(t, mr, HUGE + 7 * ODP_PAGE);
	ibv_dereg_mr(mr);
	ibv_dereg_mr(t->buffer);
	return t->wrong;
}

int main(int argc, char **argv)
{
	unsigned long bad = 1;
	static struct test t;

	odp_seed(t.rnd);
	odp_open(&t.o);
	if (argc == 2 && !strcmp(argv[1], "small")) {
		bad = small_pages(&t);
		return bad ? ODP_DEFECT : ODP_OK;
	}
	for (size_t i = 0; argc == 4 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			bad = try_case(&t, &cases[i], !strcmp(argv[2], "pinned"),
				       strtoul(argv[3], NULL, 0));
			odp_close(&t.o);
			return bad ? ODP_DEFECT : ODP_OK;
		}
	odp_die(0, "usage: rxe_huge_pages small | CASE odp|pinned STEPS");
}
