/* SPDX-License-Identifier: GPL-2.0 */
/* Pages whose faults wait until they are served: userfaultfd. */
#ifndef UFFD_H
#define UFFD_H

#include <stddef.h>

/* A userfaultfd; the test is skipped where there is none. */
int uffd_open(void);

/* From now on, faults for pages of the range that are absent wait. */
void uffd_watch(int fd, const void *addr, size_t len);

/* No more; who waits goes on. */
void uffd_unwatch(int fd, const void *addr, size_t len);

/* The page of the next fault, or NULL if none comes in that time (-1: waits for ever). */
unsigned char *uffd_asked(int fd, int ms);

/* Puts a page with that data there, and wakes who waits for it: 0, or an errno. */
int uffd_serve(int fd, unsigned char *page, const void *data);

#endif
