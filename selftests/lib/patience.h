/* SPDX-License-Identifier: GPL-2.0 */
/* Waiting for something, for so long at most. */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/* Since some time in the past. */
double patience_seconds(void);

/* Whether the thread ends within so many seconds. */
bool patience_ends(pthread_t thread, double s);

/* Whether the child, which is taken care of, ends within so many seconds. */
bool patience_gone(pid_t pid, double s);

/* What the kernel says from now on: for patience_logged(). */
int patience_log(void);

/* Whether the kernel says a line with both texts within so many seconds. */
bool patience_logged(int log, const char *text, const char *more, double s);

#endif
