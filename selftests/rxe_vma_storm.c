// SPDX-License-Identifier: GPL-2.0
/*
 * A storm over the memory of an owner, while peers in another process read and write
 * it by RDMA: what they get was there, what they write is there, or it is an error that
 * has a reason. See lib/storm.h and lib/history.h.
 *
 * rxe_vma_storm LIVES MILLISECONDS ACTORS [OPTION]…
 *   ACTORS         who makes the storm: names out of lib/actors.c and actors_mm.c
 *   pages=N        of the region, a multiple of 1024
 *   implicit       the region is all of the address space
 *   everywhere     all pages are worked on alike
 *   small          no huge pages
 *   starts         only messages of one packet at a page's start, and errors need no
 *                  reason: what stock rxe can do
 *   lie=VERDICT    something happens that the oracle is not told of: it has to see it,
 *                  and say so by that word
 *   end=HOW        all owners end like that: exit, kill, exec, release (the kernel is
 *                  asked to take the memory while they die) or oom
 *   group=FOLDER   the owner is in that cgroup
 *   enough         stop at the first defect
 *   effects        all actors must have acted, and the kernel counted that
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/storm.h"

#define HUGE_BYTES	(512 * ODP_PAGE)
#define STUCK_S		180	/* no step takes that long but one that hangs */

enum end { EXIT, KILL, EXEC, RELEASE, ENDS, OOM = ENDS, ALL_ENDS };

static const char *const end_name[ALL_ENDS] = { "exit", "kill", "exec", "release", "oom" };

static struct storm *storm;
static const struct actor *actors[STORM_ACTORS];
static size_t actor_count;
static unsigned long effects[STORM_ACTORS];
static const char *group;
static int only_end = -1;
static bool enough, want_effects;
static unsigned long released, invalidations;

/* --- the owner ------------------------------------------------------------------------- */

static volatile sig_atomic_t eat;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		_exit(ODP_OK);
	if (sig == SIGUSR2)
		execl("/bin/true", "true", NULL);
	eat = sig == SIGALRM;
}

static void enter_group(void)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		odp_die(errno, "%s", path);
	close(fd);
}

static unsigned char *map_area(void)
{
	const size_t len = storm->pages * ODP_PAGE;
	unsigned char *addr = mmap(NULL, len + HUGE_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap");
	addr += -(uintptr_t)addr & (HUGE_BYTES - 1);
	madvise(addr, len, storm->small ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	return addr;
}

static struct ibv_mr *register_area(struct odp *o, unsigned char *addr)
{
	if (storm->implicit)
		return odp_reg(o, NULL, SIZE_MAX, ODP_RW | IBV_ACCESS_ON_DEMAND);
	return odp_reg(o, addr, storm->pages * ODP_PAGE, ODP_RW | IBV_ACCESS_ON_DEMAND);
}

/* What is there in the end. */
static void look_at_all(const struct area *a)
{
	unsigned char seen[ODP_PAGE];

	for (size_t page = 0; page < storm->pages; page++) {
		struct iovec local = { seen, ODP_PAGE };
		struct iovec remote = { a->addr + page * ODP_PAGE, ODP_PAGE };
		const uint64_t from = history_now(storm->history);

		if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != ODP_PAGE)
			continue;
		storm_judge(storm, "the CPU, in the end", page * HISTORY_BLOCKS,
			    HISTORY_BLOCKS, seen, from, history_now(storm->history));
	}
	atomic_fetch_add(&storm->rested, 1);
}

static void eat_memory(void)
{
	const size_t len = 1 << 20;

	for (;;) {
		char *more = mmap(NULL, len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (more == MAP_FAILED)
			odp_die(errno, "mmap");
	}
}

__attribute__((noreturn)) static void own(const int sockets[STORM_PEERS])
{
	static struct odp o;
	struct area a = { .storm = storm, .device = &o };

	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	signal(SIGALRM, on_signal);
	signal(SIGBUS, on_signal);	/* the kernel tells us of poisoned pages */
	if (group)
		enter_group();
	odp_open(&o);
	if (storm->pages % 1024 || o.chunk < HISTORY_BLOCK) {
		fprintf(stderr, "the MTU, or the number of pages, does not fit\n");
		exit(ODP_SKIP);
	}
	a.addr = map_area();
	a.mr = register_area(&o, a.addr);
	a.turns = calloc(storm->pages, sizeof(*a.turns));
	for (size_t i = 0; a.turns && i < storm->pages; i++)
		pthread_mutex_init(&a.turns[i], NULL);
	peers_serve(storm, &o, a.mr, a.addr, sockets);
	atomic_store(&storm->phase, STORM_BLOWS);
	actors_run(&a, actors, actor_count);
	look_at_all(&a);
	fflush(stdout);
	while (!eat)
		pause();
	eat_memory();
	_exit(ODP_ERROR);
}

/* --- what the kernel did ------------------------------------------------------------- */

static unsigned long vmstat(const char *name)
{
	unsigned long value = 0, number;
	FILE *file = fopen("/proc/vmstat", "r");
	char key[64];

	while (file && fscanf(file, "%63s %lu", key, &number) == 2)
		if (!strcmp(key, name))
			value = number;
	if (file)
		fclose(file);
	return value;
}

/* Between a call with -1 and one with 1. */
static void count_effects(int sign)
{
	for (size_t i = 0; i < actor_count; i++)
		if (actors[i]->counter)
			effects[i] += sign * vmstat(actors[i]->counter);
}

/* In between. */
static bool effects_seen(void)
{
	for (size_t i = 0; i < actor_count; i++)
		if (!atomic_load(&storm->acts[i]) ||
		    (actors[i]->counter && !(effects[i] + vmstat(actors[i]->counter))))
			return false;
	return true;
}

/* --- a life ------------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned long wrong(void)
{
	unsigned long sum = 0;

	for (int v = HISTORY_STALE; v < HISTORY_UNKNOWN; v++)
		sum += atomic_load(&storm->verdicts[v]);
	return sum;
}

/* Fails if the owner ends before. */
static void await(pid_t owner, double end, bool (*is)(void))
{
	int status;

	while (seconds() < end && !is()) {
		if (waitpid(owner, &status, WNOHANG) == owner) {
			if (WIFEXITED(status))
				exit(WEXITSTATUS(status) ?: ODP_ERROR);
			odp_die(0, "the owner ended by himself: wait status %#x", status);
		}
		usleep(2000);
	}
}

static bool it_blows(void)
{
	return atomic_load(&storm->phase) >= STORM_BLOWS;
}

static bool enough_seen(void)
{
	return enough && wrong();
}

static bool all_rest(void)
{
	return atomic_load(&storm->rested) == STORM_PEERS + 1;
}

/* The regions of all processes; none where the driver does not count. */
static unsigned long count_invalidations(void)
{
	unsigned long sum = 0, number;
	char line[4000], *at;
	FILE *rdma = popen("rdma -j statistic show mr 2>/dev/null", "r");

	while (rdma && fgets(line, sizeof(line), rdma))
		for (at = line; (at = strstr(at, "\"page_invalidations\":")); at++)
			if (sscanf(at, "\"page_invalidations\":%lu", &number) == 1)
				sum += number;
	if (rdma)
		pclose(rdma);
	return sum;
}

/* Amid RDMA. */
static void end_owner(pid_t owner, enum end how)
{
	int pidfd = syscall(SYS_pidfd_open, owner, 0), status;
	const int signals[ALL_ENDS] = { SIGUSR1, SIGKILL, SIGUSR2, SIGKILL, SIGALRM };

	atomic_store(&storm->phase, STORM_ENDS);
	usleep(20000);
	kill(owner, signals[how]);
	if (how == RELEASE && !syscall(SYS_process_mrelease, pidfd, 0))
		released++;
	if (waitpid(owner, &status, 0) != owner)
		odp_die(errno, "waitpid");
	close(pidfd);
	if (how == EXIT || how == EXEC ? !WIFEXITED(status) || WEXITSTATUS(status) :
	    !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		odp_die(0, "%s: the owner's wait status is %#x", end_name[how], status);
}

static pid_t start(void (*run)(const int[]), const int mine[], const int other[])
{
	pid_t pid = fork();

	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < STORM_PEERS; i++)
			close(other[i]);
		run(mine);
	}
	return pid;
}

static void be_peers(const int sockets[])
{
	peers_run(storm, sockets);
}

static void live(unsigned long ms, enum end how, bool rests)
{
	const unsigned long stuck = STUCK_S * odp_env("ODP_SLOW", 1);
	int ends[2], owners[STORM_PEERS], peers[STORM_PEERS], status;
	pid_t owner, other;

	history_reset(storm->history);
	atomic_store(&storm->phase, STORM_STARTS);
	atomic_store(&storm->rested, 0);
	for (int i = 0; i < STORM_PEERS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
			odp_die(errno, "socketpair");
		owners[i] = ends[0];
		peers[i] = ends[1];
	}
	/* For what the steps below do not wait for themselves */
	alarm(4 * stuck + ms / 1000);
	owner = start(own, owners, peers);
	other = start(be_peers, peers, owners);
	for (int i = 0; i < STORM_PEERS; i++) {
		close(owners[i]);
		close(peers[i]);
	}
	await(owner, seconds() + stuck, it_blows);
	await(owner, seconds() + ms / 1e3, enough_seen);
	/* What the kernel does in its own time may take longer */
	if (rests && want_effects)
		await(owner, seconds() + stuck, effects_seen);
	if (rests && !enough_seen()) {
		atomic_store(&storm->phase, STORM_RESTS);
		await(owner, seconds() + stuck, all_rest);
	}
	invalidations += count_invalidations();
	end_owner(owner, how);
	usleep(20000);
	atomic_store(&storm->phase, STORM_OVER);
	if (waitpid(other, &status, 0) != other || status)
		odp_die(0, "the peers' wait status is %#x", status);
	alarm(0);
}

/* --- all of them ----------------------------------------------------------------------------- */

static void set_option(const char *option)
{
	const char *value = strchr(option, '=');

	value = value ? value + 1 : "";
	storm->implicit |= !strcmp(option, "implicit");
	storm->everywhere |= !strcmp(option, "everywhere");
	storm->small |= !strcmp(option, "small");
	storm->starts_only |= !strcmp(option, "starts");
	storm->errors_are_right |= !strcmp(option, "starts");
	enough |= !strcmp(option, "enough");
	want_effects |= !strcmp(option, "effects");
	if (!strncmp(option, "pages=", 6))
		storm->pages = strtoul(value, NULL, 0);
	if (!strncmp(option, "lie=", 4))
		storm->lie = value;
	if (!strncmp(option, "group=", 6))
		group = value;
	for (int i = 0; !strncmp(option, "end=", 4) && i < ALL_ENDS; i++)
		if (!strcmp(value, end_name[i]))
			only_end = i;
}

/* A line for each figure: what the scripts look for. */
static bool report(unsigned long lives)
{
	const unsigned long verified = atomic_load(&storm->bytes) >> 20;
	const unsigned long unknown = atomic_load(&storm->verdicts[HISTORY_UNKNOWN]);
	bool all = atomic_load(&storm->ops) > 0 &&
		   unknown * 20 <= atomic_load(&storm->verdicts[HISTORY_RIGHT]);

	printf("count owners %lu\n", lives);
	printf("count messages %lu\n", atomic_load(&storm->ops));
	printf("count MiB-verified %lu\n", verified);
	printf("count blocks-not-judged %lu\n", unknown);
	printf("count errors-with-a-reason %lu\n", atomic_load(&storm->errors) -
	       atomic_load(&storm->verdicts[HISTORY_REFUSED]));
	printf("count wrong %lu\n", wrong());
	if (invalidations)
		printf("count pages-invalidated %lu\n", invalidations);
	if (released)
		printf("count owners-reaped %lu\n", released);
	for (size_t i = 0; i < actor_count; i++) {
		const unsigned long acts = atomic_load(&storm->acts[i]);

		printf("actor %s: %lu times", actors[i]->name, acts);
		if (actors[i]->counter)
			printf(", %s %lu", actors[i]->counter, effects[i]);
		printf("\n");
	}
	for (int v = HISTORY_STALE; v < HISTORY_UNKNOWN; v++)
		if (atomic_load(&storm->verdicts[v]))
			printf("%s: %lu\n", history_verdict_name[v],
			       atomic_load(&storm->verdicts[v]));
	return all;
}

/* The lie must be seen as what it is. */
static int verdict_on_lie(void)
{
	for (int v = HISTORY_STALE; v < HISTORY_UNKNOWN; v++)
		if (!strcmp(storm->lie, history_verdict_name[v]))
			return atomic_load(&storm->verdicts[v]) ? ODP_DEFECT : ODP_OK;
	odp_die(0, "no verdict %s", storm->lie);
}

int main(int argc, char **argv)
{
	unsigned long lives, ms, done = 0;
	bool all;

	if (argc < 4)
		odp_die(0, "usage: %s LIVES MILLISECONDS ACTORS [OPTION]…", argv[0]);
	lives = strtoul(argv[1], NULL, 0);
	ms = strtoul(argv[2], NULL, 0);
	storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (storm == MAP_FAILED)
		odp_die(errno, "mmap");
	storm->pages = 1024;
	for (int i = 4; i < argc; i++)
		set_option(argv[i]);
	actor_count = actors_named(argv[3], actors);
	storm->history = history_new(storm->pages);
	odp_seed(storm->seed);
	count_effects(-1);
	while (done < lives && !enough_seen()) {
		const enum end how = only_end < 0 ? (enum end)(done % ENDS) :
						    (enum end)only_end;

		live(ms, how, done % 2 == 0 || how == OOM);
		nrand48(storm->seed);
		done++;
	}
	all = !want_effects || effects_seen();
	count_effects(1);
	all &= report(done);
	if (storm->lie)
		return verdict_on_lie();
	if (wrong())
		return ODP_DEFECT;
	return all ? ODP_OK : ODP_ERROR;
}
