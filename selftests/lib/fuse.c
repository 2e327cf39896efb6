// SPDX-License-Identifier: GPL-2.0
/* Files whose pages never come, see fuse.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fuse.h"
#include "odp.h"

static void path_of(char *path, size_t size, const char *name)
{
	const char *dir = getenv("FUSE_DIR");

	if (!dir) {
		fprintf(stderr, "FUSE_DIR is not set\n");
		exit(ODP_SKIP);
	}
	snprintf(path, size, "%s/%s", dir, name);
}

bool fuse_is_there(void)
{
	char path[300];

	path_of(path, sizeof(path), FUSE_CONTROL);
	return !access(path, R_OK);
}

static int open_named(const char *name, int flags)
{
	char path[300];
	int fd;

	path_of(path, sizeof(path), name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		odp_die(errno, "%s", path);
	return fd;
}

int fuse_open(void)
{
	struct timespec now;
	char name[24];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof(name), "%llu", now.tv_sec * 1000000000ULL + now.tv_nsec);
	return open_named(name, O_RDWR);
}

unsigned long fuse_waiting(void)
{
	int fd = open_named(FUSE_CONTROL, O_RDONLY);
	char text[24] = {};

	if (read(fd, text, sizeof(text) - 1) <= 0)
		odp_die(errno, "read the number of reads that wait");
	close(fd);
	return strtoul(text, NULL, 10);
}

void fuse_serve(void)
{
	int fd = open_named(FUSE_CONTROL, O_WRONLY);

	if (write(fd, "1", 1) != 1)
		odp_die(errno, "answer the reads that wait");
	close(fd);
}
