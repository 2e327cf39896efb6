/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the clients share: one device, an RC queue pair and its peer on the same
 * device, ODP memory regions, and RDMA that is waited for.
 *
 * Exit status of a client: 0 nothing wrong was seen, 1 the defect was seen,
 * 2 the client could not do its work, 4 something it needs is missing.
 */
#ifndef ODP_H
#define ODP_H

#include <infiniband/verbs.h>
#include <rdma/ib_user_verbs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ODP_PAGE	4096UL
#define ODP_DEPTH	32	/* work requests in flight, of each kind */
#define ODP_SGES	4	/* of a work request */

#define ODP_RW	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
		 IBV_ACCESS_REMOTE_READ)

#define ODP_QP_ACCESS	(ODP_RW | IBV_ACCESS_REMOTE_ATOMIC | \
			 IBV_ACCESS_FLUSH_GLOBAL | IBV_ACCESS_FLUSH_PERSISTENT)

enum odp_exit { ODP_OK = 0, ODP_DEFECT = 1, ODP_ERROR = 2, ODP_SKIP = 4 };

struct odp {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp, *peer;	/* requester, responder */
	union ibv_gid gid;
	int gid_index;
	enum ibv_mtu mtu;
	unsigned int ack_timeout;	/* as in ibv_qp_attr; 0: 17 s */
	unsigned int retries;		/* 0: 7, which for rxe is for ever */
	/*
	 * Bytes of a page that one packet carries. Stock rxe puts the data of
	 * an ODP region at the start of the page whatever the offset is, so
	 * only messages of one packet at a page's start are placed right.
	 */
	size_t chunk;
};

/* A sentence on stderr (with errno's text if err), then exit(ODP_ERROR). */
__attribute__((noreturn, format(printf, 2, 3)))
void odp_die(int err, const char *fmt, ...);

/* Opens $ODP_DEV (rxe0), exits with ODP_SKIP if there is none. */
void odp_open(struct odp *o);
void odp_close(struct odp *o);

/* Brings the queue pairs to RTS, from any state: call it again after an error. */
void odp_connect(struct odp *o);

/* The same for any two RC queue pairs; their send CQ is emptied. */
void odp_connect_qps(struct odp *o, struct ibv_qp *qp, struct ibv_qp *peer);

/* One end, to a queue pair of that number on the same device. */
void odp_connect_to(struct odp *o, struct ibv_qp *qp, uint32_t peer);

/* Registers memory or exits. IBV_ACCESS_ON_DEMAND in access makes it ODP. */
struct ibv_mr *odp_reg(struct odp *o, void *addr, size_t len, int access);

/* librxe lacks ibv_rereg_mr, the driver does not: the command itself. Returns an errno. */
int odp_rereg_mr(struct odp *o, const struct ib_uverbs_rereg_mr *rereg);

/* Anonymous memory without huge pages. */
void *odp_map(size_t len);

/* Copy-on-write: a fork takes the right to write away, the child's end returns it. */
void odp_share_with_child(void);

/* One side of a transfer: an address and the key that goes with it. */
struct odp_side {
	uint64_t addr;
	uint32_t key;
};

static inline struct odp_side odp_at(struct ibv_mr *mr, size_t offset)
{
	return (struct odp_side){ (uintptr_t)mr->addr + offset, mr->lkey };
}

/* One RDMA READ or WRITE, waited for. */
enum ibv_wc_status odp_rdma(struct odp *o, enum ibv_wr_opcode op,
			    struct odp_side local, struct odp_side remote,
			    size_t len);

/* The two halves of it, for what needs more: work requests must be signalled. */
void odp_post(struct odp *o, struct ibv_send_wr *wr);
struct ibv_wc odp_wait_wc(struct odp *o);

/*
 * The same for count pages from first on: len bytes at the start of each page
 * of remote, and at each stride of local. Returns the first status that is not
 * a success (the queue pairs then want odp_connect).
 */
enum ibv_wc_status odp_rdma_pages(struct odp *o, enum ibv_wr_opcode op,
				  struct ibv_mr *local, size_t stride,
				  struct ibv_mr *remote, size_t first,
				  size_t count, size_t len);

/* One synchronous ibv_advise_mr range: 0 or an errno. */
int odp_prefetch(struct odp *o, enum ibv_advise_mr_advice advice,
		 struct ibv_mr *mr, size_t offset, size_t len);

/*
 * Waits until prefetches of a region fail, as they must once the memory of the
 * process that registered it has gone, a moment after its files.
 */
void odp_await_owner_end(struct odp *o, struct ibv_mr *mr, size_t len);

/*
 * A page that another processor has in its list of pages for the LRU is copied where it
 * could be upgraded, and is not swapped out.
 */
void odp_stay_on_processor(void);

/* $NAME as a number, or def. */
unsigned long odp_env(const char *name, unsigned long def);

/* $SEED or a fresh seed, printed; to be given to nrand48(). */
void odp_seed(unsigned short state[3]);

/* A number below n (n > 0). */
static inline unsigned long odp_random(unsigned short state[3], unsigned long n)
{
	return (unsigned long)nrand48(state) % n;
}

/* Fills len bytes with a pattern that tells pages and stamps apart; checks it. */
void odp_stamp(void *addr, size_t len, uint64_t page, uint64_t stamp);
bool odp_stamped(const void *addr, size_t len, uint64_t page, uint64_t stamp);

#endif
