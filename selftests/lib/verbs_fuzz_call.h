/* SPDX-License-Identifier: GPL-2.0 */
/* What random verbs are made of: values, and the two ways to the kernel. */
#ifndef VERBS_FUZZ_CALL_H
#define VERBS_FUZZ_CALL_H

#include <errno.h>
#include <rdma/rdma_user_ioctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "verbs_fuzz.h"

#define LEN		(FUZZ_PAGES * ODP_PAGE)
#define ANSWER		512	/* bytes that a command may answer, with the driver's */
#define ATTRIBUTES	8

/* --- values ---------------------------------------------------------------------------------- */

static inline bool one_in(struct fuzz_thread *t, unsigned long n)
{
	return !odp_random(t->rnd, n);
}

static inline uint64_t any64(struct fuzz_thread *t)
{
	const uint64_t value = (uint64_t)nrand48(t->rnd) << 33 ^
			       (uint64_t)nrand48(t->rnd) << 11 ^ nrand48(t->rnd);

	return value >> odp_random(t->rnd, 64);
}

/* As a rule a small number, and any now and then. */
static inline uint32_t number(struct fuzz_thread *t, uint32_t below)
{
	return one_in(t, 12) ? any64(t) : odp_random(t->rnd, below);
}

static inline uint32_t handle(struct fuzz_thread *t, enum fuzz_kind kind)
{
	if (one_in(t, 15))
		return number(t, 100);
	if (one_in(t, 15))
		kind = odp_random(t->rnd, FUZZ_KINDS);
	return atomic_load(&t->f->handles[kind][odp_random(t->rnd, FUZZ_HANDLES)]);
}

static inline void remember(struct fuzz_thread *t, enum fuzz_kind kind, uint32_t handle)
{
	atomic_store(&t->f->handles[kind][odp_random(t->rnd, FUZZ_HANDLES)], handle);
}

static inline uint32_t key(struct fuzz_thread *t)
{
	return one_in(t, 12) ? any64(t) :
	       atomic_load(&t->f->keys[odp_random(t->rnd, FUZZ_HANDLES)]);
}

static inline uint64_t address(struct fuzz_thread *t)
{
	return one_in(t, 20) ? any64(t) : (uintptr_t)t->f->memory + odp_random(t->rnd, LEN);
}

static inline uint64_t length(struct fuzz_thread *t)
{
	return one_in(t, 15) ? any64(t) : odp_random(t->rnd, one_in(t, 2) ? 300 : LEN);
}

static inline uint32_t access_flags(struct fuzz_thread *t)
{
	uint32_t flags = ODP_RW | IBV_ACCESS_MW_BIND | IBV_ACCESS_REMOTE_ATOMIC;

	if (one_in(t, 2))
		flags |= IBV_ACCESS_ON_DEMAND;
	return one_in(t, 4) ? flags ^ 1U << odp_random(t->rnd, 12) : flags;
}

static inline void any_destination(struct fuzz_thread *t, void *gid, uint8_t *index)
{
	memcpy(gid, &t->f->o.gid, 16);
	if (one_in(t, 10))
		((uint8_t *)gid)[odp_random(t->rnd, 16)] ^= 1U << odp_random(t->rnd, 8);
	*index = one_in(t, 12) ? number(t, 256) : (unsigned int)t->f->o.gid_index;
}

/* --- the two ways to the kernel -------------------------------------------------------------- */

/* A command by write(), its structure at command; answer has ANSWER bytes. Returns an errno. */
static inline int command(struct fuzz_thread *t, uint32_t which, void *core, size_t len,
			  void *answer)
{
	struct {
		struct ib_uverbs_cmd_hdr header;
		char body[ANSWER];
	} call = { .header = { .command = which } };
	const bool is_odd = one_in(t, 40);
	const size_t more = one_in(t, 3) ? 8 : 0;	/* the driver's */

	memcpy(call.body, core, len);
	memcpy(call.body + len, &(uint64_t){ one_in(t, 2) ? any64(t) : (uintptr_t)answer }, 8);
	call.header.in_words = (sizeof(call.header) + len + more) / 4 + (is_odd ? number(t, 5) : 0);
	call.header.out_words = is_odd ? number(t, ANSWER / 4) : ANSWER / 4;
	memset(answer, 0, ANSWER);
	return write(t->f->o.ctx->cmd_fd, &call, call.header.in_words * 4UL % sizeof(call)) < 0 ?
	       errno : 0;
}

static inline int ioctl_call(struct fuzz_thread *t, unsigned int object, unsigned int method,
			     const struct ib_uverbs_attr *attributes, unsigned int count)
{
	struct {
		struct ib_uverbs_ioctl_hdr header;
		struct ib_uverbs_attr attributes[ATTRIBUTES];
	} call = { .header = {
		.length = sizeof(call.header) + count * sizeof(attributes[0]),
		.object_id = object,
		.method_id = method,
		.num_attrs = count,
		.driver_id = RDMA_DRIVER_RXE,
	} };

	memcpy(call.attributes, attributes, count * sizeof(attributes[0]));
	return ioctl(t->f->o.ctx->cmd_fd, RDMA_VERBS_IOCTL, &call) < 0 ? errno : 0;
}

#define COMMAND(t, which, core, answer) \
	command(t, IB_USER_VERBS_CMD_##which, &(core), sizeof(core), answer)

#endif
