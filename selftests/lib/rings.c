// SPDX-License-Identifier: GPL-2.0
/* The rings that rxe shares with a process, see rings.h */

#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "odp.h"
#include "rings.h"

#define MAPPINGS	256

struct mapping {
	unsigned long addr, offset;
};

static struct mapping known[MAPPINGS];
static unsigned int count_known;

static bool is_known(const struct mapping *mapping)
{
	for (unsigned int i = 0; i < count_known; i++)
		if (known[i].addr == mapping->addr && known[i].offset == mapping->offset)
			return true;
	return false;
}

static unsigned int read_mappings(struct mapping *mappings)
{
	unsigned int count = 0;
	char line[512];
	FILE *file = fopen("/proc/self/maps", "r");

	if (!file)
		odp_die(errno, "/proc/self/maps");
	while (fgets(line, sizeof(line), file)) {
		struct mapping *m = &mappings[count];

		if (!strstr(line, "/uverbs") || count == MAPPINGS)
			continue;
		if (sscanf(line, "%lx-%*x %*s %lx", &m->addr, &m->offset) == 2)
			count++;
	}
	fclose(file);
	return count;
}

static int by_offset(const void *a, const void *b)
{
	const struct mapping *m = a, *n = b;

	return m->offset < n->offset ? -1 : m->offset > n->offset;
}

void rings_find(struct ring *rings, unsigned int count)
{
	struct mapping now[MAPPINGS], fresh[MAPPINGS];
	unsigned int count_now = read_mappings(now), found = 0;

	for (unsigned int i = 0; i < count_now; i++)
		if (!is_known(&now[i]))
			fresh[found++] = now[i];
	if (found != count)
		odp_die(0, "%u rings instead of %u", found, count);
	qsort(fresh, found, sizeof(fresh[0]), by_offset);
	for (unsigned int i = 0; i < found; i++) {
		struct rxe_queue_buf *buf = (void *)fresh[i].addr;

		rings[i] = (struct ring){ buf, buf->index_mask, buf->log2_elem_size };
	}
	memcpy(known, now, sizeof(known));
	count_known = count_now;
}

int ring_doorbell(struct ibv_qp *qp)
{
	struct ib_uverbs_post_send_resp response;
	struct {
		struct ib_uverbs_cmd_hdr header;
		struct ib_uverbs_post_send post;
	} command = {
		.header = {
			.command = IB_USER_VERBS_CMD_POST_SEND,
			.in_words = sizeof(command) / 4,
			.out_words = sizeof(response) / 4,
		},
		.post = {
			.response = (uintptr_t)&response,
			.qp_handle = qp->handle,
			.wqe_size = sizeof(struct ib_uverbs_send_wr),
		},
	};

	return write(qp->context->cmd_fd, &command, sizeof(command)) == sizeof(command) ?
	       0 : errno;
}
