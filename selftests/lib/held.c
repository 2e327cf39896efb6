// SPDX-License-Identifier: GPL-2.0
/* See held.h */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "held.h"
#include "qp.h"

int held_userfaultfd(void)
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

void held_open(struct held *h, const struct odp *device)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	h->addr = odp_map(HELD_LEN + HELD_WINDOW);
	h->addr += -(uintptr_t)h->addr & (HELD_WINDOW - 1);
	reg.range = (struct uffdio_range){ (uintptr_t)h->addr + HELD, HELD_PAGES * ODP_PAGE };
	if (ioctl(h->fd, UFFDIO_REGISTER, &reg))
		odp_die(errno, "UFFDIO_REGISTER");
	qp_open(&h->o, device, (struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
	h->mr = odp_reg(&h->o, h->addr, HELD_LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	h->pinned = odp_reg(&h->o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
}

void held_wait(struct held *h)
{
	struct pollfd events = { .fd = h->fd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&events, 1, HELD_SOON_S * 1000) != 1 ||
	    read(h->fd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		odp_die(0, "there was no page fault");
}

void held_write(struct held *h)
{
	struct ibv_sge sge = { (uintptr_t)h->pinned->addr, h->o.chunk, h->pinned->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)h->addr + HELD, h->mr->rkey },
	};

	odp_stamp(h->pinned->addr, ODP_PAGE, 0, 1);
	odp_post(&h->o, &wr);
	held_wait(h);
}

void held_serve(struct held *h)
{
	struct uffdio_range range = { (uintptr_t)h->addr + HELD, HELD_PAGES * ODP_PAGE };

	if (ioctl(h->fd, UFFDIO_UNREGISTER, &range))
		odp_die(errno, "UFFDIO_UNREGISTER");
}
