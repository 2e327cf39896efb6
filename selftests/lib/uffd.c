// SPDX-License-Identifier: GPL-2.0
/* See uffd.h */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "odp.h"
#include "uffd.h"

int uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		fprintf(stderr, "no userfaultfd: %s\n", strerror(errno));
		exit(ODP_SKIP);
	}
	if (ioctl(fd, UFFDIO_API, &api))
		odp_die(errno, "UFFDIO_API");
	return fd;
}

void uffd_watch(int fd, const void *addr, size_t len)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)addr, len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		odp_die(errno, "UFFDIO_REGISTER");
}

void uffd_unwatch(int fd, const void *addr, size_t len)
{
	struct uffdio_range range = { (uintptr_t)addr, len };

	/* ENOMEM: the process is gone, so nobody waits */
	if (ioctl(fd, UFFDIO_UNREGISTER, &range) && errno != ENOMEM)
		odp_die(errno, "UFFDIO_UNREGISTER");
}

unsigned char *uffd_asked(int fd, int ms)
{
	struct pollfd events = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&events, 1, ms) != 1 || read(fd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		return NULL;
	return (unsigned char *)(uintptr_t)(msg.arg.pagefault.address & -ODP_PAGE);
}

int uffd_serve(int fd, unsigned char *page, const void *data)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page, .src = (uintptr_t)data, .len = ODP_PAGE,
	};
	struct uffdio_range range = { copy.dst, ODP_PAGE };

	if (!ioctl(fd, UFFDIO_COPY, &copy))
		return 0;
	/* Who faulted again meanwhile is not woken by a copy that is too late */
	if (errno == EEXIST && !ioctl(fd, UFFDIO_WAKE, &range))
		return 0;
	return errno;
}
