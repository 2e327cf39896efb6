/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of which a peer on the wire has a right to some, for rxe_wire: regions, pinned and
 * ODP, in two protection domains, and windows. All that he may not read is full of
 * WIRE_SECRET, and all that he may not write is compared with what it was.
 */
#ifndef WIRE_MEMORY_H
#define WIRE_MEMORY_H

#include "odp.h"

#define WIRE_SECRET	0xe7c25ec5U	/* every second word; then which memory it is of */
#define WIRE_PUBLIC	0x21425550U	/* "PUB!"; then where in its map it is */

#define WIRE_WINDOW_1	(ODP_PAGE + 2048)	/* of the map: for a window of type 1, read-only */
#define WIRE_WINDOW_2	(2 * ODP_PAGE + 1024)	/* and for two of type 2, that may be written */
#define WIRE_WINDOW	1024UL

struct wire_region {
	const char *name;
	const char *rights;	/* of the peer: r read, w write, a atomic, f flush; x: not his */
	char *map, *before;
	size_t start, len;	/* of the region in the map */
	size_t open, open_len;	/* what the peer may write */
	struct ibv_mr *mr;
	int number;
};

struct wire_memory {
	struct wire_region region[24];
	int regions;
};

/* All regions, those that are not the peer's in the domain @vault; with_odp: of both kinds. */
void wire_memory_make(struct wire_memory *m, struct odp *o, struct ibv_pd *vault, bool with_odp,
		      unsigned int process);

struct wire_region *wire_region(struct wire_memory *m, const char *name);

/* Takes pages from regions with on-demand paging: the data stays. */
void wire_memory_zap(struct wire_memory *m);

/* Says what has changed that may not; returns how many regions. */
int wire_memory_changed(struct wire_memory *m);

#endif
