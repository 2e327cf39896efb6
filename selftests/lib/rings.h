/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rings that rxe shares with a process: its own, to be written to behind the back of
 * libibverbs.
 */
#ifndef RINGS_H
#define RINGS_H

#include <infiniband/verbs.h>
#include <rdma/rdma_user_rxe.h>
#include <stdint.h>

struct ring {
	struct rxe_queue_buf *buf;
	uint32_t mask, shift;	/* as the kernel made them */
};

/*
 * Finds the rings that were mapped since the last call, in the order in which the kernel
 * made them: of a queue pair, that of its send queue first. Exits if there are not so many.
 */
void rings_find(struct ring *rings, unsigned int count);

static inline void *ring_slot(const struct ring *ring, uint32_t index)
{
	return ring->buf->data + ((size_t)(index & ring->mask) << ring->shift);
}

static inline uint32_t ring_producer(const struct ring *ring)
{
	return __atomic_load_n(&ring->buf->producer_index, __ATOMIC_RELAXED);
}

static inline uint32_t ring_consumer(const struct ring *ring)
{
	return __atomic_load_n(&ring->buf->consumer_index, __ATOMIC_ACQUIRE);
}

static inline void ring_set_producer(const struct ring *ring, uint32_t index)
{
	__atomic_store_n(&ring->buf->producer_index, index, __ATOMIC_RELEASE);
}

/* One more. */
static inline void ring_push(const struct ring *ring)
{
	ring_set_producer(ring, (ring_producer(ring) + 1) & ring->mask);
}

/* Has the kernel look at the send queue. Returns an errno. */
int ring_doorbell(struct ibv_qp *qp);

#endif
