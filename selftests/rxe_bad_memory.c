// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that a device must not reach: each use of it ends with an error of that
 * work request, what is beside it stays as it was, and the pair goes on when it
 * is connected again. A line for each case.
 *
 * rxe_bad_memory [secret]
 *   secret   memory of memfd_secret too, which wedges a kernel that maps it
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/odp.h"
#include "lib/qp.h"

#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack 453
#endif

enum { BEFORE, BAD, AFTER, PAGES };

#define LEN	(PAGES * ODP_PAGE)
#define OLD	1
#define NEW	2

static struct odp device, o;
static struct ibv_mr *bounce;

struct memory {
	const char *name;
	unsigned char *addr;	/* of PAGES, of which BAD is what the name says */
	bool readable;		/* for the device, too */
	bool only_writes;	/* reads may be allowed or not */
	struct ibv_mr *mr;
};

static struct odp_side bad(const struct memory *m, size_t offset)
{
	return odp_at(m->mr, BAD * ODP_PAGE + offset);
}

/* The pages beside it, as the CPU and as RDMA sees them. */
static bool neighbours_intact(struct memory *m)
{
	for (int page = BEFORE; page <= AFTER; page += AFTER - BEFORE)
		if (!odp_stamped(m->addr + page * ODP_PAGE, ODP_PAGE, page, OLD))
			return false;
	return true;
}

/* After an error the pair is connected again, and has to work. */
static bool works_again(struct memory *m)
{
	qp_connect(&o);
	memset(bounce->addr, 0, ODP_PAGE);
	if (odp_rdma(&o, IBV_WR_RDMA_READ, odp_at(bounce, 0),
		     odp_at(m->mr, BEFORE * ODP_PAGE), o.chunk) ||
	    !odp_stamped(bounce->addr, o.chunk, BEFORE, OLD))
		return false;
	odp_stamp(bounce->addr, ODP_PAGE, AFTER, OLD);
	return !odp_rdma(&o, IBV_WR_RDMA_WRITE, odp_at(bounce, 0),
			 odp_at(m->mr, AFTER * ODP_PAGE), o.chunk);
}

static void judge(struct memory *m, const char *what, enum ibv_wc_status got,
		  enum ibv_wc_status want)
{
	bool works = !got || works_again(m), intact = neighbours_intact(m);
	char text[120];

	snprintf(text, sizeof(text), "%s, %s", m->name, what);
	if (!works)
		result_is(false, text, "the pair does not work afterwards");
	else if (!intact)
		result_is(false, text, "a page beside it has changed");
	else
		result_status(text, got, want);
}

static enum ibv_wc_status rdma(enum ibv_wr_opcode op, struct odp_side remote,
			       size_t len)
{
	return odp_rdma(&o, op, odp_at(bounce, 0), remote, len);
}

/* What may be read has to be right. */
static void judge_read(struct memory *m, const char *what, struct odp_side remote,
		       size_t len, size_t page)
{
	enum ibv_wc_status status;
	char text[120];

	memset(bounce->addr, 0, LEN);
	status = rdma(IBV_WR_RDMA_READ, remote, len);
	snprintf(text, sizeof(text), "%s, %s", m->name, what);
	if (!status && m->readable &&
	    !odp_stamped((char *)bounce->addr + page * ODP_PAGE, ODP_PAGE, BAD, OLD))
		result_is(false, text, "wrong data");
	else
		judge(m, what, status, m->readable ? IBV_WC_SUCCESS :
						     IBV_WC_REM_ACCESS_ERR);
}

/* The memory is the responder's. */
static void remote_cases(struct memory *m)
{
	const int deny = IBV_WC_REM_ACCESS_ERR;

	odp_stamp(bounce->addr, LEN, 0, NEW);
	judge(m, "RDMA WRITE", rdma(IBV_WR_RDMA_WRITE, bad(m, 0), o.chunk), deny);
	judge(m, "RDMA WRITE of its last byte",
	      rdma(IBV_WR_RDMA_WRITE, bad(m, ODP_PAGE - 1), 1), deny);
	judge(m, "FETCH_ADD", qp_atomic(&o, IBV_WR_ATOMIC_FETCH_AND_ADD,
					odp_at(bounce, 0), bad(m, 8), 0, 1), deny);
	judge(m, "CMP_SWP", qp_atomic(&o, IBV_WR_ATOMIC_CMP_AND_SWP,
				      odp_at(bounce, 0), bad(m, 16), 0, 1), deny);
	judge(m, "ATOMIC_WRITE", qp_atomic_write(&o, bad(m, 0), 1), deny);
	if (m->only_writes)
		return;
	judge_read(m, "RDMA READ", bad(m, 0), ODP_PAGE, 0);
	judge_read(m, "RDMA READ from the page before to the page after",
		   odp_at(m->mr, 0), LEN, BAD);
}

/* The memory is the requester's own. */
static void local_cases(struct memory *m)
{
	const struct odp_side other = odp_at(bounce, 0);

	enum ibv_wc_status status;

	if (!m->only_writes) {
		status = odp_rdma(&o, IBV_WR_RDMA_WRITE, bad(m, 0), other,
				  ODP_PAGE);
		/* rxe flushes what it cannot gather, from pinned memory too */
		if (status == IBV_WC_WR_FLUSH_ERR)
			status = IBV_WC_LOC_PROT_ERR;
		judge(m, "the source of an RDMA WRITE", status,
		      m->readable ? IBV_WC_SUCCESS : IBV_WC_LOC_PROT_ERR);
	}
	judge(m, "where an RDMA READ lands",
	      odp_rdma(&o, IBV_WR_RDMA_READ, bad(m, 0), other, ODP_PAGE),
	      IBV_WC_LOC_PROT_ERR);
	judge(m, "where a FETCH_ADD lands",
	      qp_atomic(&o, IBV_WR_ATOMIC_FETCH_AND_ADD, bad(m, 0), other, 0, 1),
	      IBV_WC_LOC_PROT_ERR);
}

/* Both ends get an error; which one is the provider's. */
static void receive_case(struct memory *m)
{
	struct ibv_sge to = { .addr = bad(m, 0).addr, .length = ODP_PAGE,
			      .lkey = m->mr->lkey };
	struct ibv_sge from = { .addr = (uintptr_t)bounce->addr,
				.length = ODP_PAGE, .lkey = bounce->lkey };
	struct ibv_recv_wr receive = { .wr_id = 1, .sg_list = &to, .num_sge = 1 };
	struct ibv_send_wr send = { .wr_id = 2, .sg_list = &from, .num_sge = 1,
				    .opcode = IBV_WR_SEND,
				    .send_flags = IBV_SEND_SIGNALED };
	enum ibv_wc_status status[3] = {};
	struct ibv_recv_wr *none;
	char what[120], text[200];
	bool pass;

	if (ibv_post_recv(o.peer, &receive, &none))
		odp_die(0, "ibv_post_recv");
	odp_post(&o, &send);
	for (int i = 0; i < 2; i++) {
		struct ibv_wc wc = odp_wait_wc(&o);

		status[wc.wr_id] = wc.status;
	}
	pass = (status[1] == IBV_WC_LOC_PROT_ERR ||
		status[1] == IBV_WC_LOC_QP_OP_ERR) &&
	       status[2] == IBV_WC_REM_OP_ERR && works_again(m) &&
	       neighbours_intact(m);
	snprintf(what, sizeof(what), "%s, where a SEND lands", m->name);
	snprintf(text, sizeof(text), "receiver: %s, sender: %s",
		 ibv_wc_status_str(status[1]), ibv_wc_status_str(status[2]));
	result_is(pass, what, text);
}

static void prefetch_case(struct memory *m)
{
	char text[120];

	snprintf(text, sizeof(text), "%s, prefetch for writing", m->name);
	result_errno(text, odp_prefetch(&o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
					m->mr, BAD * ODP_PAGE, ODP_PAGE),
		   WANT(EFAULT, EPERM));
}

static void cases(struct memory *m)
{
	const int access = ODP_RW | IBV_ACCESS_REMOTE_ATOMIC |
			   IBV_ACCESS_ON_DEMAND;

	m->mr = odp_reg(&o, m->addr, LEN, access);
	prefetch_case(m);
	remote_cases(m);
	local_cases(m);
	receive_case(m);
	ibv_dereg_mr(m->mr);
	munmap(m->addr, LEN);
}

/* PAGES of memory, filled. What is to become bad is done to its BAD page. */
static unsigned char *fresh(void)
{
	unsigned char *addr = odp_map(LEN);

	for (int page = 0; page < PAGES; page++)
		odp_stamp(addr + page * ODP_PAGE, ODP_PAGE, page, OLD);
	return addr;
}

static unsigned char *put(unsigned char *addr, int prot, int flags, int fd,
			  off_t offset)
{
	if (mmap(addr + BAD * ODP_PAGE, ODP_PAGE, prot, flags | MAP_FIXED, fd,
		 offset) == MAP_FAILED)
		return NULL;
	return addr;
}

static void anonymous_memory(void)
{
	struct memory m = { .name = "read-only memory", .addr = fresh(),
			    .readable = true };

	mprotect(m.addr + BAD * ODP_PAGE, ODP_PAGE, PROT_READ);
	cases(&m);
	m = (struct memory){ .name = "PROT_NONE memory", .addr = fresh() };
	mprotect(m.addr + BAD * ODP_PAGE, ODP_PAGE, PROT_NONE);
	cases(&m);
	m = (struct memory){ .name = "a hole", .addr = fresh() };
	munmap(m.addr + BAD * ODP_PAGE, ODP_PAGE);
	cases(&m);
}

static void file_memory(void)
{
	struct memory m = { .name = "a read-only file", .addr = fresh(),
			    .readable = true };
	char path[] = "/var/tmp/rxe_bad_memory.XXXXXX";
	int fd = mkstemp(path), readable = open(path, O_RDONLY);

	if (fd < 0 || readable < 0 || ftruncate(fd, 2 * ODP_PAGE) ||
	    write(fd, m.addr + BAD * ODP_PAGE, ODP_PAGE) != ODP_PAGE)
		odp_die(errno, "%s", path);
	unlink(path);
	if (!put(m.addr, PROT_READ, MAP_SHARED, readable, 0))
		odp_die(errno, "mmap of a read-only file");
	cases(&m);
	m = (struct memory){ .name = "a file's mapping beyond its end",
			     .addr = fresh() };
	if (!put(m.addr, PROT_READ | PROT_WRITE, MAP_SHARED, fd, ODP_PAGE) ||
	    ftruncate(fd, ODP_PAGE))
		odp_die(errno, "mmap of a file");
	cases(&m);
	close(readable);
	close(fd);
}

/* The kernel tells the owner, whom it kills if he does not listen. */
static void told(int sig)
{
	(void)sig;
}

/* Poisoned before the device knows it, and when the device has it mapped. */
static void poisoned_memory(bool warm)
{
	struct memory m = {
		.name = warm ? "a page poisoned after RDMA to it" : "a poisoned page",
		.addr = fresh(),
	};
	struct ibv_mr *mr = NULL;

	if (warm) {
		mr = odp_reg(&o, m.addr, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
		if (odp_rdma(&o, IBV_WR_RDMA_WRITE, odp_at(bounce, 0),
			     odp_at(mr, BAD * ODP_PAGE), o.chunk))
			odp_die(0, "RDMA WRITE before the page is poisoned");
	}
	signal(SIGBUS, told);
	if (madvise(m.addr + BAD * ODP_PAGE, ODP_PAGE, MADV_HWPOISON)) {
		result_skip(m.name, strerror(errno));
		return;
	}
	signal(SIGBUS, SIG_DFL);
	if (warm) {
		m.mr = mr;
		judge(&m, "RDMA WRITE to the region that had it",
		      rdma(IBV_WR_RDMA_WRITE, bad(&m, 0), o.chunk),
		      IBV_WC_REM_ACCESS_ERR);
		ibv_dereg_mr(mr);
	}
	cases(&m);
}

static void shadow_stack(void)
{
	struct memory m = { .name = "a shadow stack", .addr = fresh(),
			    .only_writes = true };
	void *at = m.addr + BAD * ODP_PAGE;

	munmap(at, ODP_PAGE);
	if ((void *)syscall(__NR_map_shadow_stack, at, ODP_PAGE, 0) != at) {
		result_skip(m.name, errno == EOPNOTSUPP ?
			  "this processor, or kernel, has none" : strerror(errno));
		return;
	}
	cases(&m);
}

/* A BAR of a PCI device that no driver has, and that can be mapped. */
static int open_bar(void)
{
	glob_t found;
	int fd = -1;

	if (glob("/sys/bus/pci/devices/*/resource[0-9]", 0, NULL, &found))
		return -1;
	for (size_t i = 0; i < found.gl_pathc && fd < 0; i++) {
		char driver[200];
		void *try;

		snprintf(driver, sizeof(driver), "%.*s/driver",
			 (int)(strrchr(found.gl_pathv[i], '/') -
			       found.gl_pathv[i]), found.gl_pathv[i]);
		if (!access(driver, F_OK))
			continue;
		fd = open(found.gl_pathv[i], O_RDWR);
		try = mmap(NULL, ODP_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, 0);
		if (try == MAP_FAILED) {
			close(fd);
			fd = -1;
		} else {
			munmap(try, ODP_PAGE);
		}
	}
	globfree(&found);
	return fd;
}

static void device_memory(void)
{
	struct memory m = { .name = "memory of a PCI device", .addr = fresh() };
	int fd = open_bar();

	if (fd < 0 || !put(m.addr, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {
		result_skip(m.name, "no BAR can be mapped");
		return;
	}
	cases(&m);
	close(fd);
}

static void secret_memory(void)
{
	struct memory m = { .name = "memory of memfd_secret", .addr = fresh() };
	int fd = syscall(SYS_memfd_secret, 0);

	if (fd < 0 || ftruncate(fd, ODP_PAGE) ||
	    !put(m.addr, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {
		result_skip(m.name, strerror(errno));
		return;
	}
	/* Present, so that nothing but its kind keeps the device away */
	m.addr[BAD * ODP_PAGE] = 1;
	cases(&m);
	close(fd);
}

int main(int argc, char **argv)
{
	odp_open(&device);
	qp_open(&o, &device, (struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
	bounce = odp_reg(&o, odp_map(LEN), LEN, ODP_RW | IBV_ACCESS_REMOTE_ATOMIC);
	anonymous_memory();
	file_memory();
	poisoned_memory(false);
	poisoned_memory(true);
	shadow_stack();
	device_memory();
	if (argc > 1 && !strcmp(argv[1], "secret"))
		secret_memory();
	ibv_dereg_mr(bounce);
	qp_close(&o);
	odp_close(&device);
	return ODP_OK;
}
