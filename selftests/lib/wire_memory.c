// SPDX-License-Identifier: GPL-2.0
/* Memory of which a peer has a right to some, see wire_memory.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "wire_memory.h"

#define PAGES	6UL
#define START	(ODP_PAGE + 1000)	/* of a region in its map: the rest is a neighbour's */
#define LENGTH	(3 * ODP_PAGE + 712)

#define REMOTE	(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC | \
		 IBV_ACCESS_FLUSH_GLOBAL)

/* What is in a region at first. */
enum fill { SECRET, PUBLIC, ZERO, WINDOWS };

static const struct kind {
	const char *name, *rights;
	int access;
	enum fill fill;
	bool is_open;		/* it may be written: by the peer, or by what he sends */
	bool is_vault;
} kinds[] = {
	{ "public", "rf", IBV_ACCESS_REMOTE_READ | IBV_ACCESS_FLUSH_GLOBAL, PUBLIC, false, false },
	{ "box", "rwaf", IBV_ACCESS_LOCAL_WRITE | REMOTE, ZERO, true, false },
	{ "drop", "w", IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE, SECRET, true, false },
	{ "local", "", IBV_ACCESS_LOCAL_WRITE, SECRET, false, false },
	{ "inbox", "", IBV_ACCESS_LOCAL_WRITE, SECRET, true, false },
	{ "outbox", "", 0, PUBLIC, false, false },
	{ "windows", "", IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND, WINDOWS, true, false },
	{ "vault", "x", IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND | REMOTE, SECRET, false, true },
};

#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static void fill_secret(struct wire_region *r, unsigned int process)
{
	const uint32_t which = r->number << 24 | process << 16;
	uint32_t *word = (uint32_t *)r->map;

	for (size_t i = 0; i < PAGES * ODP_PAGE / 8; i++) {
		word[2 * i] = WIRE_SECRET;
		word[2 * i + 1] = which | i;
	}
}

static void fill_public(struct wire_region *r, size_t start, size_t len)
{
	uint32_t *word = (uint32_t *)r->map;

	for (size_t i = start / 8; i < (start + len) / 8; i++) {
		word[2 * i] = WIRE_PUBLIC;
		word[2 * i + 1] = i;
	}
}

static void fill(struct wire_region *r, enum fill what, unsigned int process)
{
	fill_secret(r, process);
	if (what == PUBLIC)
		fill_public(r, r->start, r->len);
	else if (what == ZERO)
		memset(r->map + r->start, 0, r->len);
	if (what != WINDOWS)
		return;
	fill_public(r, WIRE_WINDOW_1, WIRE_WINDOW);
	r->open = WIRE_WINDOW_2;
	r->open_len = 2 * WIRE_WINDOW;
	memset(r->map + r->open, 0, r->open_len);
}

/* Pages of shared memory come back as they were. */
static char *shared_map(void)
{
	char *map = mmap(NULL, PAGES * ODP_PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		odp_die(errno, "mmap");
	return map;
}

static void make(struct wire_memory *m, struct ibv_pd *pd, const struct kind *kind, bool is_odp,
		 unsigned int process)
{
	struct wire_region *r = &m->region[m->regions];
	char *name;

	if (asprintf(&name, "%s%s", kind->name, is_odp ? "-odp" : "") < 0)
		odp_die(errno, "asprintf");
	*r = (struct wire_region){
		.name = name,
		.rights = kind->rights,
		.map = shared_map(),
		.before = malloc(PAGES * ODP_PAGE),
		.start = START,
		.len = LENGTH,
		.number = m->regions++,
	};
	if (kind->is_open) {
		r->open = r->start;
		r->open_len = r->len;
	}
	fill(r, kind->fill, process);
	if (!r->before)
		odp_die(errno, "malloc");
	memcpy(r->before, r->map, PAGES * ODP_PAGE);
	r->mr = ibv_reg_mr(pd, r->map + r->start, r->len,
			   kind->access | (is_odp ? IBV_ACCESS_ON_DEMAND : 0));
	if (!r->mr)
		odp_die(errno, "ibv_reg_mr of %s", r->name);
}

void wire_memory_make(struct wire_memory *m, struct odp *o, struct ibv_pd *vault, bool with_odp,
		      unsigned int process)
{
	for (size_t i = 0; i < KINDS; i++)
		for (int is_odp = 0; is_odp <= with_odp; is_odp++)
			make(m, kinds[i].is_vault ? vault : o->pd, &kinds[i], is_odp, process);
}

struct wire_region *wire_region(struct wire_memory *m, const char *name)
{
	for (int i = 0; i < m->regions; i++)
		if (!strcmp(m->region[i].name, name))
			return &m->region[i];
	odp_die(0, "no region %s", name);
}

void wire_memory_zap(struct wire_memory *m)
{
	for (int i = 0; i < m->regions; i++)
		if (strstr(m->region[i].name, "-odp"))
			madvise(m->region[i].map, PAGES * ODP_PAGE, MADV_DONTNEED);
}

static bool is_open(const struct wire_region *r, size_t offset)
{
	return offset >= r->open && offset - r->open < r->open_len;
}

int wire_memory_changed(struct wire_memory *m)
{
	int changed = 0;

	for (int i = 0; i < m->regions; i++) {
		const struct wire_region *r = &m->region[i];
		size_t at = 0;

		while (at < PAGES * ODP_PAGE && (is_open(r, at) || r->map[at] == r->before[at]))
			at++;
		if (at == PAGES * ODP_PAGE)
			continue;
		printf("changed %s at %ld of %zu\n", r->name, (long)(at - r->start), r->len);
		changed++;
	}
	return changed;
}
