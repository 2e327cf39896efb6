// SPDX-License-Identifier: GPL-2.0
/*
 * What was taken from the device is out of its reach: a page that the device has
 * used is taken away; then a DMA that is made to go where the page was faults in the
 * IOMMU, once for each, and the memory is what it was before. A line for each case.
 *
 * edu_revocation [swap]     swap: there is some
 *
 * Where there is no IOMMU, RAW_DMA is refused; then only the device's own access
 * afterwards, by the page's user address, is looked at.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/falloc.h>

#include "lib/cases.h"
#include "lib/edu.h"

enum { BEFORE, PAGE, AFTER, PAGES };

#define LEN	(PAGES * ODP_PAGE)
#define OLD	1
#define NEW	2
#define SECRET	3
#define SOME	512	/* bytes of a page that RAW_DMA moves */

static int fd, faults_log;
static bool has_iommu;
static unsigned char *scratch;	/* a page of our own, for the device's buffer */
static uint32_t scratch_handle;

/* A page of a process that the device has used. */
struct victim {
	int fd, memory;		/* of the ranges, of the memfd */
	unsigned char *addr;	/* of PAGES */
	unsigned char *alias;	/* the same memory, out of the device's reach */
	uint32_t handle;
	pid_t owner;
	uint64_t dma_address;
	enum edu_odp_mode mode;
};

/* What of the memory can be seen afterwards, and how. */
enum sight { ALIAS, IN_PLACE, NOWHERE };

struct revocation {
	const char *name;
	void (*map)(struct victim *v);
	void (*revoke)(struct victim *v);
	enum sight sight;
	bool beside;		/* the pages beside it are still mapped */
	int peek;		/* PEEK's errno, or 0: not mapped */
	const int *read, *write;	/* what the device's own access gives */
};

/* --- memory ----------------------------------------------------------------- */

static void map_memfd(struct victim *v)
{
	v->memory = memfd_create("edu_revocation", MFD_CLOEXEC);
	if (v->memory < 0 || ftruncate(v->memory, LEN))
		odp_die(errno, "memfd_create");
	v->addr = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, v->memory, 0);
	v->alias = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, v->memory, 0);
	if (v->addr == MAP_FAILED || v->alias == MAP_FAILED)
		odp_die(errno, "mmap");
}

static void map_anonymous(struct victim *v)
{
	v->addr = odp_map(LEN);
	v->alias = v->addr;
}

/* The three pages in the midst of a huge one. */
static void map_thp(struct victim *v)
{
	unsigned char *huge = edu_reserve(EDU_HUGE);

	edu_put_thp(huge, EDU_HUGE);
	memset(huge, 1, EDU_HUGE);
	v->addr = huge + 100 * ODP_PAGE;
	v->alias = v->addr;
}

static unsigned char *page(struct victim *v)
{
	return v->addr + PAGE * ODP_PAGE;
}

static unsigned char *seen(struct victim *v)
{
	return v->alias + PAGE * ODP_PAGE;
}

/* --- ways to take a page away -------------------------------------------------- */

static void do_munmap(struct victim *v)
{
	edu_must(munmap(page(v), ODP_PAGE), "munmap");
}

static void do_dontneed(struct victim *v)
{
	edu_must(madvise(page(v), ODP_PAGE, MADV_DONTNEED), "MADV_DONTNEED");
}

static void do_mprotect_none(struct victim *v)
{
	edu_must(mprotect(page(v), ODP_PAGE, PROT_NONE), "mprotect");
}

static void do_mprotect_read(struct victim *v)
{
	edu_must(mprotect(page(v), ODP_PAGE, PROT_READ), "mprotect");
}

static void do_map_over(struct victim *v)
{
	edu_put(page(v), ODP_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void do_mremap(struct victim *v)
{
	void *other = odp_map(ODP_PAGE);

	edu_must(mremap(page(v), ODP_PAGE, ODP_PAGE, MREMAP_MAYMOVE |
			MREMAP_FIXED, other) == MAP_FAILED, "mremap");
	v->alias = (unsigned char *)other - PAGE * ODP_PAGE;
}

static void do_truncate(struct victim *v)
{
	edu_must(ftruncate(v->memory, PAGE * ODP_PAGE), "ftruncate");
}

static void do_punch_hole(struct victim *v)
{
	edu_must(fallocate(v->memory, FALLOC_FL_PUNCH_HOLE |
			   FALLOC_FL_KEEP_SIZE, PAGE * ODP_PAGE, ODP_PAGE),
		 "fallocate");
}

/* A child has the page from now on, and its parent another. */
static void do_fork(struct victim *v)
{
	pid_t child = fork();

	edu_must(child < 0, "fork");
	if (!child) {
		pause();
		_exit(0);
	}
	*(volatile unsigned char *)page(v) = *page(v);
	v->owner = child;
}

static void do_page_out(struct victim *v)
{
	unsigned char resident = 1;

	for (int i = 0; i < 100 && resident & 1; i++) {
		edu_must(madvise(page(v), ODP_PAGE, MADV_PAGEOUT), "MADV_PAGEOUT");
		edu_must(mincore(page(v), ODP_PAGE, &resident), "mincore");
		edu_sleep(0.01);
	}
	if (resident & 1)
		odp_die(0, "the page is not swapped out");
}

static void do_deregister(struct victim *v)
{
	int err = edu_deregister(v->fd, v->handle);

	if (err)
		odp_die(err, "deregister");
}

static void map_of_file(struct victim *v)
{
	map_memfd(v);
	v->fd = edu_open();
}

static void do_close(struct victim *v)
{
	edu_must(close(v->fd), "close");
	v->fd = fd;
	v->handle = 0;
}

/* --- a victim in a process of its own --------------------------------------------- */

/* Registers the memory with our file, and waits for its end. */
static void be_owner(struct victim *v, int tell)
{
	v->handle = edu_register(v->fd, v->addr, LEN);
	if (write(tell, &v->handle, sizeof(v->handle)) != sizeof(v->handle))
		_exit(ODP_ERROR);
	for (;;)
		pause();
}

static void exec_now(int signal)
{
	(void)signal;
	execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(ODP_ERROR);
}

static void map_of_child(struct victim *v)
{
	int ends[2];

	map_memfd(v);
	edu_must(pipe(ends), "pipe");
	v->owner = fork();
	edu_must(v->owner < 0, "fork");
	if (!v->owner) {
		signal(SIGUSR1, exec_now);
		be_owner(v, ends[1]);
	}
	if (read(ends[0], &v->handle, sizeof(v->handle)) != sizeof(v->handle))
		odp_die(0, "the owner did not register");
}

static void end_owner(struct victim *v)
{
	if (!v->owner)
		return;
	kill(v->owner, SIGKILL);
	edu_must(waitpid(v->owner, NULL, 0) != v->owner, "waitpid");
	v->owner = 0;
}

static void do_exec(struct victim *v)
{
	char path[40], name[32] = "";
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/comm", v->owner);
	kill(v->owner, SIGUSR1);
	for (int i = 0; i < 1000 && strcmp(name, "sleep\n"); i++) {
		int comm = open(path, O_RDONLY);

		len = read(comm, name, sizeof(name) - 1);
		name[len > 0 ? len : 0] = '\0';
		close(comm);
		edu_sleep(0.01);
	}
	edu_must(strcmp(name, "sleep\n"), "exec");
}

/* --- before and after -------------------------------------------------------------- */

static void result(const char *name, const char *what, bool pass, const char *got)
{
	char text[120];

	snprintf(text, sizeof(text), "%s, %s", name, what);
	result_is(pass, text, got);
}

/* A raw DMA of SOME bytes: how many faults it caused at that page. */
static void raw(const char *name, const char *what, enum edu_odp_op op,
		uint64_t dma_address, unsigned int want)
{
	unsigned int faults, others;
	char got[80];
	int err;

	edu_sleep(EDU_FAULT_PACE);
	err = edu_raw_dma(fd, op, dma_address, SOME);
	faults = edu_faults(faults_log, dma_address, &others);
	snprintf(got, sizeof(got), "%s, %u faults there, %u elsewhere",
		 err ? strerrorname_np(err) : "done", faults, others);
	result(name, what, !err && faults == want && !others, got);
}

/* The device's buffer, from now on. */
static void fill_buffer(uint64_t stamp)
{
	int err;

	odp_stamp(scratch, ODP_PAGE, PAGE, stamp);
	err = edu_read(fd, scratch_handle, scratch, ODP_PAGE);
	if (err)
		odp_die(err, "READ of our own page");
}

static bool buffer_is(uint64_t stamp)
{
	int err;

	memset(scratch, 0, ODP_PAGE);
	err = edu_write(fd, scratch_handle, scratch, ODP_PAGE);
	if (err)
		odp_die(err, "WRITE of our own page");
	return odp_stamped(scratch, SOME, PAGE, stamp);
}

static void look_up(const struct revocation *r, struct victim *v)
{
	struct edu_odp_peek peek;
	int err = edu_peek(v->fd, v->handle, page(v), &peek);

	if (err)
		odp_die(err, "%s: PEEK", r->name);
	v->mode = peek.mode;
	v->dma_address = peek.dma_address;
}

/* The control: the same raw DMA, while the page is the device's. */
static void before(const struct revocation *r, struct victim *v)
{
	look_up(r, v);
	result(r->name, "before: the page is mapped", v->mode != EDU_ODP_MODE_NONE,
	       edu_mode_name(v->mode));
	if (!has_iommu)
		return;
	fill_buffer(NEW);
	raw(r->name, "before: RAW_DMA writes", EDU_ODP_WRITE, v->dma_address, 0);
	result(r->name, "before: what it wrote is there",
	       odp_stamped(seen(v), SOME, PAGE, NEW), "compared");
	odp_stamp(seen(v), SOME, PAGE, OLD);
	raw(r->name, "before: RAW_DMA reads", EDU_ODP_READ, v->dma_address, 0);
	result(r->name, "before: what it read is right", buffer_is(OLD), "compared");
}

static void after(const struct revocation *r, struct victim *v)
{
	struct edu_odp_peek peek;
	int err = edu_peek(v->fd, v->handle, page(v), &peek);

	result(r->name, "PEEK", err == r->peek &&
	       (err || peek.mode == EDU_ODP_MODE_NONE),
	       err ? strerrorname_np(err) : edu_mode_name(peek.mode));
	if (!has_iommu)
		return;
	fill_buffer(SECRET);
	raw(r->name, "RAW_DMA that writes", EDU_ODP_WRITE, v->dma_address, 1);
	raw(r->name, "RAW_DMA that writes the last bytes", EDU_ODP_WRITE,
	    v->dma_address + ODP_PAGE - SOME, 1);
	if (r->sight != NOWHERE)
		result(r->name, "memory is unchanged",
		       odp_stamped(seen(v), ODP_PAGE, PAGE, OLD), "compared");
	fill_buffer(SECRET);
	raw(r->name, "RAW_DMA that reads", EDU_ODP_READ, v->dma_address, 1);
	result(r->name, "it reads nothing of the page", !buffer_is(OLD), "compared");
	if (!r->beside)
		return;
	err = edu_peek(v->fd, v->handle, v->addr + AFTER * ODP_PAGE, &peek);
	result(r->name, "the page beside it is still mapped", !err &&
	       peek.mode == v->mode, err ? strerrorname_np(err) :
	       edu_mode_name(peek.mode));
	if (!err && peek.mode)
		raw(r->name, "RAW_DMA beside it", EDU_ODP_READ, peek.dma_address, 0);
}

/* By user address, as a program does it. */
static void own_access(const struct revocation *r, struct victim *v)
{
	char what[120];
	int err;

	snprintf(what, sizeof(what), "%s, READ of its address", r->name);
	err = edu_read(v->fd, v->handle, page(v), ODP_PAGE);
	result_errno(what, err, r->read);
	if (!err && r->sight == IN_PLACE)
		result(r->name, "the data of that READ", buffer_is(OLD), "compared");
	snprintf(what, sizeof(what), "%s, WRITE to its address", r->name);
	result_errno(what, edu_write(v->fd, v->handle, page(v), ODP_PAGE), r->write);
}

static void try_case(const struct revocation *r)
{
	struct victim v = { .fd = fd, .memory = -1 };
	int err;

	r->map(&v);
	for (int i = 0; i < PAGES; i++)
		odp_stamp(v.alias + i * ODP_PAGE, ODP_PAGE, i, OLD);
	if (!v.handle)
		v.handle = edu_register(v.fd, v.addr, LEN);
	err = edu_prefetch(v.fd, v.handle, v.addr, LEN, EDU_ODP_PREFETCH_WRITE);
	if (err)
		odp_die(err, "%s: PREFETCH", r->name);
	before(r, &v);
	r->revoke(&v);
	after(r, &v);
	own_access(r, &v);
	end_owner(&v);
	edu_deregister(v.fd, v.handle);
}

static const struct revocation cases[] = {
	{ "munmap", map_memfd, do_munmap, ALIAS, true, 0, WANT(EFAULT),
	  WANT(EFAULT) },
	{ "munmap of a part of a huge page", map_thp, do_munmap, NOWHERE, false, 0,
	  WANT(EFAULT), WANT(EFAULT) },
	{ "MADV_DONTNEED", map_memfd, do_dontneed, ALIAS, true, 0, WANT(0),
	  WANT(0) },
	{ "MADV_DONTNEED of anonymous memory", map_anonymous, do_dontneed, NOWHERE,
	  true, 0, WANT(0), WANT(0) },
	{ "mprotect to PROT_NONE", map_memfd, do_mprotect_none, ALIAS, true, 0,
	  WANT(EFAULT), WANT(EFAULT, EPERM) },
	{ "mprotect to PROT_READ", map_memfd, do_mprotect_read, ALIAS, true, 0,
	  WANT(0), WANT(EPERM) },
	{ "mmap over it", map_memfd, do_map_over, ALIAS, true, 0, WANT(0),
	  WANT(0) },
	{ "mremap to elsewhere", map_anonymous, do_mremap, ALIAS, true, 0,
	  WANT(EFAULT), WANT(EFAULT) },
	{ "ftruncate", map_memfd, do_truncate, NOWHERE, false, 0, WANT(EFAULT),
	  WANT(EFAULT) },
	{ "a hole punched", map_memfd, do_punch_hole, NOWHERE, true, 0, WANT(0),
	  WANT(0) },
	{ "fork, and a write", map_anonymous, do_fork, IN_PLACE, false, 0, WANT(0),
	  WANT(0) },
	{ "deregistered", map_memfd, do_deregister, ALIAS, false, ENOENT,
	  WANT(ENOENT), WANT(ENOENT) },
	{ "the file is closed", map_of_file, do_close, ALIAS, false, ENOENT,
	  WANT(ENOENT), WANT(ENOENT) },
	{ "the process is killed", map_of_child, end_owner, ALIAS, false, 0,
	  WANT(EFAULT), WANT(EFAULT) },
	{ "the process execs", map_of_child, do_exec, ALIAS, false, 0,
	  WANT(EFAULT), WANT(EFAULT) },
};

static const struct revocation swapped = {
	"swapped out", map_anonymous, do_page_out, IN_PLACE, true, 0, WANT(0),
	WANT(0)
};

/* --- RAW_DMA and PEEK themselves ---------------------------------------------------- */

static void refusals(void)
{
	struct edu_odp_peek peek;
	uint64_t dma_address;
	int status;

	if (edu_peek(fd, scratch_handle, scratch, &peek) || !peek.mode)
		odp_die(0, "our own page is not mapped");
	dma_address = peek.dma_address;
	if (!has_iommu)
		result_errno("RAW_DMA without an IOMMU",
			     edu_raw_dma(fd, EDU_ODP_READ, dma_address, SOME),
			     WANT(EOPNOTSUPP));
	fflush(stdout);
	if (!fork()) {
		edu_must(setuid(65534), "setuid");
		result_errno("RAW_DMA without CAP_SYS_RAWIO",
			     edu_raw_dma(fd, EDU_ODP_READ, dma_address, SOME),
			     WANT(EPERM));
		result_errno("PEEK without CAP_SYS_RAWIO",
			     edu_peek(fd, scratch_handle, scratch, &peek),
			     WANT(EPERM));
		_exit(0);
	}
	edu_must(wait(&status) < 0 || status, "the child without capabilities");
	if (!has_iommu)
		return;
	result_errno("RAW_DMA of no length",
		     edu_raw_dma(fd, EDU_ODP_READ, dma_address, 0), WANT(EINVAL));
	result_errno("RAW_DMA of more than the buffer",
		     edu_raw_dma(fd, EDU_ODP_READ, dma_address,
				 EDU_ODP_BUFFER + 1), WANT(EINVAL));
	result_errno("RAW_DMA that is a COPY",
		     edu_raw_dma(fd, EDU_ODP_COPY, dma_address, SOME),
		     WANT(EINVAL));
}

int main(int argc, char **argv)
{
	const bool swap = argc > 1 && !strcmp(argv[1], "swap");

	odp_stay_on_processor();
	fd = edu_open();
	faults_log = edu_faults_open();
	scratch = odp_map(ODP_PAGE);
	scratch_handle = edu_register(fd, scratch, ODP_PAGE);
	fill_buffer(OLD);
	has_iommu = edu_page_mode(fd, scratch_handle, scratch) !=
		    EDU_ODP_MODE_DIRECT;
	refusals();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try_case(&cases[i]);
	if (swap)
		try_case(&swapped);
	return ODP_OK;
}
