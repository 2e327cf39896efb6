// SPDX-License-Identifier: GPL-2.0
/*
 * Random ioctls: numbers, structures and pointers, wrong ones and such as reach deep,
 * from threads of processes that come and go. Only errnos that edu_odp.h knows.
 *
 * edu_fuzz CALLS
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "lib/edu.h"

#define PROCESSES	3	/* the last of them without capabilities */
#define THREADS		2	/* of a process */
#define PAGES		48UL	/* of a process's memory; in its midst, holes */
#define LEN		(PAGES * ODP_PAGE)
#define GUARD		(4 * ODP_PAGE)	/* before and behind it */
#define HANDLES		32
#define KERNEL_ADDRESS	0xffff888000000000UL

enum request { DEVICE, REGISTER, DEREGISTER, DMA, PREFETCH, QUERY, PEEK, RAW_DMA,
	       REQUESTS };

static const unsigned long numbers[REQUESTS] = {
	EDU_ODP_IOC_DEVICE, EDU_ODP_IOC_REGISTER, EDU_ODP_IOC_DEREGISTER,
	EDU_ODP_IOC_DMA, EDU_ODP_IOC_PREFETCH, EDU_ODP_IOC_QUERY,
	EDU_ODP_IOC_PEEK, EDU_ODP_IOC_RAW_DMA,
};

static const char *const names[REQUESTS] = {
	"DEVICE", "REGISTER", "DEREGISTER", "DMA", "PREFETCH", "QUERY", "PEEK",
	"RAW_DMA",
};

/* How often each is called, in a hundred. */
static const unsigned int often[REQUESTS] = { 4, 20, 14, 14, 22, 10, 15, 1 };

union argument {
	struct edu_odp_device device;
	struct edu_odp_register reg;
	struct edu_odp_deregister dereg;
	struct edu_odp_dma dma;
	struct edu_odp_prefetch prefetch;
	struct edu_odp_query query;
	struct edu_odp_peek peek;
	struct edu_odp_raw_dma raw;
	uint64_t words[8];
};

/* Of all processes together. */
static struct {
	atomic_ulong made[REQUESTS], accepted[REQUESTS], others;
	atomic_ulong unknown;	/* errnos that must not be */
} *counts;

struct fuzz {
	int fd;
	unsigned char *addr;	/* LEN bytes */
	unsigned char *broken;	/* a page that can be read, then one without access */
	atomic_uint handles[HANDLES];
	atomic_ulong dma_address;	/* the last that was seen */
	unsigned long calls;	/* of a thread */
};

struct thread {
	struct fuzz *f;
	pthread_t id;
	unsigned short rnd[3];
};

/* --- values ----------------------------------------------------------------------- */

static bool one_in(struct thread *t, unsigned long n)
{
	return !odp_random(t->rnd, n);
}

static uint64_t any64(struct thread *t)
{
	uint64_t value = (uint64_t)nrand48(t->rnd) << 33 ^
			 (uint64_t)nrand48(t->rnd) << 11 ^ nrand48(t->rnd);

	return value >> odp_random(t->rnd, 64);
}

/* What edges are for: now and then a bit above or below. */
static uint64_t near(struct thread *t, uint64_t value)
{
	return one_in(t, 3) ? value + odp_random(t->rnd, 17) - 8 : value;
}

static uint64_t any_address(struct thread *t)
{
	static const uint64_t edges[] = {
		0, ODP_PAGE, 1UL << 47, (1UL << 47) - ODP_PAGE, KERNEL_ADDRESS,
		-1UL, -ODP_PAGE, 1UL << 63, 1UL << 32,
	};

	if (!one_in(t, 8))
		return near(t, (uintptr_t)t->f->addr +
			    odp_random(t->rnd, LEN + ODP_PAGE) / ODP_PAGE * ODP_PAGE);
	if (one_in(t, 2))
		return near(t, edges[odp_random(t->rnd, sizeof(edges) / 8)]);
	/* Not by chance what the process lives on */
	return any64(t) | KERNEL_ADDRESS;
}

/* A PREFETCH of terabytes is allowed, and takes its time. */
static uint64_t short_or_absurd(uint64_t len)
{
	return len >> 48 ? len : len >> 16;
}

static uint64_t any_length(struct thread *t)
{
	switch (odp_random(t->rnd, 10)) {
	case 0:
		return near(t, 0);
	case 1:
		return near(t, ODP_PAGE << odp_random(t->rnd, 10));
	case 2:
		return short_or_absurd(any64(t));
	default:
		return 1 + odp_random(t->rnd, 5000);
	}
}

static uint32_t any_handle(struct thread *t)
{
	if (one_in(t, 10))
		return any64(t);
	return atomic_load(&t->f->handles[odp_random(t->rnd, HANDLES)]);
}

static uint32_t any_flags(struct thread *t)
{
	return one_in(t, 12) ? any64(t) : odp_random(t->rnd, 4);
}

static uint64_t any_dma_address(struct thread *t)
{
	return one_in(t, 2) ? any64(t) : near(t, atomic_load(&t->f->dma_address));
}

/* --- calls -------------------------------------------------------------------------- */

static void fill_register(struct thread *t, struct edu_odp_register *reg)
{
	reg->flags = any_flags(t);
	if (reg->flags & EDU_ODP_REGISTER_ALL && !one_in(t, 8))
		return;
	reg->address = any_address(t);
	reg->length = any_length(t);
}

static void fill_dma(struct thread *t, struct edu_odp_dma *dma)
{
	dma->op = one_in(t, 16) ? any64(t) : odp_random(t->rnd, 3);
	dma->flags = one_in(t, 16) ? any64(t) : 0;
	dma->done = one_in(t, 16) ? any64(t) : 0;
	dma->length = any_length(t);
	if (dma->op != EDU_ODP_WRITE || one_in(t, 8)) {
		dma->source_handle = any_handle(t);
		dma->source = any_address(t);
	}
	if (dma->op != EDU_ODP_READ || one_in(t, 8)) {
		dma->target_handle = any_handle(t);
		dma->target = any_address(t);
	}
}

/* No write: it may hit what was mapped for the device, of whomever it is. */
static void fill_raw(struct thread *t, struct edu_odp_raw_dma *raw)
{
	raw->op = one_in(t, 8) ? any64(t) | EDU_ODP_COPY : EDU_ODP_READ;
	raw->length = near(t, odp_random(t->rnd, EDU_ODP_BUFFER));
	raw->dma_address = any_dma_address(t);
}

/* A DMA's target stays out of other memory that the process has. */
static void flip_a_bit(struct thread *t, enum request call, union argument *a)
{
	unsigned int word = odp_random(t->rnd, 8), bit = odp_random(t->rnd, 64);

	if (call == DMA && word == offsetof(struct edu_odp_dma, target) / 8)
		bit |= 48;
	a->words[word] ^= 1UL << bit;
}

static void fill(struct thread *t, enum request call, union argument *a)
{
	const uint32_t reserved = one_in(t, 12) ? any64(t) : 0;

	memset(a, 0, sizeof(*a));
	switch (call) {
	case DEVICE:
		a->device.reserved = reserved;
		break;
	case REGISTER:
		fill_register(t, &a->reg);
		break;
	case DEREGISTER:
		a->dereg = (struct edu_odp_deregister){ any_handle(t), reserved };
		break;
	case DMA:
		fill_dma(t, &a->dma);
		break;
	case PREFETCH:
		a->prefetch = (struct edu_odp_prefetch){ any_handle(t), any_flags(t),
			any_address(t), any_length(t) };
		break;
	case QUERY:
		a->query.handle = any_handle(t);
		a->query.reserved = reserved;
		break;
	case PEEK:
		a->peek.handle = any_handle(t);
		a->peek.address = any_address(t);
		break;
	default:
		fill_raw(t, &a->raw);
	}
	if (call != RAW_DMA && one_in(t, 20))
		flip_a_bit(t, call, a);
}

static enum request any_request(struct thread *t)
{
	unsigned int n = odp_random(t->rnd, 100);
	unsigned int call = 0;

	while (n >= often[call])
		n -= often[call++];
	return call;
}

static unsigned long any_number(struct thread *t, enum request call)
{
	const unsigned long r = numbers[call];

	switch (odp_random(t->rnd, 40)) {
	case 0:
		return _IOC(_IOC_DIR(r), 'E', odp_random(t->rnd, 256), _IOC_SIZE(r));
	case 1:
		return _IOC(_IOC_DIR(r), 'E', _IOC_NR(r), odp_random(t->rnd, 16384));
	case 2:
		return _IOC(odp_random(t->rnd, 4), 'E', _IOC_NR(r), _IOC_SIZE(r));
	case 3:
		return any64(t);
	default:
		return r;
	}
}

static void *any_pointer(struct thread *t, union argument *a, size_t size)
{
	if (!one_in(t, 12))
		return a;
	switch (odp_random(t->rnd, 6)) {
	case 0:
		return NULL;
	case 1:
		return (void *)KERNEL_ADDRESS;
	case 2:
		return t->f->broken + ODP_PAGE;
	case 3:		/* readable, but not for an answer */
		return t->f->broken;
	case 4:		/* cut off */
		return t->f->broken + ODP_PAGE - odp_random(t->rnd, size + 1);
	default:	/* what the device may be writing to */
		return t->f->addr + odp_random(t->rnd, LEN - sizeof(*a));
	}
}

static bool known(int err)
{
	static const int errnos[] = {
		0, EINVAL, EOVERFLOW, ENOENT, EFAULT, EPERM, EAGAIN, EOPNOTSUPP,
		ENOTTY, ENOMEM, ENOSPC, ECANCELED,
	};

	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++)
		if (errnos[i] == err)
			return true;
	return false;
}

static void call_once(struct thread *t)
{
	enum request call = any_request(t);
	const unsigned long number = any_number(t, call);
	union argument a;
	void *pointer = any_pointer(t, &a, _IOC_SIZE(numbers[call]));
	int err;

	fill(t, call, &a);
	err = edu_ioctl(t->f->fd, number, pointer);
	if (!known(err) && atomic_fetch_add(&counts->unknown, 1) < 5)
		printf("%s, %#lx: %s\n", names[call], number, strerror(err));
	if (number != numbers[call]) {
		atomic_fetch_add(&counts->others, 1);
		return;
	}
	atomic_fetch_add(&counts->made[call], 1);
	if (err)
		return;
	atomic_fetch_add(&counts->accepted[call], 1);
	if (pointer != &a)
		return;
	if (call == REGISTER)
		atomic_store(&t->f->handles[odp_random(t->rnd, HANDLES)],
			     a.reg.handle);
	if (call == PEEK && a.peek.mode)
		atomic_store(&t->f->dma_address, a.peek.dma_address);
}

/* --- threads and processes -------------------------------------------------------- */

static void change_memory(struct thread *t)
{
	unsigned char *at = t->f->addr + odp_random(t->rnd, PAGES) * ODP_PAGE;

	switch (odp_random(t->rnd, 6)) {
	case 0:
		munmap(at, ODP_PAGE);
		break;
	case 1:
		mprotect(at, ODP_PAGE, odp_random(t->rnd, 4));
		break;
	case 2:
		madvise(at, 4 * ODP_PAGE, MADV_DONTNEED);
		break;
	default:
		edu_put_small(at, ODP_PAGE);
	}
}

/* A child with its parent's file and handles, for a few calls. */
static void fork_child(struct thread *t)
{
	pid_t child = fork();

	if (child < 0)
		odp_die(errno, "fork");
	if (!child) {
		for (int i = 0; i < 20; i++)
			call_once(t);
		_exit(0);
	}
	if (one_in(t, 2))
		kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;

	for (unsigned long i = 0; i < t->f->calls; i++) {
		if (one_in(t, 50))
			change_memory(t);
		if (one_in(t, 1000))
			fork_child(t);
		call_once(t);
	}
	return NULL;
}

static void run_process(int fd, unsigned long calls, unsigned short rnd[3])
{
	struct thread threads[THREADS];
	struct fuzz f = { .fd = fd, .calls = calls / THREADS };

	f.addr = edu_reserve(LEN + 2 * GUARD) + GUARD;
	edu_put_small(f.addr, LEN);
	f.broken = edu_reserve(2 * ODP_PAGE);
	edu_put_small(f.broken, ODP_PAGE);
	memset(f.broken, 0, ODP_PAGE);
	mprotect(f.broken, ODP_PAGE, PROT_READ);
	for (int i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){ .f = &f,
			.rnd = { nrand48(rnd), nrand48(rnd), i } };
		if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]))
			odp_die(0, "pthread_create");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].id, NULL);
}

static void start_process(int i, unsigned long calls, unsigned short rnd[3])
{
	pid_t child;
	int fd;

	nrand48(rnd);
	child = fork();
	if (child < 0)
		odp_die(errno, "fork");
	if (child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rnd[2] ^= i;
	fd = edu_open();
	if (i == PROCESSES - 1 && setresuid(-1, 65534, -1))
		odp_die(errno, "setresuid");
	run_process(fd, calls, rnd);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	unsigned long calls = argc == 2 ? strtoul(argv[1], NULL, 0) : 0;
	unsigned short rnd[3];
	int status, bad = 0;

	if (!calls)
		odp_die(0, "usage: %s CALLS", argv[0]);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		odp_die(errno, "mmap");
	odp_seed(rnd);
	for (int i = 0; i < PROCESSES; i++)
		start_process(i, calls / PROCESSES, rnd);
	for (int i = 0; i < PROCESSES; i++)
		if (wait(&status) < 0 || status)
			bad = printf("a process: wait status %#x\n", status);
	for (int i = 0; i < REQUESTS; i++)
		printf("%s: %lu of %lu accepted\n", names[i], counts->accepted[i],
		       counts->made[i]);
	printf("%lu other ioctls; %lu errnos that must not be\n", counts->others,
	       counts->unknown);
	return bad || counts->unknown ? ODP_DEFECT : ODP_OK;
}
