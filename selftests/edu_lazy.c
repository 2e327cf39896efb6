// SPDX-License-Identifier: GPL-2.0
/*
 * A DMA that ends a few milliseconds after its page was taken away.
 *
 * edu_lazy [ROUNDS]
 *
 * A DMA of the edu device reads or writes memory 100 ms after it was started. One is
 * sent to a page's DMA address, with nothing to tell the driver that it is for that
 * page, and the page is given back shortly before the end. Seen through another
 * mapping of the same memory, nothing may have been written: the IOMMU must not go by
 * what it remembers of the page.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/edu.h"

#define LEN		EDU_HUGE	/* a window */
#define BYTES		64
#define FIRST_MS	90.0	/* when the page goes: so long after the start, and */
#define STEP_MS		0.4	/* so much later each time */
#define ROUNDS		20

static int fd;
static unsigned char *memory, *view;
static uint32_t handle;

static void *raw_write(void *dma_address)
{
	int err = edu_raw_dma(fd, EDU_ODP_WRITE, *(uint64_t *)dma_address, BYTES);

	if (err)
		odp_die(err, "RAW_DMA");
	return NULL;
}

/* Whether the DMA has written; the page goes after so many milliseconds, if ever. */
static bool written(double after)
{
	struct edu_odp_peek peek;
	pthread_t thread;
	double start;
	int err;

	memset(view, 0xaa, ODP_PAGE);
	err = edu_prefetch(fd, handle, memory, ODP_PAGE, EDU_ODP_PREFETCH_WRITE);
	if (!err)
		err = edu_peek(fd, handle, memory, &peek);
	if (err)
		odp_die(err, "prefetch, peek");
	if (peek.mode == EDU_ODP_MODE_NONE)
		odp_die(0, "the page is not mapped");

	start = edu_seconds();
	pthread_create(&thread, NULL, raw_write, &peek.dma_address);
	if (after > 0) {
		edu_sleep(start + after / 1e3 - edu_seconds());
		madvise(memory, ODP_PAGE, MADV_DONTNEED);
		after = (edu_seconds() - start) * 1e3;
	}
	pthread_join(thread, NULL);
	printf("%s: page given back after %.1f ms, DMA over after %.1f ms, %s\n",
	       edu_mode_name(peek.mode), after, (edu_seconds() - start) * 1e3,
	       view[0] == 0xaa ? "unchanged" : "written");
	return view[0] != 0xaa;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS, wrong = 0;
	unsigned char source[BYTES];
	uint32_t source_handle;
	int file;

	fd = edu_open();
	file = memfd_create("edu_lazy", 0);
	if (file < 0 || ftruncate(file, LEN))
		odp_die(errno, "memfd");
	memory = edu_reserve(LEN);
	edu_put(memory, LEN, MAP_SHARED, file);
	view = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (view == MAP_FAILED)
		odp_die(errno, "mmap");
	handle = edu_register(fd, memory, LEN);
	source_handle = edu_register(fd, source, sizeof(source));

	memset(source, 0x55, sizeof(source));
	if (edu_read(fd, source_handle, source, sizeof(source)))
		odp_die(0, "the device does not read");
	if (!written(0))
		odp_die(0, "a DMA to a page that is mapped writes nothing");
	for (int i = 0; i < rounds; i++)
		wrong += written(FIRST_MS + i % ROUNDS * STEP_MS);
	printf("%d of %d DMAs wrote to a page that was gone\n", wrong, rounds);
	return wrong ? ODP_DEFECT : ODP_OK;
}
