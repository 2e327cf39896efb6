// SPDX-License-Identifier: GPL-2.0
/*
 * How pages are mapped for the edu device.
 *
 * edu_modes mode        of a page of a window that is made now: iova, list or direct
 * edu_modes contiguous  a window's pages are at one IOVA range, in their order
 * edu_modes physical    a page is where it is in memory
 * edu_modes exhausted   uses up all IOVA, without exception: errors; and it all
 *                       works again once some is given back
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/edu.h"

#define WINDOW		EDU_HUGE
#define WINDOWS		2200UL	/* more than 32 bits of IOVA have room for */
#define FILLERS		32	/* windows that are mapped page by page meanwhile */
#define GIVE_BACK_S	2	/* IOVA comes back a moment after it was let go */

static int fd;

/* --- contiguous, physical --------------------------------------------------------- */

static int wrong_pages(uint32_t handle, const unsigned char *addr, size_t count,
		       uint64_t (*want)(const unsigned char *, uint64_t first),
		       enum edu_odp_mode mode)
{
	struct edu_odp_peek peek;
	uint64_t first = 0;
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		const unsigned char *at = addr + i * ODP_PAGE + i % ODP_PAGE;
		int err = edu_peek(fd, handle, at, &peek);

		if (err)
			odp_die(err, "peek");
		if ((uintptr_t)at % WINDOW < ODP_PAGE)
			first = peek.dma_address - (uintptr_t)at % WINDOW;
		if (peek.mode == mode && peek.dma_address == want(at, first))
			continue;
		if (wrong++ < 5)
			printf("page %zu: %s, at %#llx instead of %#llx\n", i,
			       edu_mode_name(peek.mode), peek.dma_address,
			       (unsigned long long)want(at, first));
	}
	printf("%zu pages, %d not where they have to be\n", count, wrong);
	return wrong ? ODP_DEFECT : ODP_OK;
}

static uint64_t in_window(const unsigned char *addr, uint64_t first)
{
	return first + (uintptr_t)addr % WINDOW;
}

static uint64_t in_memory(const unsigned char *addr, uint64_t first)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	(void)first;
	if (pagemap < 0 || pread(pagemap, &entry, sizeof(entry),
				 (uintptr_t)addr / ODP_PAGE * 8) != sizeof(entry))
		odp_die(errno, "/proc/self/pagemap");
	close(pagemap);
	return (entry & ((1UL << 55) - 1)) * ODP_PAGE + (uintptr_t)addr % ODP_PAGE;
}

/* Windows of small pages, brought in from the last to the first, and of a huge one. */
static int mapped(uint64_t (*want)(const unsigned char *, uint64_t),
		  enum edu_odp_mode mode)
{
	const size_t pages = 3 * WINDOW / ODP_PAGE;
	unsigned char *addr = edu_reserve(3 * WINDOW);
	uint32_t handle;

	edu_put_small(addr, 2 * WINDOW);
	edu_put_thp(addr + 2 * WINDOW, WINDOW);
	handle = edu_register(fd, addr, 3 * WINDOW);
	for (size_t i = pages; i-- > 0; ) {
		int err = edu_prefetch(fd, handle, addr + i * ODP_PAGE, 1,
				       EDU_ODP_PREFETCH_WRITE);

		if (err)
			odp_die(err, "prefetch of page %zu", i);
	}
	return wrong_pages(handle, addr, pages, want, mode);
}

/* --- IOVA that is used up ----------------------------------------------------------- */

struct hog {
	unsigned char *addr;		/* of WINDOWS windows */
	uint32_t handles[WINDOWS];
	size_t used;			/* those from here on are free */
	uint32_t fillers[FILLERS];	/* windows that are mapped page by page */
	unsigned char *filler_addr[FILLERS];
	size_t filler;			/* the page to be brought in next */
};

static int touch(uint32_t handle, unsigned char *addr)
{
	return edu_prefetch(fd, handle, addr, 1, EDU_ODP_PREFETCH_WRITE);
}

/* One more window with a page: how that is mapped. */
static enum edu_odp_mode next_window(struct hog *h)
{
	unsigned char *addr = h->addr + h->used * WINDOW;
	int err;

	if (h->used == WINDOWS)
		odp_die(0, "%lu windows, and IOVA is left", WINDOWS);
	h->handles[h->used] = edu_register(fd, addr, WINDOW);
	err = touch(h->handles[h->used], addr);
	if (err)
		odp_die(err, "prefetch in window %zu", h->used);
	return edu_page_mode(fd, h->handles[h->used++], addr);
}

/* Windows until there is no IOVA range for one, then those that are to be fillers. */
static size_t use_up_windows(struct hog *h)
{
	size_t ranges = 0;

	while (next_window(h) == EDU_ODP_MODE_IOVA)
		ranges++;
	for (size_t i = 0; i < FILLERS; i++) {
		enum edu_odp_mode mode = i ? next_window(h) : EDU_ODP_MODE_LIST;

		if (mode != EDU_ODP_MODE_LIST)
			odp_die(0, "a window after the last is %s",
				edu_mode_name(mode));
		h->fillers[i] = h->handles[h->used - 1];
		h->filler_addr[i] = h->addr + (h->used - 1) * WINDOW;
	}
	h->filler = FILLERS;	/* the first page of each is there */
	return ranges;
}

/* Single pages until there is no IOVA at all. */
static size_t use_up_pages(struct hog *h)
{
	size_t pages = 0;

	for (; h->filler < FILLERS * 512; h->filler++, pages++) {
		const size_t i = h->filler % FILLERS;

		if (touch(h->fillers[i], h->filler_addr[i] +
			  h->filler / FILLERS * ODP_PAGE))
			return pages;
	}
	odp_die(0, "%zu pages more, and IOVA is left", pages);
}

static void give_back(uint32_t handle)
{
	int err = edu_deregister(fd, handle);

	if (err)
		odp_die(err, "deregister");
}

static struct hog *open_hog(void)
{
	struct hog *h = calloc(1, sizeof(*h));

	if (!h)
		odp_die(errno, "calloc");
	h->addr = edu_reserve(WINDOWS * WINDOW);
	edu_put(h->addr, WINDOWS * WINDOW, MAP_PRIVATE | MAP_ANONYMOUS |
		MAP_NORESERVE, -1);
	madvise(h->addr, WINDOWS * WINDOW, MADV_NOHUGEPAGE);
	return h;
}

/* Whether a page reaches another through the device. */
static bool copies(uint32_t from, unsigned char *source, uint32_t to,
		   unsigned char *target, int *err)
{
	static uint64_t stamp;

	odp_stamp(source, ODP_PAGE, 1, ++stamp);
	*err = edu_copy(fd, from, source, to, target, ODP_PAGE);
	return !*err && odp_stamped(target, ODP_PAGE, 1, stamp);
}

static int exhausted(void)
{
	struct hog *h = open_hog();
	size_t windows = use_up_windows(h), pages = use_up_pages(h);
	const size_t last = h->used - 1;
	unsigned char *fresh = h->addr + h->used * WINDOW;
	uint32_t handle = edu_register(fd, fresh, WINDOW);
	bool full, beside, again;
	int err;

	printf("%zu windows and %zu pages use up the IOVA\n", windows, pages);
	full = copies(h->handles[0], h->addr, handle, fresh, &err);
	printf("one page more: %s\n", strerror(err));
	if (full || (err != EAGAIN && err != ENOMEM))
		return ODP_DEFECT;
	beside = copies(h->handles[0], h->addr, h->handles[last],
			h->addr + last * WINDOW, &err);
	printf("pages that have some: %s\n", beside ? "right" : strerror(err));
	give_back(h->handles[1]);
	edu_sleep(GIVE_BACK_S);
	again = copies(h->handles[0], h->addr, handle, fresh, &err);
	printf("that page again, once a window is given back: %s\n",
	       again ? "right" : strerror(err));
	return beside && again ? ODP_OK : ODP_DEFECT;
}

static enum edu_odp_mode mode_now(void)
{
	unsigned char *addr = edu_reserve(WINDOW);
	uint32_t handle = edu_register(fd, addr, WINDOW);
	int err;

	edu_put_small(addr, ODP_PAGE);
	err = touch(handle, addr);
	if (err)
		odp_die(err, "prefetch");
	edu_mode(fd);	/* which has to make sense, too */
	return edu_page_mode(fd, handle, addr);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	fd = edu_open();
	if (!strcmp(what, "mode"))
		return puts(edu_mode_name(mode_now())) < 0;
	if (!strcmp(what, "contiguous"))
		return mapped(in_window, EDU_ODP_MODE_IOVA);
	if (!strcmp(what, "physical"))
		return mapped(in_memory, EDU_ODP_MODE_DIRECT);
	if (!strcmp(what, "exhausted"))
		return exhausted();
	odp_die(0, "usage: %s mode|contiguous|physical|exhausted", argv[0]);
}
