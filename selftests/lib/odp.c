// SPDX-License-Identifier: GPL-2.0
/* Shared by the clients, see odp.h */

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "odp.h"

#define GID_WAIT_MS	10000
#define WC_WAIT_S	60
/*
 * 4.096 us * 2^22 = 17 s. Nothing is lost on the way back to the same device;
 * an emulated guest that is held up must not send twice, since a READ that comes
 * late to a region that is gone by then breaks the connection.
 */
#define ACK_TIMEOUT	22

void odp_die(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, err ? ": %s\n" : "\n", strerror(err));
	exit(ODP_ERROR);
}

static struct ibv_context *open_device(void)
{
	const char *name = getenv("ODP_DEV") ?: "rxe0";
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *ctx = NULL;

	for (int i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			ctx = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	if (!ctx) {
		fprintf(stderr, "no RDMA device %s\n", name);
		exit(ODP_SKIP);
	}
	return ctx;
}

static bool find_gid(struct odp *o, int entries)
{
	static const unsigned char ipv4[12] = { [10] = 0xff, [11] = 0xff };
	static const union ibv_gid none;
	struct ibv_gid_entry entry;
	bool found = false;

	for (int i = 0; i < entries; i++) {
		if (ibv_query_gid_ex(o->ctx, 1, i, &entry, 0))
			continue;
		if (entry.gid_type != IBV_GID_TYPE_ROCE_V2 ||
		    !memcmp(&entry.gid, &none, sizeof(none)))
			continue;
		/* An MTU below 1280 takes IPv6 away: rather IPv4, if there is one */
		if (found && memcmp(&entry.gid, ipv4, sizeof(ipv4)))
			continue;
		o->gid = entry.gid;
		o->gid_index = i;
		found = true;
	}
	return found;
}

static void query_port(struct odp *o)
{
	struct ibv_port_attr port;
	int err;

	/* A link that was made just now gets its GID a moment later */
	for (int ms = 0; ; ms += 10) {
		err = ibv_query_port(o->ctx, 1, &port);
		if (err)
			odp_die(err, "ibv_query_port");
		if (port.state == IBV_PORT_ACTIVE &&
		    find_gid(o, port.gid_tbl_len))
			break;
		if (ms >= GID_WAIT_MS)
			odp_die(0, "port is not active or has no RoCE v2 GID");
		usleep(10000);
	}
	o->mtu = port.active_mtu;
	o->chunk = 128UL << port.active_mtu;
	if (o->chunk > ODP_PAGE)
		o->chunk = ODP_PAGE;
}

static void modify(struct ibv_qp *qp, struct ibv_qp_attr attr, int mask)
{
	int err = ibv_modify_qp(qp, &attr, mask | IBV_QP_STATE);

	if (err)
		odp_die(err, "ibv_modify_qp to state %d", attr.qp_state);
}

void odp_connect_to(struct odp *o, struct ibv_qp *qp, uint32_t peer)
{
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
	modify(qp, (struct ibv_qp_attr){
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ODP_QP_ACCESS,
	}, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	modify(qp, (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = o->mtu,
		.dest_qp_num = peer,
		.max_dest_rd_atomic = ODP_DEPTH,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = o->gid,
				.sgid_index = o->gid_index,
				.hop_limit = 1,
			},
		},
	}, IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
	   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	modify(qp, (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.timeout = o->ack_timeout ?: ACK_TIMEOUT,
		.retry_cnt = o->retries ?: 7,
		.rnr_retry = 7,
		.max_rd_atomic = ODP_DEPTH,
	}, IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
	   IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

void odp_connect_qps(struct odp *o, struct ibv_qp *qp, struct ibv_qp *peer)
{
	struct ibv_wc wc;

	/*
	 * rxe reports an error a moment before it moves the pair to the error
	 * state, which then comes over the reset. A second one comes after it.
	 */
	for (int i = 0; i < 2; i++) {
		modify(peer, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
		modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
	}
	while (ibv_poll_cq(qp->send_cq, 1, &wc) > 0)
		;
	odp_connect_to(o, peer, qp->qp_num);
	odp_connect_to(o, qp, peer->qp_num);
}

void odp_connect(struct odp *o)
{
	odp_connect_qps(o, o->qp, o->peer);
}

void odp_open(struct odp *o)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.cap = {
			.max_send_wr = ODP_DEPTH,
			.max_recv_wr = ODP_DEPTH,
			.max_send_sge = ODP_SGES,
			.max_recv_sge = ODP_SGES,
		},
	};

	o->ctx = open_device();
	query_port(o);
	o->pd = ibv_alloc_pd(o->ctx);
	if (!o->pd)
		odp_die(errno, "ibv_alloc_pd");
	o->cq = ibv_create_cq(o->ctx, 2 * ODP_DEPTH, NULL, NULL, 0);
	if (!o->cq)
		odp_die(errno, "ibv_create_cq");
	init.send_cq = o->cq;
	init.recv_cq = o->cq;
	o->qp = ibv_create_qp(o->pd, &init);
	o->peer = ibv_create_qp(o->pd, &init);
	if (!o->qp || !o->peer)
		odp_die(errno, "ibv_create_qp");
	odp_connect(o);
}

void odp_close(struct odp *o)
{
	ibv_destroy_qp(o->qp);
	ibv_destroy_qp(o->peer);
	ibv_destroy_cq(o->cq);
	ibv_dealloc_pd(o->pd);
	ibv_close_device(o->ctx);
}

struct ibv_mr *odp_reg(struct odp *o, void *addr, size_t len, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(o->pd, addr, len, access);

	if (!mr)
		odp_die(errno, "ibv_reg_mr of %zu bytes", len);
	return mr;
}

int odp_rereg_mr(struct odp *o, const struct ib_uverbs_rereg_mr *rereg)
{
	struct ib_uverbs_rereg_mr_resp response;
	struct {
		struct ib_uverbs_cmd_hdr header;
		struct ib_uverbs_rereg_mr rereg;
	} command = {
		.header = {
			.command = IB_USER_VERBS_CMD_REREG_MR,
			.in_words = sizeof(command) / 4,
			.out_words = sizeof(response) / 4,
		},
		.rereg = *rereg,
	};

	command.rereg.response = (uintptr_t)&response;
	return write(o->ctx->cmd_fd, &command, sizeof(command)) == sizeof(command) ?
	       0 : errno;
}

void *odp_map(size_t len)
{
	void *addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of %zu bytes", len);
	madvise(addr, len, MADV_NOHUGEPAGE);
	return addr;
}

void odp_post(struct odp *o, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;
	int err = ibv_post_send(o->qp, wr, &bad);

	if (err)
		odp_die(err, "ibv_post_send");
}

static void post(struct odp *o, enum ibv_wr_opcode op, struct odp_side local,
		 struct odp_side remote, size_t len)
{
	struct ibv_sge sge = {
		.addr = local.addr,
		.length = len,
		.lkey = local.key,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = remote.addr, .rkey = remote.key },
	};

	odp_post(o, &wr);
}

struct ibv_wc odp_wait_wc(struct odp *o)
{
	time_t end = 0;
	struct ibv_wc wc;

	for (unsigned int i = 1; ; i++) {
		int n = ibv_poll_cq(o->cq, 1, &wc);

		if (n < 0)
			odp_die(0, "ibv_poll_cq failed");
		if (n)
			return wc;
		sched_yield();
		if (i % 1024)
			continue;
		if (!end)
			end = time(NULL) + WC_WAIT_S;
		else if (time(NULL) > end)
			odp_die(0, "no completion in %d s", WC_WAIT_S);
	}
}

enum ibv_wc_status odp_rdma(struct odp *o, enum ibv_wr_opcode op,
			    struct odp_side local, struct odp_side remote,
			    size_t len)
{
	post(o, op, local, remote, len);
	return odp_wait_wc(o).status;
}

enum ibv_wc_status odp_rdma_pages(struct odp *o, enum ibv_wr_opcode op,
				  struct ibv_mr *local, size_t stride,
				  struct ibv_mr *remote, size_t first,
				  size_t count, size_t len)
{
	enum ibv_wc_status status, result = IBV_WC_SUCCESS;
	size_t posted = 0, done = 0;

	while (done < count) {
		while (posted < count && posted - done < ODP_DEPTH &&
		       result == IBV_WC_SUCCESS) {
			post(o, op, odp_at(local, (first + posted) * stride),
			     odp_at(remote, (first + posted) * ODP_PAGE), len);
			posted++;
		}
		if (done == posted)
			break;
		status = odp_wait_wc(o).status;
		if (result == IBV_WC_SUCCESS)
			result = status;
		done++;
	}
	return result;
}

int odp_prefetch(struct odp *o, enum ibv_advise_mr_advice advice,
		 struct ibv_mr *mr, size_t offset, size_t len)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)mr->addr + offset,
		.length = len,
		.lkey = mr->lkey,
	};

	return ibv_advise_mr(o->pd, advice, IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);
}

void odp_await_owner_end(struct odp *o, struct ibv_mr *mr, size_t len)
{
	int err;

	for (int ms = 0; ; ms++) {
		err = odp_prefetch(o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, mr, 0, len);
		if (err)
			break;
		if (ms > 5000)
			odp_die(0, "the region outlives its memory");
		usleep(1000);
	}
	if (err != EINVAL && err != EFAULT)
		odp_die(err, "prefetch without an owner");
}

unsigned long odp_env(const char *name, unsigned long def)
{
	const char *text = getenv(name);
	char *end;
	unsigned long value;

	if (!text || !*text)
		return def;
	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || *end)
		odp_die(0, "%s=%s is not a number", name, text);
	return value;
}

void odp_seed(unsigned short state[3])
{
	uint32_t fresh;
	unsigned long seed;

	if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
		odp_die(errno, "getrandom");
	seed = odp_env("SEED", fresh);
	printf("seed=%lu\n", seed);
	fflush(stdout);
	state[0] = 0x330e;
	state[1] = seed;
	state[2] = seed >> 16;
}

static uint64_t word(uint64_t page, uint64_t stamp, size_t i)
{
	uint64_t x = (page << 40) ^ (stamp << 12) ^ i;

	/* The finalizer of splitmix64: neighbours share no bytes */
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return (x ^ (x >> 31)) | 1;
}

void odp_stamp(void *addr, size_t len, uint64_t page, uint64_t stamp)
{
	uint64_t *p = addr;

	for (size_t i = 0; i < len / sizeof(*p); i++)
		p[i] = word(page, stamp, i);
}

bool odp_stamped(const void *addr, size_t len, uint64_t page, uint64_t stamp)
{
	const uint64_t *p = addr;

	for (size_t i = 0; i < len / sizeof(*p); i++)
		if (p[i] != word(page, stamp, i))
			return false;
	return true;
}

void odp_stay_on_processor(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here))
		odp_die(errno, "sched_setaffinity");
}

void odp_share_with_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid)
		_exit(0);
	if (waitpid(pid, NULL, 0) != pid)
		odp_die(errno, "waitpid");
}
