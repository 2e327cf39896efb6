// SPDX-License-Identifier: GPL-2.0
/* Waiting for something, for so long at most, see patience.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "odp.h"
#include "patience.h"

double patience_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

bool patience_ends(pthread_t thread, double s)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += s;
	return !pthread_timedjoin_np(thread, NULL, &end);
}

bool patience_gone(pid_t pid, double s)
{
	const double end = patience_seconds() + s;

	while (waitpid(pid, NULL, WNOHANG) != pid) {
		if (patience_seconds() > end)
			return false;
		usleep(10000);
	}
	return true;
}

int patience_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		odp_die(errno, "/dev/kmsg");
	return fd;
}

bool patience_logged(int log, const char *text, const char *more, double s)
{
	const double end = patience_seconds() + s;
	char line[2000];

	do {
		const ssize_t n = read(log, line, sizeof(line) - 1);

		if (n > 0) {
			line[n] = 0;
			if (strstr(line, text) && strstr(line, more))
				return true;
		} else {
			usleep(100000);
		}
	} while (patience_seconds() < end);
	return false;
}
