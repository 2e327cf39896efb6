// SPDX-License-Identifier: GPL-2.0
/*
 * READ, WRITE and COPY at random offsets and lengths, of memory of one kind, compared
 * with a shadow of the memory and of the device's buffer, byte by byte.
 *
 * edu_data KIND STEPS [quick|target|guard|source]   kinds: see kinds[]
 *   quick: random steps only; with the name of a byte also, and that one is changed
 *   behind the test's back, once
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/edu.h"

#define LEN	(4 * EDU_HUGE)
#define START	(ODP_PAGE + 808)	/* of the range in the memory */
#define END	1001			/* what is left out behind it */
#define GUARD	64
#define SHOWN	5

/* --- memory ------------------------------------------------------------------- */

static void make_small(unsigned char *addr)
{
	edu_put_small(addr, LEN);
}

static void make_thp(unsigned char *addr)
{
	edu_put_thp(addr, LEN);
}

/* Huge pages that are split: other access, or another mapping in their midst. */
static void make_split(unsigned char *addr)
{
	edu_put_thp(addr, LEN);
	memset(addr, 1, LEN);
	for (size_t i = 0; i < LEN; i += EDU_HUGE) {
		unsigned char *page = addr + i + 100 * ODP_PAGE;

		if (mprotect(page, 7 * ODP_PAGE, PROT_READ) ||
		    mprotect(page, 7 * ODP_PAGE, PROT_READ | PROT_WRITE))
			odp_die(errno, "mprotect");
		edu_put_small(page + 50 * ODP_PAGE, 3 * ODP_PAGE);
		madvise(page + 90 * ODP_PAGE, 20 * ODP_PAGE, MADV_DONTNEED);
	}
}

static void make_hugetlb(unsigned char *addr)
{
	edu_put(addr, LEN, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
}

static void make_mixed(unsigned char *addr)
{
	edu_put_small(addr, EDU_HUGE);
	edu_put(addr + EDU_HUGE, EDU_HUGE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	edu_put_thp(addr + 2 * EDU_HUGE, 2 * EDU_HUGE);
}

static void make_memfd(unsigned char *addr)
{
	int fd = memfd_create("edu_data", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, LEN))
		odp_die(errno, "memfd_create");
	edu_put(addr, LEN, MAP_SHARED, fd);
}

static void make_file(unsigned char *addr)
{
	char path[] = "/var/tmp/edu_data.XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || unlink(path) || ftruncate(fd, LEN))
		odp_die(errno, "%s", path);
	edu_put(addr, LEN, MAP_SHARED, fd);
}

static const struct kind {
	const char *name;
	void (*make)(unsigned char *addr);
	size_t unit;		/* what MADV_DONTNEED zeroes, if it does */
	bool top;		/* at the end of the address space */
} kinds[] = {
	{ "small", make_small, ODP_PAGE, false },
	{ "memfd", make_memfd, 0, false },
	{ "file", make_file, 0, false },
	{ "thp", make_thp, ODP_PAGE, false },
	{ "split", make_split, ODP_PAGE, false },
	{ "hugetlb", make_hugetlb, EDU_HUGE, false },
	{ "mixed", make_mixed, EDU_HUGE, false },
	{ "top", make_small, ODP_PAGE, true },
};

/* --- transfers ------------------------------------------------------------------ */

struct test {
	const struct kind *kind;
	int fd;
	unsigned char *addr, *shadow;	/* LEN bytes, what they have to be */
	size_t start, end;		/* of the range */
	unsigned char *seen;		/* where the device's buffer is looked at */
	unsigned char buffer[EDU_ODP_BUFFER];	/* what has to be there */
	uint32_t range, all, seen_range;
	unsigned short rnd[3];
	const char *change;		/* the byte that is to be changed */
	unsigned long transfers, bytes, wrong;
};

static void wrong(struct test *t, size_t offset, size_t len, const char *what)
{
	if (t->wrong++ < SHOWN)
		printf("offset %#zx, %zu bytes: %s\n", offset, len, what);
}

static void error(struct test *t, size_t offset, size_t len, const char *what,
		  int err)
{
	char text[64];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(err));
	wrong(t, offset, len, text);
}

static uint32_t any_handle(struct test *t)
{
	return odp_random(t->rnd, 2) ? t->range : t->all;
}

/* What a DMA from here leaves in the buffer. */
static void to_buffer(struct test *t, const unsigned char *from, size_t len)
{
	size_t last = (len - 1) / EDU_ODP_BUFFER * EDU_ODP_BUFFER;

	if (last)	/* the whole buffer, of which the rest is overwritten */
		memcpy(t->buffer, from + last - EDU_ODP_BUFFER, EDU_ODP_BUFFER);
	memcpy(t->buffer, from + last, len - last);
}

static void from_buffer(struct test *t, unsigned char *to, size_t len)
{
	for (size_t at = 0; at < len; at += EDU_ODP_BUFFER)
		memcpy(to + at, t->buffer, len - at < EDU_ODP_BUFFER ?
		       len - at : EDU_ODP_BUFFER);
}

static bool changes(struct test *t, const char *byte)
{
	bool yes = t->change && !strcmp(t->change, byte);

	if (yes)
		t->change = NULL;
	return yes;
}

/* What was written, and what is around it. */
static void check_target(struct test *t, size_t offset, size_t len)
{
	const size_t first = offset < GUARD ? 0 : offset - GUARD;
	const size_t end = offset + len + GUARD < LEN ? offset + len + GUARD : LEN;

	if (changes(t, "target"))
		t->addr[offset + len - 1] ^= 1;
	if (changes(t, "guard"))
		t->addr[offset + len] ^= 0x80;
	if (memcmp(t->addr + first, t->shadow + first, end - first))
		wrong(t, offset, len, "wrong bytes written");
}

static void check_buffer(struct test *t, size_t offset, size_t len)
{
	int err = edu_write(t->fd, t->seen_range, t->seen, EDU_ODP_BUFFER);

	if (err)
		error(t, offset, len, "the look at the buffer", err);
	else if (memcmp(t->seen, t->buffer, EDU_ODP_BUFFER))
		wrong(t, offset, len, "wrong bytes read");
}

static void read_memory(struct test *t, size_t offset, size_t len)
{
	const bool change = changes(t, "source");
	const size_t last = offset + len - 1;	/* the buffer keeps it at any length */
	int err;

	t->addr[last] ^= change;
	err = edu_read(t->fd, any_handle(t), t->addr + offset, len);
	t->addr[last] ^= change;
	to_buffer(t, t->shadow + offset, len);
	if (err)
		error(t, offset, len, "READ", err);
	check_buffer(t, offset, len);
}

static void write_memory(struct test *t, size_t offset, size_t len)
{
	int err = edu_write(t->fd, any_handle(t), t->addr + offset, len);

	from_buffer(t, t->shadow + offset, len);
	if (err)
		error(t, offset, len, "WRITE", err);
	check_target(t, offset, len);
}

static void copy_memory(struct test *t, size_t source, size_t target, size_t len)
{
	int err = edu_copy(t->fd, any_handle(t), t->addr + source, any_handle(t),
			   t->addr + target, len);

	to_buffer(t, t->shadow + source, len);
	memcpy(t->shadow + target, t->shadow + source, len);
	if (err)
		error(t, target, len, "COPY", err);
	check_target(t, target, len);
}

static void transfer(struct test *t, enum edu_odp_op op, size_t offset,
		     size_t len)
{
	size_t source;

	t->transfers++;
	t->bytes += len;
	if (op == EDU_ODP_READ) {
		read_memory(t, offset, len);
		return;
	}
	if (op == EDU_ODP_WRITE) {
		write_memory(t, offset, len);
		return;
	}
	do {	/* the two must not overlap */
		source = t->start + odp_random(t->rnd, t->end - t->start - len + 1);
	} while (source < offset + len && offset < source + len);
	copy_memory(t, source, offset, len);
}

/* --- what is transferred ---------------------------------------------------------- */

/* By the CPU, so that a page that is taken for another is seen. */
static void fill(struct test *t, size_t offset, size_t len)
{
	for (size_t i = 0; i < len / 8; i++) {
		uint64_t word = (uint64_t)nrand48(t->rnd) << 32 | i;

		memcpy(t->addr + offset + 8 * i, &word, 8);
	}
	memcpy(t->shadow + offset, t->addr + offset, len);
}

static void take_away(struct test *t)
{
	const size_t unit = t->kind->unit;
	const size_t at = odp_random(t->rnd, LEN / unit) * unit;

	if (madvise(t->addr + at, unit, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
	memset(t->shadow + at, 0, unit);
}

static size_t any_length(struct test *t)
{
	size_t len = 1 + odp_random(t->rnd, 1UL << odp_random(t->rnd, 15));

	return odp_random(t->rnd, 8) ? len : (len + ODP_PAGE - 1) & -ODP_PAGE;
}

/* Anywhere, or over the border of a page or of a window. */
static size_t any_offset(struct test *t, size_t len)
{
	const size_t border = odp_random(t->rnd, 2) ? ODP_PAGE : EDU_HUGE;
	size_t offset = t->start + odp_random(t->rnd, t->end - t->start - len + 1);

	if (odp_random(t->rnd, 2))
		offset = (offset + border - 1) / border * border -
			 odp_random(t->rnd, len);
	if (offset < t->start)
		offset = t->start;
	return offset > t->end - len ? t->end - len : offset;
}

static void step(struct test *t, enum edu_odp_op op)
{
	size_t len = any_length(t), offset = any_offset(t, len);

	if (t->kind->unit && !odp_random(t->rnd, 8))
		take_away(t);
	if (!odp_random(t->rnd, 4))
		fill(t, offset, len);
	transfer(t, op, offset, len);
}

/* Every first and last byte, every window's border, and lengths of many chunks. */
static void edges(struct test *t)
{
	for (int op = EDU_ODP_READ; op <= EDU_ODP_COPY; op++) {
		transfer(t, op, t->start, 1);
		transfer(t, op, t->end - 1, 1);
		transfer(t, op, t->end - ODP_PAGE - 1, ODP_PAGE + 1);
		for (size_t at = EDU_HUGE; at < LEN; at += EDU_HUGE)
			transfer(t, op, at - 3001, 6000);
	}
	transfer(t, EDU_ODP_READ, t->start, EDU_HUGE + 12345);
	transfer(t, EDU_ODP_COPY, EDU_HUGE - 777, EDU_HUGE / 2 + 4321);
	transfer(t, EDU_ODP_WRITE, 2 * EDU_HUGE + 99, EDU_HUGE / 2 + 1);
}

static unsigned char *place(const struct kind *kind)
{
	const uintptr_t end = (1UL << 47) - ODP_PAGE;	/* of user space */

	if (!kind->top)
		return edu_reserve(LEN);
	/* Whether the stack is there is a matter of chance */
	if (mmap((void *)(end - LEN), LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
		fprintf(stderr, "the last pages of user space: %s\n",
			strerror(errno));
		exit(ODP_SKIP);
	}
	return (unsigned char *)end - LEN;
}

static void set_up(struct test *t)
{
	t->addr = place(t->kind);
	t->kind->make(t->addr);
	t->start = START;
	t->end = t->kind->top ? LEN : LEN - END;
	t->fd = edu_open();
	t->range = edu_register(t->fd, t->addr + t->start, t->end - t->start);
	t->all = edu_register_all(t->fd);
	t->shadow = odp_map(LEN);
	t->seen = odp_map(EDU_ODP_BUFFER);
	t->seen_range = edu_register(t->fd, t->seen, EDU_ODP_BUFFER);
	fill(t, 0, LEN);
	transfer(t, EDU_ODP_READ, t->start, EDU_ODP_BUFFER);
}

static const struct kind *kind_named(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	odp_die(0, "no kind %s", name);
}

int main(int argc, char **argv)
{
	static struct test t;

	if (argc < 3)
		odp_die(0, "usage: %s KIND STEPS [quick|target|guard|source]", argv[0]);
	t.kind = kind_named(argv[1]);
	odp_seed(t.rnd);
	set_up(&t);
	t.change = argc > 3 ? argv[3] : NULL;
	if (!t.change)
		edges(&t);
	for (unsigned long i = 0; i < strtoul(argv[2], NULL, 0); i++)
		step(&t, i % 3);
	if (memcmp(t.addr, t.shadow, LEN))
		wrong(&t, 0, LEN, "wrong bytes in all of it");
	printf("%s: %lu transfers, %lu bytes, %lu wrong\n", t.kind->name,
	       t.transfers, t.bytes, t.wrong);
	return t.wrong ? ODP_DEFECT : ODP_OK;
}
