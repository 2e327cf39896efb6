/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process that does what may not end, and tells how far it has got: who waits for it
 * goes on if it does not.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* In time, in seconds: on Debian's kernel 2. */
double child_limit(void);

struct child {
	pid_t pid;
	int from, to;	/* pipes */
};

/* Runs run(argument) in a process that is killed with its parent. */
struct child child_start(void (*run)(const void *argument), const void *argument);

/* In the child: a word of one letter, and a number with it; waits for child_go(). */
void child_tell(char word, long number);
void child_await(void);

/* In the parent: whether the child tells that word, as its next one, within so long. */
bool child_told(struct child *c, char word, long *number, double s);

/* The same, or exit(ODP_ERROR). */
long child_must_tell(struct child *c, char word);

void child_go(const struct child *c);

/* A file descriptor of the child's, here. */
int child_fd(const struct child *c, int fd);

/* Whether it is gone so soon; the same of one that is killed now. Then its pid is 0. */
bool child_gone(struct child *c, double s);
bool child_dies(struct child *c, double s);

/* What there is on the device, of each kind, as rdma shows it. */
void child_resources(char *text, size_t size);

/* Whether it becomes that within so long. */
bool child_resources_are(const char *text, double s);

#endif
