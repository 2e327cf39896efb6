// SPDX-License-Identifier: GPL-2.0
/* See mm.h */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mm.h"
#include "odp.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define HUGE_PAGE	(512 * ODP_PAGE)
#define PART	16	/* pages that are given back or moved at a time, at most */

bool mm_right(const struct mm *m, size_t page, const unsigned char *seen)
{
	const size_t first = m->kind->pairs ? page & ~1UL : page;

	if (m->stamps[page] && odp_stamped(seen, m->len, first, m->stamps[page]))
		return true;
	if (m->stamps[page] && !m->maybe_zero[page])
		return false;
	for (size_t i = 0; i < m->len; i++)
		if (seen[i])
			return false;
	return true;
}

static size_t part(struct mm *m, size_t page)
{
	size_t count = 1 + odp_random(m->rnd, PART);

	return page + count > m->pages ? m->pages - page : count;
}

static void set_stamps(struct mm *m, size_t page, size_t count, uint64_t stamp)
{
	for (size_t i = page; i < page + count; i++) {
		m->stamps[i] = stamp;
		m->maybe_zero[i] = false;
	}
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		odp_die(errno, "%s", path);
	close(fd);
}

static unsigned long read_number(const char *path, const char *name)
{
	unsigned long value = 0, number;
	char line[128], key[64];
	FILE *file = fopen(path, "r");

	if (!file)
		odp_die(errno, "%s", path);
	while (fgets(line, sizeof(line), file) && !value) {
		if (!name)
			value = strtoul(line, NULL, 10);
		else if (sscanf(line, "%63s %lu", key, &number) == 2 &&
			 !strcmp(key, name))
			value = number;
	}
	fclose(file);
	return value;
}

/* --- where the memory comes from ------------------------------------------- */

static void *map_small(struct mm *m)
{
	return odp_map(m->pages * ODP_PAGE);
}

static void *map_huge(struct mm *m)
{
	char *addr = mmap(NULL, m->pages * ODP_PAGE + HUGE_PAGE,
			  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap");
	addr += -(uintptr_t)addr & (HUGE_PAGE - 1);
	madvise(addr, m->pages * ODP_PAGE, MADV_HUGEPAGE);
	return addr;
}

static void *map_fd(struct mm *m, int flags)
{
	void *addr = mmap(NULL, m->pages * ODP_PAGE, PROT_READ | PROT_WRITE,
			  flags, m->fd, 0);

	if (m->fd < 0 || addr == MAP_FAILED)
		odp_die(errno, "mmap of a file");
	return addr;
}

static void *map_shmem(struct mm *m)
{
	m->fd = memfd_create("mm", MFD_CLOEXEC);
	if (m->fd < 0 || ftruncate(m->fd, m->pages * ODP_PAGE))
		odp_die(errno, "memfd_create");
	return map_fd(m, MAP_SHARED);
}

/* With data of its own on the disk. */
static void open_file(struct mm *m)
{
	char path[] = "/var/tmp/mm.XXXXXX";
	unsigned char page[ODP_PAGE];

	m->fd = mkstemp(path);
	if (m->fd < 0)
		odp_die(errno, "%s", path);
	unlink(path);
	for (size_t i = 0; i < m->pages; i++) {
		odp_stamp(page, ODP_PAGE, i, 1);
		if (write(m->fd, page, ODP_PAGE) != ODP_PAGE)
			odp_die(errno, "%s", path);
	}
	if (fsync(m->fd))
		odp_die(errno, "fsync");
	m->stamp = 1;
	set_stamps(m, 0, m->pages, 1);
}

static void *map_file(struct mm *m)
{
	open_file(m);
	return map_fd(m, MAP_SHARED);
}

static void *map_private(struct mm *m)
{
	open_file(m);
	return map_fd(m, MAP_PRIVATE);
}

static void *map_mergeable(struct mm *m)
{
	void *addr = odp_map(m->pages * ODP_PAGE);

	if (madvise(addr, m->pages * ODP_PAGE, MADV_MERGEABLE)) {
		fprintf(stderr, "no KSM\n");
		exit(ODP_SKIP);
	}
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "2000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "2");
	write_file("/sys/kernel/mm/ksm/run", "1");
	return addr;
}

/* --- what disturbs and leaves the data alone -------------------------------- */

static unsigned char *some(struct mm *m, size_t *len)
{
	size_t page = odp_random(m->disturb_rnd, m->pages);
	size_t count = 1 + odp_random(m->disturb_rnd, m->pages - page);

	*len = count * ODP_PAGE;
	return m->addr + page * ODP_PAGE;
}

static void page_out(struct mm *m)
{
	size_t len;
	unsigned char *addr = some(m, &len);

	madvise(addr, len, MADV_PAGEOUT);
	usleep(1000);
}

/* A changed protection of one page takes its huge page apart. */
static void collapse(struct mm *m)
{
	const size_t huge = odp_random(m->disturb_rnd, m->pages / 512);
	unsigned char *addr = m->addr + huge * HUGE_PAGE;
	unsigned char *page = addr + odp_random(m->disturb_rnd, 512) * ODP_PAGE;

	mprotect(page, ODP_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	usleep(1000);
	mprotect(page, ODP_PAGE, PROT_READ | PROT_WRITE);
	madvise(page, ODP_PAGE, MADV_PAGEOUT);
	madvise(addr, HUGE_PAGE, MADV_COLLAPSE);
	usleep(1000);
}

/* Pages that are given back in between leave holes to be compacted. */
static void compact(struct mm *m)
{
	char *holes = odp_map(m->pages * ODP_PAGE);

	for (size_t i = 0; i < m->pages; i++)
		holes[i * ODP_PAGE] = 1;
	for (size_t i = 0; i < m->pages; i += 2)
		madvise(holes + i * ODP_PAGE, ODP_PAGE, MADV_DONTNEED);
	write_file("/proc/sys/vm/compact_memory", "1");
	munmap(holes, m->pages * ODP_PAGE);
}

static void count_merged(struct mm *m)
{
	unsigned long merged = read_number("/sys/kernel/mm/ksm/pages_sharing", NULL);

	if (merged > m->effect)
		m->effect = merged;
	usleep(10000);
}

static void write_back(struct mm *m)
{
	size_t len;
	unsigned char *addr = some(m, &len);

	if (fdatasync(m->fd))
		odp_die(errno, "fdatasync");
	madvise(addr, len, MADV_PAGEOUT);
	write_file("/proc/sys/vm/drop_caches", "1");
	m->effect++;
}

/* --- what changes the data --------------------------------------------------- */

static void punch(struct mm *m, size_t page)
{
	size_t count = part(m, page);

	if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      page * ODP_PAGE, count * ODP_PAGE))
		odp_die(errno, "fallocate");
	set_stamps(m, page, count, 0);
}

static void offline(struct mm *m, size_t page)
{
	if (m->effect >= 32)	/* they do not come back */
		return;
	/* It fails for a page that is in use just now, or of zeros that many share */
	for (; page < m->pages; page++)
		if (!madvise(m->addr + page * ODP_PAGE, ODP_PAGE, MADV_SOFT_OFFLINE)) {
			m->effect++;
			return;
		}
}

static void move(struct mm *m, size_t page)
{
	size_t count = part(m, page), len = count * ODP_PAGE;

	if (mremap(m->addr + page * ODP_PAGE, len, len, MREMAP_MAYMOVE |
		   MREMAP_FIXED | MREMAP_DONTUNMAP, m->parked) != m->parked)
		odp_die(errno, "mremap");
	for (size_t i = 0; i < count; i++)
		if (!mm_right(m, page + i, m->parked + i * ODP_PAGE) &&
		    m->wrong++ < 10)
			printf("page %zu: wrong data moved\n", page + i);
	set_stamps(m, page, count, 0);
	m->effect++;
}

static void drop(struct mm *m, size_t page)
{
	size_t count = part(m, page), len = count * ODP_PAGE;
	bool lazily = odp_random(m->rnd, 2);

	if (madvise(m->addr + page * ODP_PAGE, len,
		    lazily ? MADV_FREE : MADV_DONTNEED))
		odp_die(errno, "madvise");
	if (!lazily)
		set_stamps(m, page, count, 0);
	for (size_t i = page; i < page + count; i++)
		m->maybe_zero[i] = true;
	m->effect++;
}

/* A child with what is there now, which it looks at later. */
static void keep_in_child(struct mm *m)
{
	int ends[2], wrong = 0;
	char c;

	if (pipe(ends))
		odp_die(errno, "pipe");
	m->child = fork();
	if (m->child < 0)
		odp_die(errno, "fork");
	if (!m->child) {
		close(ends[1]);
		if (read(ends[0], &c, 1) < 0)
			_exit(ODP_ERROR);
		for (size_t i = 0; i < m->pages; i++)
			wrong |= !mm_right(m, i, m->addr + i * ODP_PAGE);
		_exit(wrong);
	}
	close(ends[0]);
	m->child_pipe = ends[1];
	m->child_steps = m->steps;
}

static unsigned long ask_child(struct mm *m)
{
	int status;

	if (!m->child)
		return 0;
	close(m->child_pipe);
	if (waitpid(m->child, &status, 0) != m->child)
		odp_die(errno, "waitpid");
	m->child = 0;
	m->effect++;
	if (status)
		printf("a child saw what was written after it was made\n");
	return status != 0;
}

static void with_children(struct mm *m, size_t page)
{
	(void)page;
	if (!m->child)
		keep_in_child(m);
	else if (m->steps > m->child_steps + 50)
		m->wrong += ask_child(m);
}

/* --- afterwards ---------------------------------------------------------------- */

/* The file as it is on the disk: want is the stamp of all pages, or 0. */
static unsigned long wrong_on_disk(struct mm *m, uint64_t want, size_t len)
{
	unsigned char page[ODP_PAGE];
	unsigned long wrong = 0;

	if (fsync(m->fd) ||
	    posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED))
		odp_die(errno, "fsync");
	for (size_t i = 0; i < m->pages; i++) {
		if (pread(m->fd, page, ODP_PAGE, i * ODP_PAGE) != ODP_PAGE)
			odp_die(errno, "pread");
		wrong += !odp_stamped(page, len, i, want ?: m->stamps[i]);
	}
	if (wrong)
		printf("%lu pages of the file are wrong\n", wrong);
	return wrong;
}

static unsigned long file_has_it(struct mm *m)
{
	return wrong_on_disk(m, 0, m->len);
}

static unsigned long file_is_as_before(struct mm *m)
{
	m->effect++;
	return wrong_on_disk(m, 1, ODP_PAGE);
}

static unsigned long stop_merging(struct mm *m)
{
	(void)m;
	write_file("/sys/kernel/mm/ksm/run", "2");
	write_file("/sys/kernel/mm/ksm/run", "0");
	return 0;
}

const struct kind mm_kinds[] = {
	{ .name = "pageout", .effect = "pages swapped out", .counter = "pswpout",
	  .pages = 512, .map = map_small, .disturb = page_out },
	{ .name = "shmem", .effect = "pages swapped out", .counter = "pswpout",
	  .pages = 512, .map = map_shmem, .disturb = page_out, .change = punch,
	  .rarely = 50 },
	{ .name = "collapse", .effect = "huge pages made",
	  .counter = "thp_collapse_alloc", .pages = 2048, .map = map_huge,
	  .disturb = collapse },
	{ .name = "compact", .effect = "pages migrated",
	  .counter = "pgmigrate_success", .pages = 4096, .map = map_small,
	  .disturb = compact },
	{ .name = "offline", .effect = "pages taken out of use", .pages = 512,
	  .map = map_small, .change = offline, .rarely = 20 },
	{ .name = "merge", .effect = "pages merged at most", .pages = 512,
	  .pairs = true, .map = map_mergeable, .disturb = count_merged,
	  .close = stop_merging },
	{ .name = "fork", .effect = "children", .pages = 512, .map = map_small,
	  .change = with_children, .rarely = 20, .close = ask_child },
	{ .name = "mremap", .effect = "parts moved", .pages = 512,
	  .map = map_small, .change = move, .rarely = 20 },
	{ .name = "drop", .effect = "parts given back", .pages = 512,
	  .map = map_small, .disturb = page_out, .change = drop, .rarely = 20 },
	{ .name = "file", .effect = "times written back", .pages = 512,
	  .map = map_file, .disturb = write_back, .close = file_has_it },
	{ .name = "private", .effect = "file compared", .pages = 512,
	  .map = map_private, .disturb = page_out, .close = file_is_as_before },
	{ }
};

static unsigned long counted(const struct mm *m)
{
	return read_number("/proc/vmstat", m->kind->counter);
}

void mm_open(struct mm *m)
{
	m->pages = m->kind->pages;
	m->stamps = calloc(m->pages, sizeof(*m->stamps));
	m->maybe_zero = calloc(m->pages, sizeof(*m->maybe_zero));
	if (!m->stamps || !m->maybe_zero)
		odp_die(ENOMEM, "calloc");
	m->disturb_rnd[0] = m->rnd[1];
	m->addr = m->kind->map(m);
	m->parked = odp_map(PART * ODP_PAGE);
	m->buffer = odp_map(ODP_PAGE);
	if (m->kind->counter)
		m->effect = -counted(m);
}

bool mm_happened(const struct mm *m)
{
	if (m->kind->counter)
		return m->effect + counted(m) > 0;
	return !m->kind->change || m->steps > 4 * m->kind->rarely;
}

unsigned long mm_close(struct mm *m)
{
	if (m->kind->counter)
		m->effect += counted(m);
	return m->kind->close ? m->kind->close(m) : 0;
}
