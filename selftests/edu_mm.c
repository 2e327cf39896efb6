// SPDX-License-Identifier: GPL-2.0
/*
 * Memory management at work on memory under DMA of the edu device: the kinds of
 * rxe_mm, with the device in place of RDMA.
 *
 * edu_mm KIND MILLISECONDS
 */

#include <string.h>

#include "lib/edu.h"
#include "lib/mm.h"

#define PAUSE_US	80000	/* a DMA takes 100 ms */

static int fd;
static uint32_t memory, buffer;

static void open_ranges(struct mm *m)
{
	memory = edu_register(fd, m->addr, m->pages * ODP_PAGE);
	buffer = edu_register(fd, m->buffer, ODP_PAGE);
}

static const char *read_page(struct mm *m, size_t page)
{
	int err = edu_read(fd, memory, m->addr + page * ODP_PAGE, m->len) ?:
		  edu_write(fd, buffer, m->buffer, m->len);

	return err ? strerror(err) : NULL;
}

static const char *write_page(struct mm *m, size_t page)
{
	int err = edu_read(fd, buffer, m->buffer, m->len) ?:
		  edu_write(fd, memory, m->addr + page * ODP_PAGE, m->len);

	return err ? strerror(err) : NULL;
}

static void close_ranges(struct mm *m)
{
	(void)m;
	if (edu_deregister(fd, memory) || edu_deregister(fd, buffer))
		odp_die(0, "a range is not there any more");
}

static const struct mm_device edu = {
	.open = open_ranges, .read = read_page, .write = write_page,
	.close = close_ranges, .pause_us = PAUSE_US, .fill = true,
};

int main(int argc, char **argv)
{
	if (argc != 3)
		odp_die(0, "usage: %s KIND MILLISECONDS", argv[0]);
	fd = edu_open();
	return mm_run(&edu, argv[1], strtoul(argv[2], NULL, 10), ODP_PAGE);
}
