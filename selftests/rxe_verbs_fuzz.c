// SPDX-License-Identifier: GPL-2.0
/*
 * Random verbs as the kernel gets them, from threads of processes that come and go:
 * commands by write() and by ioctl(), with right arguments and wrong ones, handles of other
 * kinds, and objects that are destroyed amid use by another thread; and work for queue
 * pairs of libibverbs, whose handles are among them.
 *
 * rxe_verbs_fuzz CALLS     prints "count MADE ACCEPTED OPERATION" for each
 * rxe_verbs_fuzz mtu       whether a path MTU of 0, or above the device's, is refused
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/patience.h"
#include "lib/verbs_fuzz.h"

#define PROCESSES	2	/* at a time */
#define THREADS		3	/* of a process */
#define CALLS		600UL	/* of a thread */
#define GONE_S		60	/* until a process is gone, at the latest */

static void *run_thread(void *argument)
{
	struct fuzz_thread *t = argument;

	for (unsigned long i = 0; i < CALLS; i++)
		fuzz_call(t);
	return NULL;
}

/* Leaves all that it has made to the kernel. */
static void run_process(struct fuzz_counts *counts, unsigned long seed)
{
	static struct fuzz fuzz;
	struct fuzz_thread threads[THREADS];

	fuzz_open(&fuzz, counts);
	for (unsigned int i = 0; i < THREADS; i++) {
		threads[i] = (struct fuzz_thread){
			.f = &fuzz,
			.rnd = { 0x330e, seed * THREADS + i, seed >> 16 },
		};
		if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]))
			odp_die(errno, "pthread_create");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i].id, NULL);
	_exit(ODP_OK);
}

static pid_t start(struct fuzz_counts *counts, unsigned long seed)
{
	const pid_t pid = fork();

	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_process(counts, seed);
	}
	return pid;
}

/* One in four is killed amid it. */
static void end(pid_t pid, unsigned short rnd[3], unsigned long slow)
{
	if (!odp_random(rnd, 4)) {
		usleep(odp_random(rnd, 1500000));
		kill(pid, SIGKILL);
	}
	if (!patience_gone(pid, GONE_S * slow)) {
		printf("process %d does not end\n", pid);
		exit(ODP_DEFECT);
	}
}

static int fuzz(unsigned long calls)
{
	const unsigned long slow = odp_env("ODP_SLOW", 1);
	unsigned short rnd[3];
	unsigned long seed, rounds = calls / (PROCESSES * THREADS * CALLS) + 1;
	struct fuzz_counts *counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (counts == MAP_FAILED)
		odp_die(errno, "mmap");
	odp_seed(rnd);
	seed = rnd[1] | (unsigned long)rnd[2] << 16;
	for (unsigned long round = 0; round < rounds; round++) {
		pid_t pids[PROCESSES];

		for (unsigned int i = 0; i < PROCESSES; i++)
			pids[i] = start(counts, seed + round * PROCESSES + i);
		for (unsigned int i = 0; i < PROCESSES; i++)
			end(pids[i], rnd, slow);
	}
	for (unsigned int i = 0; i < FUZZ_OPERATIONS; i++)
		printf("count %lu %lu %s\n", atomic_load(&counts->made[i]),
		       atomic_load(&counts->accepted[i]), fuzz_names[i]);
	return ODP_OK;
}

/* --- a path MTU ----------------------------------------------------------------------------- */

static int mtu(void)
{
	static const unsigned int wrong[] = { 0, IBV_MTU_4096 + 1, 255 };
	unsigned int accepted = 0;
	struct odp o = {};

	odp_open(&o);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct ibv_qp_attr attr = {
			.qp_state = IBV_QPS_RTR,
			.path_mtu = wrong[i],
			.ah_attr = {
				.is_global = 1,
				.port_num = 1,
				.grh = { .dgid = o.gid, .sgid_index = o.gid_index },
			},
		};
		struct ibv_qp_attr init = { .qp_state = IBV_QPS_INIT, .port_num = 1 };
		struct ibv_qp_attr reset = { .qp_state = IBV_QPS_RESET };
		int err = ibv_modify_qp(o.qp, &reset, IBV_QP_STATE) ?:
			  ibv_modify_qp(o.qp, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
					IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);

		if (err)
			odp_die(err, "ibv_modify_qp to INIT");
		err = ibv_modify_qp(o.qp, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
				    IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				    IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
		printf("path MTU %u: %s\n", wrong[i], err ? strerror(err) : "accepted");
		accepted += !err;
	}
	odp_close(&o);
	return accepted ? ODP_DEFECT : ODP_OK;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2)
		odp_die(0, "usage: rxe_verbs_fuzz CALLS|mtu");
	return strcmp(argv[1], "mtu") ? fuzz(strtoul(argv[1], NULL, 0)) : mtu();
}
