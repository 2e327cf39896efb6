// SPDX-License-Identifier: GPL-2.0
/*
 * A process in a memory cgroup has soft-RoCE keep as much as it can. The memory that goes
 * is measured from outside of the cgroup, until it has all that it wants, or gets no more.
 *
 * rxe_charge CGROUP LIMIT KIND: LIMIT is the cgroup's, in MiB. Exit status 1: more is kept.
 * rxe_charge CGROUP 0 KIND: what one object costs beside what it is charged for.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/odp.h"
#include "lib/qp.h"
#include "lib/uffd.h"

#define MIB		(1024 * 1024UL)
#define WANTED		(192 * MIB)
#define SLACK_MIB	32	/* what the kernel's core keeps of objects, and noise */
#define SLOW_SLACK_MIB	64	/* where what looks for bugs keeps some beside each */
#define MANY		20000	/* objects, of which one is measured */
#define WRITTEN		(128 * 1024)	/* at once: what has not been acknowledged is no more */
#define READ		MIB
#define WINDOW		(2 * MIB)
#define REGION_WINDOWS	512
#define REGION		(REGION_WINDOWS * WINDOW)
#define BUFFER		(8 * MIB)
#define LONG_QUEUE	8191
#define LONGEST_QUEUE	32767

struct keeper {
	struct odp o;
	unsigned char *buffer, *held;
	struct ibv_mr *mr, *held_mr;
	unsigned int made;
};

static struct ibv_mr *register_buffer(struct keeper *k)
{
	k->buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k->buffer == MAP_FAILED)
		odp_die(errno, "mmap");
	madvise(k->buffer, BUFFER, MADV_HUGEPAGE);
	memset(k->buffer, 1, BUFFER);
	return odp_reg(&k->o, k->buffer, BUFFER, ODP_RW);
}

static bool keep_cq(struct keeper *k)
{
	return ibv_create_cq(k->o.ctx, LONGEST_QUEUE, NULL, NULL, 0);
}

static bool keep_srq(struct keeper *k)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = LONGEST_QUEUE, .max_sge = 1 } };

	return ibv_create_srq(k->o.pd, &init);
}

static bool keep_qp(struct keeper *k)
{
	struct ibv_qp_init_attr init = {
		.send_cq = k->o.cq,
		.recv_cq = k->o.cq,
		.qp_type = IBV_QPT_RC,
		.cap = { LONG_QUEUE, LONG_QUEUE, 1, 1, 0 },
	};

	return ibv_create_qp(k->o.pd, &init);
}

static bool keep_mr(struct keeper *k)
{
	if (!k->mr)
		k->mr = register_buffer(k);
	return ibv_reg_mr(k->o.pd, k->buffer, BUFFER, ODP_RW);
}

/* Pages of zeroes, which are nobody's: one in each window of a region. */
static bool keep_window(struct keeper *k)
{
	const unsigned int window = k->made % REGION_WINDOWS;

	if (!k->buffer) {
		k->buffer = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (k->buffer == MAP_FAILED)
			odp_die(errno, "mmap");
		madvise(k->buffer, REGION, MADV_NOHUGEPAGE);
	}
	if (!window)
		k->mr = odp_reg(&k->o, k->buffer, REGION, ODP_RW | IBV_ACCESS_ON_DEMAND);
	return !odp_prefetch(&k->o, IBV_ADVISE_MR_ADVICE_PREFETCH, k->mr, window * WINDOW,
			     ODP_PAGE);
}

static void hold(struct keeper *k)
{
	k->mr = register_buffer(k);
	k->held = odp_map(WANTED);
	uffd_watch(uffd_open(), k->held, WANTED);
	k->held_mr = odp_reg(&k->o, k->held, WANTED, ODP_RW | IBV_ACCESS_ON_DEMAND);
}

/* Packets for a queue pair that waits for a page which nobody serves. */
static bool keep_packets(struct keeper *k, enum ibv_wr_opcode opcode, size_t len)
{
	struct odp *pair = malloc(sizeof(*pair));
	struct odp_side held, buffer, local, remote;
	struct ibv_send_wr wr = { .num_sge = 1, .opcode = opcode };
	struct ibv_sge sge;

	if (!k->mr)
		hold(k);
	held = odp_at(k->held_mr, k->made * len);
	buffer = odp_at(k->mr, 0);
	local = opcode == IBV_WR_RDMA_READ ? held : buffer;
	remote = opcode == IBV_WR_RDMA_READ ? buffer : held;
	sge = (struct ibv_sge){ local.addr, len, local.key };
	wr.sg_list = &sge;
	wr.wr.rdma.remote_addr = remote.addr;
	wr.wr.rdma.rkey = remote.key;
	qp_open(pair, &k->o, (struct qp_options){ IBV_QPT_RC, 1, 0, NULL });
	odp_post(pair, &wr);
	usleep(len / 50);
	return true;
}

static bool keep_written(struct keeper *k)
{
	return keep_packets(k, IBV_WR_RDMA_WRITE, WRITTEN);
}

static bool keep_read(struct keeper *k)
{
	return keep_packets(k, IBV_WR_RDMA_READ, READ);
}

static bool keep_pd(struct keeper *k)
{
	return ibv_alloc_pd(k->o.ctx);
}

static bool keep_mw(struct keeper *k)
{
	return ibv_alloc_mw(k->o.pd, IBV_MW_TYPE_2);
}

static const struct kind {
	const char *name;
	bool (*keep)(struct keeper *k);
	unsigned long bytes;	/* that one has the kernel keep, at least */
} kinds[] = {
	{ "completion queues", keep_cq, LONGEST_QUEUE * 64UL },
	{ "shared receive queues", keep_srq, LONGEST_QUEUE * 64UL },
	{ "queue pairs", keep_qp, LONG_QUEUE * 256UL },
	{ "memory regions", keep_mr, BUFFER / ODP_PAGE * 16 },
	{ "windows of a region", keep_window, 4096 },
	{ "packets to queue pairs that wait", keep_written, WRITTEN },
	{ "packets that answer queue pairs that wait", keep_read, READ },
	{ "a protection domain", keep_pd, WANTED / MANY },
	{ "a memory window", keep_mw, WANTED / MANY },
};

static unsigned long number_in(const char *path, const char *format)
{
	unsigned long number;
	char line[200];
	FILE *file = fopen(path, "re");

	if (!file)
		odp_die(errno, "%s", path);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, format, &number) == 1) {
			fclose(file);
			return number;
		}
	odp_die(0, "%s does not say %s", path, format);
}

static unsigned long available(void)
{
	return number_in("/proc/meminfo", "MemAvailable: %lu kB") * 1024;
}

/* The least there is until @fd has something to say; what that is, or 'k' for nothing. */
static char least_until(int fd, unsigned long *least)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char byte = 'k';

	while (poll(&ready, 1, 10) == 0) {
		unsigned long now = available();

		*least = now < *least ? now : *least;
	}
	if (read(fd, &byte, 1) < 0)
		odp_die(errno, "pipe");
	return byte;
}

/* What there is when that does not change: who was before is still being freed. */
static unsigned long available_at_rest(void)
{
	unsigned long before, now = available();

	do {
		before = now;
		usleep(2000000);
		now = available();
	} while (before > now + MIB || now > before + MIB);
	return now;
}

/* In the cgroup. One byte says that it is ready, the next how it ended. */
__attribute__((noreturn))
static void keep(const struct kind *kind, const char *group, int ready, int go)
{
	struct keeper k = {};
	char path[300], byte = 'r';
	FILE *file;

	odp_open(&k.o);
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%d", getpid()) < 0 || fclose(file))
		odp_die(errno, "%s", path);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		odp_die(errno, "pipe");
	byte = 'a';
	while (byte == 'a' && k.made * kind->bytes < WANTED) {
		if (kind->keep(&k))
			k.made++;
		else
			byte = 'n';
	}
	if (write(ready, &byte, 1) != 1)
		odp_die(errno, "pipe");
	pause();
	_exit(ODP_ERROR);
}

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	odp_die(0, "no kind '%s'", name);
}

static int verdict(const struct kind *kind, unsigned long limit, long kept, long charged)
{
	const unsigned long slack = odp_env("ODP_SLOW", 1) > 1 ? SLOW_SLACK_MIB : SLACK_MIB;

	if (limit)
		return kept > (long)((limit + slack) * MIB) ? ODP_DEFECT : ODP_OK;
	printf("figure %s, beside what is charged: %ld bytes\n", kind->name,
	       (kept - charged) / MANY);
	return ODP_OK;
}

int main(int argc, char **argv)
{
	const struct kind *kind = find_kind(argc == 4 ? argv[3] : "");
	const unsigned long limit = strtoul(argv[2], NULL, 0);
	int ready[2], go[2], status = 0;
	char path[300], end = 'k';
	unsigned long before, least, now;
	long kept, charged;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/memory.current", argv[1]);
	if (pipe(ready) || pipe(go))
		odp_die(errno, "pipe");
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		close(ready[0]);
		keep(kind, argv[1], ready[1], go[0]);
	}
	close(ready[1]);
	if (read(ready[0], &end, 1) != 1)
		odp_die(0, "the process does not begin");
	before = available_at_rest();
	charged = number_in(path, "%lu");
	least = before;
	if (write(go[1], &end, 1) != 1)
		odp_die(errno, "pipe");
	/* It is killed for want of memory if it does not say more */
	end = least_until(ready[0], &least);
	charged = (long)number_in(path, "%lu") - charged;
	/* Packets may be under way */
	now = end == 'k' ? least : available_at_rest();
	kept = before - (now < least ? now : least);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	printf("%s: %ld MiB kept, %ld MiB charged, of %lu MiB that were wanted: %s\n", kind->name,
	       kept / (long)MIB, charged / (long)MIB, WANTED / MIB,
	       end == 'a' ? "it has all" : end == 'n' ? "it gets no more" : "it was killed");
	return verdict(kind, limit, kept, charged);
}
