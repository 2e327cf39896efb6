// SPDX-License-Identifier: GPL-2.0
/*
 * Processes make, use and destroy queue pairs, regions, windows and SRQs at random, and
 * end in the middle of it, as do their devices; then nothing may be left.
 *
 * rxe_ref_storm MS|left|stuck DEVICE NETDEV [DEVICE NETDEV]
 *
 * One round of MS milliseconds. With two devices, which have a network between them,
 * packets can be lost. SEED as in lib/odp.h. Exit status 1: something was left, a call or
 * a process hung, or failed. left, stuck: that is so, and must be seen.
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/odp.h"
#include "lib/patience.h"
#include "lib/rdma.h"
#include "lib/ref.h"

#define CALL_S		5.0	/* no call may take longer, and no process to be gone */
#define TIDY_S		20.0	/* for many calls */
#define LIVES_MS	700	/* of a process, at most */
#define OPEN_S		10.0	/* to wait for a GID, and make all */
#define STUCK_MS	10000
#define KEPT_S		1.0	/* that faults last longer than their process */

struct round {
	struct ref_storm *storm;
	const char *netdevs[REF_DEVICES];
	unsigned int devices;
	struct rdma_objects before[REF_DEVICES];
	unsigned short rnd[3];
	double slow;
	int kept[64];
	unsigned int count_kept, kills, exits, tidied, removals;
	unsigned int ends, moves;	/* which kind is next: a slow machine gets few of them */
	double slowest_link;		/* made or deleted, in seconds */
	bool failed, unwatched;
};

__attribute__((format(printf, 2, 3)))
static void fail(struct round *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	r->failed = true;
}

/* Where the kernel has its threads, and who else is in rxe, for who reads what failed. */
static void show_stacks(pid_t pid)
{
	char command[200];

	snprintf(command, sizeof(command),
		 "cd /proc; grep . %d/task/*/stack $(grep -l ' rxe_\\| do_work' [0-9]*/stack) | head -150",
		 pid);
	fflush(stdout);
	if (system(command))
		printf("no stacks\n");
}

/* Once a round: a call that hangs is shown, and the round fails. */
static void watch(struct round *r)
{
	for (unsigned int i = 0; i < REF_PROCESSES && !r->unwatched; i++) {
		struct ref_process *p = &r->storm->processes[i];

		for (unsigned int n = 0; p->pid && n <= REF_THREADS; n++) {
			const double since = p->calls[n].since;
			const char *name = p->calls[n].name;

			if (!name || patience_seconds() < since + CALL_S * r->slow)
				continue;
			fail(r, "process %d is in %s for %.1f s", p->pid, name,
			     patience_seconds() - since);
			show_stacks(p->pid);
			r->unwatched = true;
			break;
		}
	}
}

static void start(struct round *r, unsigned int i)
{
	struct ref_process *p = &r->storm->processes[i];
	pid_t pid;

	for (int n = 0; n < 3; n++)
		p->seed[n] = odp_random(r->rnd, 1 << 16);
	p->order = REF_GO;
	p->uffd = -1;
	for (unsigned int n = 0; n <= REF_THREADS; n++)
		p->calls[n].name = NULL;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid)
		ref_run(r->storm, p);
	p->pid = pid;
}

static void start_all(struct round *r)
{
	for (unsigned int i = 0; i < REF_PROCESSES; i++)
		start(r, i);
}

/* Whether the child ends, calls being watched meanwhile. */
static bool is_gone(struct round *r, pid_t pid, double s, int *status)
{
	const double end = patience_seconds() + s * r->slow;

	while (waitpid(pid, status, WNOHANG) != pid) {
		if (patience_seconds() > end)
			return false;
		watch(r);
		usleep(10000);
	}
	return true;
}

static void keep_faults(struct round *r, struct ref_process *p)
{
	int fd = syscall(SYS_pidfd_open, p->pid, 0);

	if (fd < 0 || p->uffd < 0 || r->count_kept == sizeof(r->kept) / sizeof(r->kept[0]))
		return;
	r->kept[r->count_kept] = syscall(SYS_pidfd_getfd, fd, p->uffd, 0);
	if (r->kept[r->count_kept] >= 0)
		r->count_kept++;
	close(fd);
}

static void end(struct round *r, unsigned int i, bool device_gone)
{
	struct ref_process *p = &r->storm->processes[i];
	unsigned int how = 0;
	double s = CALL_S;
	int status = 0;

	if (!p->pid)
		return;
	if (!r->failed)
		how = r->ends++ % 3;
	if (how == 0) {
		if (odp_random(r->rnd, 3) == 0)
			keep_faults(r, p);
		kill(p->pid, SIGKILL);
		r->kills++;
	} else if (how == 1) {
		p->order = REF_EXIT;
		r->exits++;
	} else {
		p->order = REF_TIDY;
		r->tidied++;
		s = TIDY_S;
	}
	if (how && p->uffd < 0)
		s += OPEN_S;
	if (!is_gone(r, p->pid, s, &status)) {
		fail(r, "process %d is not gone after %.0f s: %s", p->pid, s * r->slow,
		     how == 0 ? "SIGKILL" : how == 1 ? "exit" : "tidy");
		show_stacks(p->pid);
		r->unwatched = true;
		kill(p->pid, SIGKILL);
		is_gone(r, p->pid, CALL_S, &status);
	} else if (!device_gone && how && status) {
		fail(r, "process %d ended with status %#x", p->pid, status);
	}
	p->pid = 0;
}

static void end_all(struct round *r, bool device_gone)
{
	for (unsigned int i = 0; i < REF_PROCESSES; i++)
		end(r, i, device_gone);
}

/* With a device go all of its objects. */
static bool rdma_link(struct round *r, const char *what, const char *device, const char *netdev)
{
	const double begun = patience_seconds();
	int status = 0;
	bool gone;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid && netdev)
		execlp("rdma", "rdma", "link", what, device, "type", "rxe", "netdev", netdev, NULL);
	else if (!pid)
		execlp("rdma", "rdma", "link", what, device, NULL);
	if (!pid)
		_exit(ODP_ERROR);
	gone = is_gone(r, pid, TIDY_S, &status);
	if (patience_seconds() - begun > r->slowest_link)
		r->slowest_link = patience_seconds() - begun;
	if (gone && !status)
		return true;
	fail(r, "rdma link %s %s: %s, status %#x", what, device,
	     gone ? "has ended" : "has not ended", status);
	show_stacks(pid);
	return false;
}

/* A device can be opened a moment after its link was made. */
static void await_device(struct round *r, const char *name)
{
	const double end = patience_seconds() + CALL_S * r->slow;
	bool found = false;

	while (!found && patience_seconds() < end) {
		struct ibv_device **list = ibv_get_device_list(NULL);

		for (int i = 0; list && list[i]; i++)
			found |= !strcmp(ibv_get_device_name(list[i]), name);
		if (list)
			ibv_free_device_list(list);
		usleep(10000);
	}
	if (!found)
		fail(r, "there is no %s", name);
}

static void remove_device(struct round *r)
{
	const unsigned int device = odp_random(r->rnd, r->devices);

	r->removals++;
	if (!rdma_link(r, "delete", r->storm->devices[device], NULL))
		return;
	usleep(odp_random(r->rnd, 200000));
	end_all(r, true);
	if (!rdma_link(r, "add", r->storm->devices[device], r->netdevs[device]))
		return;
	await_device(r, r->storm->devices[device]);
	start_all(r);
}

static void blow(struct round *r, unsigned long ms)
{
	const double over = patience_seconds() + ms / 1000.0;
	const double half = over - ms / 2000.0;
	double next = 0;

	while (patience_seconds() < over && !r->failed) {
		/* Who goes would end a call that is to be stuck */
		if (patience_seconds() > next && next && !r->storm->stuck) {
			const unsigned int i = odp_random(r->rnd, REF_PROCESSES);
			const bool late = !r->removals && patience_seconds() > half;

			if (r->moves++ % 6 == 0 || late) {
				remove_device(r);
			} else {
				end(r, i, false);
				start(r, i);
			}
		}
		if (patience_seconds() > next)
			next = patience_seconds() + odp_random(r->rnd, LIVES_MS) / 1000.0 * r->slow;
		watch(r);
		usleep(10000);
	}
}

/* Of a device: the kernel has a queue pair of its own. */
static struct rdma_objects objects_of(const char *device)
{
	setenv("ODP_DEV", device, 1);
	return rdma_objects();
}

static void nothing_is_left(struct round *r)
{
	struct rdma_objects now;
	char text[200];

	usleep(KEPT_S * 1000000);
	while (r->count_kept)
		close(r->kept[--r->count_kept]);
	for (unsigned int i = 0; i < r->devices; i++) {
		setenv("ODP_DEV", r->storm->devices[i], 1);
		if (rdma_objects_become(&r->before[i], CALL_S * r->slow, &now))
			continue;
		rdma_objects_print(&now, text, sizeof(text));
		fail(r, "%s still has %s", r->storm->devices[i], text);
	}
}

static void print_counts(const struct round *r)
{
	static const char *const names[REF_COUNTS] = {
		"work requests", "completed", "failed", "flushed", "windows bound",
		"keys invalidated", "CQs overflowed", "resets", "errors and drains", "queue pairs",
		"regions", "regions changed", "windows", "SRQs", "prefetches",
		"page faults held up", "page faults served",
	};
	const struct ref_storm *s = r->storm;

	for (int i = 0; i < REF_COUNTS; i++)
		printf("count %lu %s\n", s->counts[i], names[i]);
	printf("count %u processes killed\n", r->kills);
	printf("count %u processes that exit amid it\n", r->exits);
	printf("count %u processes that destroy all\n", r->tidied);
	printf("count %u devices removed\n", r->removals);
	printf("slowest %.0f %s\n", s->slowest * 1000, s->slowest_name ?: "-");
	printf("slowest %.0f rdma link\n", r->slowest_link * 1000);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct round r = { .slow = odp_env("ODP_SLOW", 1) };
	struct ref_storm *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (argc != 4 && argc != 6)
		odp_die(0, "usage: %s MS DEVICE NETDEV [DEVICE NETDEV]", argv[0]);
	if (s == MAP_FAILED)
		odp_die(errno, "mmap");
	r.storm = s;
	r.devices = argc / 2 - 1;
	for (unsigned int i = 0; i < REF_DEVICES; i++) {
		s->devices[i] = argv[2 + 2 * (i % r.devices)];
		r.netdevs[i] = argv[3 + 2 * (i % r.devices)];
	}
	for (unsigned int i = 0; i < r.devices; i++)
		r.before[i] = objects_of(s->devices[i]);
	odp_seed(r.rnd);
	r.ends = odp_random(r.rnd, 3);
	r.moves = 3 + odp_random(r.rnd, 4);
	s->stuck = !strcmp(argv[1], "stuck");
	start_all(&r);
	blow(&r, s->stuck ? STUCK_MS * r.slow : strtoul(argv[1], NULL, 0));
	if (strcmp(argv[1], "left"))
		end_all(&r, false);
	nothing_is_left(&r);
	end_all(&r, false);
	print_counts(&r);
	return r.failed ? ODP_DEFECT : ODP_OK;
}
