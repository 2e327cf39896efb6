// SPDX-License-Identifier: GPL-2.0
/*
 * One call of the kernel whose n-th allocation fails; no fault if N is 0.
 *
 * fault_call N load FILE [PARAMETERS]     finit_module
 * fault_call N unload MODULE              delete_module
 * fault_call N write FILE TEXT            one write, to a file of sysfs say
 * fault_call N link-add DEVICE NETDEV     an rxe device, as `rdma link add` does it
 * fault_call N link-delete INDEX         the device of that number
 *
 * Says "ERRNO injected" or "ERRNO not-injected"; ERRNO is 0 for a success, and
 * ENOBUFS where netlink could not tell what came of it.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fail_nth.h"
#include "lib/odp.h"

static int file = -1;
static const char *text, *module;

static int load(void)
{
	return syscall(SYS_finit_module, file, text, 0) ? errno : 0;
}

static int unload(void)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? errno : 0;
}

static int write_text(void)
{
	return write(file, text, strlen(text)) < 0 ? errno : 0;
}

/* --- netlink of RDMA --- */

#define COMMAND(op)	RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, op)

static struct {
	struct nlmsghdr header;
	char attributes[256];
} request;

static void begin(unsigned int op)
{
	request.header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_HDRLEN,
		.nlmsg_type = COMMAND(op),
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
	};
}

static void attribute(unsigned short type, const void *value, size_t len)
{
	char *end = (char *)&request + NLMSG_ALIGN(request.header.nlmsg_len);
	struct nlattr *nla = (struct nlattr *)end;

	if (end + NLA_HDRLEN + NLA_ALIGN(len) > (char *)(&request + 1))
		odp_die(0, "the request is too long");
	nla->nla_type = type;
	nla->nla_len = NLA_HDRLEN + len;
	memcpy(end + NLA_HDRLEN, value, len);
	request.header.nlmsg_len = NLMSG_ALIGN(request.header.nlmsg_len) +
				   NLA_ALIGN(nla->nla_len);
}

static void attribute_text(unsigned short type, const char *value)
{
	attribute(type, value, strlen(value) + 1);
}

/* The kernel works on it while it is sent; the answer may have got lost. */
static int transact(void)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char more[1024];
	} answer;

	if (send(file, &request, request.header.nlmsg_len, 0) < 0)
		return errno;
	if (recv(file, &answer, sizeof(answer), MSG_DONTWAIT) < (ssize_t)NLMSG_HDRLEN)
		return errno == EAGAIN ? ENOBUFS : errno;
	if (answer.header.nlmsg_type != NLMSG_ERROR)
		odp_die(0, "an answer of type %u", answer.header.nlmsg_type);
	return -answer.error.error;
}

static void prepare_link(unsigned int op)
{
	file = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);
	if (file < 0)
		odp_die(errno, "NETLINK_RDMA");
	begin(op);
}

/* --- the calls --- */

typedef int call_t(void);

static void open_file(const char *path, int flags)
{
	file = open(path, flags | O_CLOEXEC);
	if (file < 0)
		odp_die(errno, "%s", path);
}

/* Without a fault: what the call needs. */
static call_t *prepare(const char *what, const char *first, const char *second)
{
	uint32_t index;

	if (!strcmp(what, "load")) {
		open_file(first, O_RDONLY);
		text = second ?: "";
		return load;
	}
	if (!strcmp(what, "unload")) {
		module = first;
		return unload;
	}
	if (!strcmp(what, "write") && second) {
		open_file(first, O_WRONLY);
		text = second;
		return write_text;
	}
	if (!strcmp(what, "link-add") && second) {
		prepare_link(RDMA_NLDEV_CMD_NEWLINK);
		attribute_text(RDMA_NLDEV_ATTR_DEV_NAME, first);
		attribute_text(RDMA_NLDEV_ATTR_LINK_TYPE, "rxe");
		attribute_text(RDMA_NLDEV_ATTR_NDEV_NAME, second);
		return transact;
	}
	if (!strcmp(what, "link-delete")) {
		index = strtoul(first, NULL, 0);
		prepare_link(RDMA_NLDEV_CMD_DELLINK);
		attribute(RDMA_NLDEV_ATTR_DEV_INDEX, &index, sizeof(index));
		return transact;
	}
	odp_die(0, "no such call");
}

int main(int argc, char **argv)
{
	bool injected = false;
	unsigned int n;
	call_t *run;
	int err;

	if (argc < 4)
		odp_die(0, "usage: %s N load|unload|write|link-add|link-delete …",
			argv[0]);
	n = strtoul(argv[1], NULL, 0);
	run = prepare(argv[2], argv[3], argv[4]);
	if (n)
		fail_nth_arm(n);
	err = run();
	if (n)
		injected = fail_nth_disarm();
	printf("%s %s\n", err ? strerrorname_np(err) : "0",
	       injected ? "injected" : "not-injected");
	return ODP_OK;
}
