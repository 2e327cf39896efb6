// SPDX-License-Identifier: GPL-2.0
/* See rdma.h */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "odp.h"
#include "patience.h"
#include "rdma.h"

static unsigned long count_of(const char *line, const char *kind)
{
	unsigned long count = 0;
	const char *at;
	char word[20];

	snprintf(word, sizeof(word), " %s ", kind);
	at = strstr(line, word);
	if (at)
		count = strtoul(at + strlen(word), NULL, 10);
	return count;
}

struct rdma_objects rdma_objects(void)
{
	char line[300];
	FILE *rdma;

	snprintf(line, sizeof(line), "rdma resource show %s", getenv("ODP_DEV") ?: "rxe0");
	rdma = popen(line, "r");
	if (!rdma || !fgets(line, sizeof(line), rdma))
		odp_die(errno, "rdma resource show");
	pclose(rdma);
	return (struct rdma_objects){
		.pd = count_of(line, "pd"),
		.cq = count_of(line, "cq"),
		.qp = count_of(line, "qp"),
		.mr = count_of(line, "mr"),
		.ctx = count_of(line, "ctx"),
		.srq = count_of(line, "srq"),
	};
}

bool rdma_objects_become(const struct rdma_objects *wanted, double s, struct rdma_objects *now)
{
	const double end = patience_seconds() + s;

	for (;;) {
		*now = rdma_objects();
		if (!memcmp(now, wanted, sizeof(*now)))
			return true;
		if (patience_seconds() > end)
			return false;
		usleep(50000);
	}
}

void rdma_objects_print(const struct rdma_objects *o, char *text, size_t len)
{
	snprintf(text, len, "pd %lu cq %lu qp %lu mr %lu ctx %lu srq %lu", o->pd, o->cq, o->qp,
		 o->mr, o->ctx, o->srq);
}
