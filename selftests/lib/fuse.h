/* SPDX-License-Identifier: GPL-2.0 */
/* Files whose pages never come: of fuse_unserved, which is mounted at $FUSE_DIR. */
#ifndef FUSE_H
#define FUSE_H

#include <stdbool.h>

#define FUSE_FILE	(64UL << 20)	/* bytes of a file */
#define FUSE_CONTROL	"control"

/* Whether the file system is mounted. */
bool fuse_is_there(void);

/* Opens a file that nobody else has opened yet. */
int fuse_open(void);

/* How many reads wait. */
unsigned long fuse_waiting(void);

/* Answers those that wait now. */
void fuse_serve(void);

#endif
