// SPDX-License-Identifier: GPL-2.0
/*
 * The owner of an ODP region exits, is killed, execs, or leaves the region to a
 * child, while another process works on the region by RDMA.
 *
 * rxe_owner_exit ROUNDS
 *
 * A round has two processes, each with a queue pair: the peer writes and reads
 * the owner's region, and the owner's region is the source of what the owner
 * writes to the peer. The peer must see right data, or an error, and nothing
 * else; the child that inherits must see errors once the memory is gone.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/odp.h"

#define PAGES	64
#define LEN	(PAGES * ODP_PAGE)
#define ROUND_S	60	/* a round that takes longer hangs */
#define ACK	13	/* an ACK timeout of 34 ms: the owner's end goes away */

enum end { EXIT, KILL, EXEC, ORPHAN, ENDS };

static const char *const end_name[ENDS] = { "exit", "kill", "exec", "orphan" };

/* What the two tell each other. */
struct place {
	uint32_t qp_num, key;
	uint64_t addr;
};

struct process {
	struct odp o;
	struct ibv_mr *mr, *local;	/* of ODP, for the other; pinned */
	struct place other;
	int socket;
};

static void tell(int socket, const void *what, size_t len)
{
	if (write(socket, what, len) != (ssize_t)len)
		odp_die(errno, "the other process");
}

static void hear(int socket, void *what, size_t len)
{
	if (read(socket, what, len) != (ssize_t)len)
		odp_die(errno, "the other process");
}

/* Connects o.qp to that of the other process; o.peer is left alone. */
static void join(struct process *p)
{
	struct place here;
	char ready = 'r';

	p->o.ack_timeout = ACK;
	p->o.retries = 6;
	odp_open(&p->o);
	p->mr = odp_reg(&p->o, odp_map(2 * LEN), 2 * LEN,
			ODP_RW | IBV_ACCESS_ON_DEMAND);
	p->local = odp_reg(&p->o, odp_map(LEN), LEN, ODP_RW);
	here = (struct place){ p->o.qp->qp_num, p->mr->rkey,
			       (uintptr_t)p->mr->addr };
	tell(p->socket, &here, sizeof(here));
	hear(p->socket, &p->other, sizeof(p->other));
	odp_connect_to(&p->o, p->o.qp, p->other.qp_num);
	/* Both are ready before one sends */
	tell(p->socket, &ready, 1);
	hear(p->socket, &ready, 1);
}

static enum ibv_wc_status to_other(struct process *p, enum ibv_wr_opcode op,
				   struct odp_side local, size_t offset)
{
	struct odp_side there = { p->other.addr + offset, p->other.key };

	return odp_rdma(&p->o, op, local, there, p->o.chunk);
}

/* Until the owner's end: every page that comes back is the one that went. */
static void peer(struct process *p)
{
	unsigned char *page;
	size_t i = 0;

	join(p);
	page = p->local->addr;
	for (unsigned long stamp = 1; ; stamp++, i = (i + 1) % PAGES) {
		const size_t offset = i * ODP_PAGE;

		odp_stamp(page, p->o.chunk, i, stamp);
		if (to_other(p, IBV_WR_RDMA_WRITE, odp_at(p->local, 0), offset))
			break;
		memset(page, 0, p->o.chunk);
		if (to_other(p, IBV_WR_RDMA_READ, odp_at(p->local, 0), offset))
			break;
		if (!odp_stamped(page, p->o.chunk, i, stamp))
			exit(ODP_DEFECT);
	}
	exit(i ? ODP_OK : ODP_ERROR);
}

/* The memory of the region is gone, the region is not: its use fails. */
static void inherit(struct process *p, int parent_gone)
{
	char c;

	if (read(parent_gone, &c, 1))
		odp_die(0, "the parent wrote to the pipe");
	odp_await_owner_end(&p->o, p->mr, LEN);
	exit(ODP_OK);
}

static void on_exit_signal(int sig)
{
	(void)sig;
	_exit(ODP_OK);
}

static void on_exec_signal(int sig)
{
	(void)sig;
	execl("/bin/true", "true", NULL);
	_exit(ODP_ERROR);
}

/* The second half of the region is the source of its own writes. */
static void owner(struct process *p, enum end how, int ready)
{
	int parent_gone[2];

	signal(SIGUSR1, how == EXEC ? on_exec_signal : on_exit_signal);
	join(p);
	if (how == ORPHAN) {
		if (pipe(parent_gone))
			odp_die(errno, "pipe");
		if (!fork()) {
			close(parent_gone[1]);
			inherit(p, parent_gone[0]);
		}
		close(parent_gone[0]);
	}
	tell(ready, "r", 1);
	for (size_t i = 0; ; i = (i + 1) % PAGES) {
		const size_t offset = i * ODP_PAGE;

		if (to_other(p, IBV_WR_RDMA_WRITE, odp_at(p->mr, LEN + offset),
			     offset))
			pause();
		if (i % 16 == 0)
			madvise((char *)p->mr->addr + LEN, LEN, MADV_DONTNEED);
	}
}

static pid_t start(void (*run)(struct process *, enum end, int), int socket,
		   int other, enum end how, int ready)
{
	struct process p = { .socket = socket };
	pid_t pid = fork();

	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		close(other);
		run(&p, how, ready);
	}
	close(socket);
	return pid;
}

static void run_peer(struct process *p, enum end how, int ready)
{
	(void)how;
	close(ready);
	peer(p);
}

static int ended(pid_t pid, enum end how)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		odp_die(errno, "waitpid");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && how == KILL)
		return ODP_OK;
	if (!WIFEXITED(status))
		odp_die(0, "%s: wait status %#x", end_name[how], status);
	return WEXITSTATUS(status);
}

static bool round_of(enum end how, unsigned short rnd[3])
{
	int sockets[2], ready[2], status;
	pid_t owner_pid, peer_pid;
	bool wrong;
	char c;

	if (pipe(ready) || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		odp_die(errno, "socketpair");
	alarm(ROUND_S);
	owner_pid = start(owner, sockets[0], sockets[1], how, ready[1]);
	peer_pid = start(run_peer, sockets[1], -1, how, ready[1]);
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		odp_die(0, "%s: the owner did not start", end_name[how]);
	usleep(2000 + odp_random(rnd, 30000));
	kill(owner_pid, how == KILL ? SIGKILL : SIGUSR1);
	status = ended(owner_pid, how);
	if (status)
		odp_die(0, "%s: the owner's exit status is %d", end_name[how],
			status);
	wrong = ended(peer_pid, EXIT) == ODP_DEFECT;
	/* Orphans are reparented to us, the subreaper */
	if (how == ORPHAN && (wait(&status) < 0 || status))
		odp_die(0, "%s: wait status %#x", end_name[how], status);
	close(ready[0]);
	alarm(0);
	return wrong;
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 100;
	unsigned long wrong = 0;
	unsigned short rnd[3];

	odp_seed(rnd);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		odp_die(errno, "prctl");
	for (unsigned long i = 0; i < rounds; i++)
		wrong += round_of(i % ENDS, rnd);
	printf("%lu rounds, %lu with wrong data\n", rounds, wrong);
	return wrong ? ODP_DEFECT : ODP_OK;
}
