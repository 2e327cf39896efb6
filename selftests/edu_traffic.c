// SPDX-License-Identifier: GPL-2.0
/*
 * Verified DMA of the edu device until SIGTERM: COPYs of pages that are given back
 * time and again. When the device goes, its file stays open. Says "running", "gone"
 * when that is so, and at the end "N COPYs, N wrong".
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/edu.h"

#define PAGES	2UL
#define LEN	(PAGES * ODP_PAGE)

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

int main(void)
{
	const struct sigaction action = { .sa_handler = on_term };
	unsigned char *from = odp_map(LEN), *to = odp_map(LEN);
	unsigned long copies = 0, wrong = 0;
	const int fd = edu_open();
	uint32_t source = edu_register(fd, from, LEN), target = edu_register_all(fd);
	int err = 0;

	sigaction(SIGTERM, &action, NULL);
	while (!stop && err != ENODEV) {
		odp_stamp(from, LEN, 0, copies + 1);
		madvise(to, LEN, MADV_DONTNEED);
		err = edu_copy(fd, source, from, target, to, LEN);
		if (!err) {
			copies++;
			if (!odp_stamped(to, LEN, 0, copies)) {
				wrong++;
				say("a COPY is wrong");
			}
		} else if (err != ENODEV && err != EINTR) {
			odp_die(err, "COPY");
		}
		if (copies == 1)
			say("running");
	}
	if (err == ENODEV)
		say("gone");
	while (!stop)
		usleep(10000);
	printf("%lu COPYs, %lu wrong\n", copies, wrong);
	return wrong ? ODP_DEFECT : ODP_OK;
}
