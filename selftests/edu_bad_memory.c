// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that a device must not reach: each use of it gives the errno that edu_odp.h
 * says, what is beside it stays as it was, and the device goes on working. A line
 * for each case.
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/edu.h"

#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack 453
#endif

enum { BEFORE, BAD, AFTER, PAGES };

#define LEN	(PAGES * ODP_PAGE)
#define OLD	1
#define NEW	2

static int fd;
static unsigned char *good;	/* pages of our own */
static uint32_t good_handle;

struct memory {
	const char *name;
	/* Puts it at page BAD of addr: 0 or why it cannot be had, an errno */
	int (*make)(unsigned char *addr);
	const int *read, *write;
};

/* --- what is made bad ----------------------------------------------------------- */

static int put(unsigned char *addr, int prot, int flags, int from)
{
	return mmap(addr, ODP_PAGE, prot, flags | MAP_FIXED, from, 0) == MAP_FAILED ?
	       errno : 0;
}

static int make_hole(unsigned char *addr)
{
	return munmap(addr, ODP_PAGE) ? errno : 0;
}

static int make_no_access(unsigned char *addr)
{
	return put(addr, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int make_read_only(unsigned char *addr)
{
	return mprotect(addr, ODP_PAGE, PROT_READ) ? errno : 0;
}

static int make_file_read_only(unsigned char *addr)
{
	int file = open("/proc/self/exe", O_RDONLY);

	return file < 0 ? errno : put(addr, PROT_READ, MAP_SHARED, file);
}

/* The file ends in front of it. */
static int make_beyond_end(unsigned char *addr)
{
	int file = memfd_create("edu_bad_memory", MFD_CLOEXEC);

	return put(addr, PROT_READ | PROT_WRITE, MAP_SHARED, file);
}

static int make_secret(unsigned char *addr)
{
	int secret = syscall(SYS_memfd_secret, 0), err;

	if (secret < 0 || ftruncate(secret, ODP_PAGE))
		return errno;
	err = put(addr, PROT_READ | PROT_WRITE, MAP_SHARED, secret);
	if (!err)
		memset(addr, 1, ODP_PAGE);
	return err;
}

static int make_shadow_stack(unsigned char *addr)
{
	int err = make_hole(addr);

	return err ?: syscall(__NR_map_shadow_stack, addr, ODP_PAGE, 0) < 0 ?
	       errno : 0;
}

/* What matches, and can be mapped. */
static int make_from(unsigned char *addr, const char *pattern)
{
	int err = ENOENT;
	glob_t found;

	if (glob(pattern, 0, NULL, &found))
		return err;
	for (size_t i = 0; i < found.gl_pathc && err; i++) {
		int file = open(found.gl_pathv[i], O_RDWR);

		err = file < 0 ? errno : put(addr, PROT_READ | PROT_WRITE,
					     MAP_SHARED, file);
		close(file);
	}
	globfree(&found);
	return err;
}

static int make_device(unsigned char *addr)
{
	return make_from(addr, "/sys/bus/pci/devices/*/resource[0-9]");
}

static int make_peer(unsigned char *addr)
{
	return make_from(addr, "/sys/bus/pci/devices/*/p2pmem/allocate");
}

/* Of the first megabyte, which /dev/mem is still good for. */
static int make_dev_mem(unsigned char *addr)
{
	int mem = open("/dev/mem", O_RDWR | O_SYNC);

	if (mem < 0)
		return errno;
	return mmap(addr, ODP_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		    mem, 0xf0000) == MAP_FAILED ? errno : 0;
}

static void told(int signal)
{
	(void)signal;
}

static int make_poisoned(unsigned char *addr)
{
	signal(SIGBUS, told);
	return madvise(addr, ODP_PAGE, MADV_HWPOISON) ? errno : 0;
}

static const struct memory memories[] = {
	{ "a hole", make_hole, WANT(EFAULT), WANT(EFAULT) },
	{ "no access", make_no_access, WANT(EFAULT), WANT(EFAULT, EPERM) },
	{ "read-only memory", make_read_only, WANT(0), WANT(EPERM) },
	{ "a file's read-only mapping", make_file_read_only, WANT(0), WANT(EPERM) },
	{ "beyond a file's end", make_beyond_end, WANT(EFAULT), WANT(EFAULT) },
	{ "memfd_secret", make_secret, WANT(EFAULT), WANT(EFAULT) },
	{ "a shadow stack", make_shadow_stack, WANT(EFAULT), WANT(EFAULT, EPERM) },
	{ "a device's registers", make_device, WANT(EFAULT), WANT(EFAULT) },
	{ "/dev/mem", make_dev_mem, WANT(EFAULT), WANT(EFAULT) },
	{ "P2PDMA memory", make_peer, WANT(EFAULT), WANT(EFAULT) },
	{ "a poisoned page", make_poisoned, WANT(EHWPOISON, EFAULT),
	  WANT(EHWPOISON, EFAULT) },
};

/* --- what is done with it ---------------------------------------------------------- */

static bool beside_intact(const unsigned char *addr)
{
	return odp_stamped(addr, ODP_PAGE, BEFORE, OLD) &&
	       odp_stamped(addr + AFTER * ODP_PAGE, ODP_PAGE, AFTER, OLD);
}

static bool works(void)
{
	odp_stamp(good, ODP_PAGE, 7, NEW);
	memset(good + ODP_PAGE, 0, ODP_PAGE);
	return !edu_copy(fd, good_handle, good, good_handle, good + ODP_PAGE,
			 ODP_PAGE) &&
	       odp_stamped(good + ODP_PAGE, ODP_PAGE, 7, NEW);
}

static void judge(const struct memory *m, const unsigned char *addr,
		  const char *what, int err, const int *want)
{
	char text[120];

	snprintf(text, sizeof(text), "%s, %s", m->name, what);
	if (!beside_intact(addr))
		result_is(false, text, "a page beside it has changed");
	else if (!works())
		result_is(false, text, "the device does not work afterwards");
	else
		result_errno(text, err, want);
}

static void use(const struct memory *m, unsigned char *addr, uint32_t handle)
{
	unsigned char *bad = addr + BAD * ODP_PAGE;
	const uint32_t g = good_handle;

	odp_stamp(good, LEN, 0, NEW);
	judge(m, addr, "PREFETCH", edu_prefetch(fd, handle, bad, ODP_PAGE, 0),
	      m->read);
	judge(m, addr, "PREFETCH for writing",
	      edu_prefetch(fd, handle, bad, ODP_PAGE, EDU_ODP_PREFETCH_WRITE),
	      m->write);
	judge(m, addr, "READ", edu_read(fd, handle, bad, ODP_PAGE), m->read);
	judge(m, addr, "READ of its last byte",
	      edu_read(fd, handle, bad + ODP_PAGE - 1, 1), m->read);
	judge(m, addr, "READ from the page before to the page after",
	      edu_read(fd, handle, addr, LEN), m->read);
	judge(m, addr, "WRITE", edu_write(fd, handle, bad, ODP_PAGE), m->write);
	judge(m, addr, "WRITE to its first byte", edu_write(fd, handle, bad, 1),
	      m->write);
	judge(m, addr, "COPY from it", edu_copy(fd, handle, bad, g, good, 100),
	      m->read);
	judge(m, addr, "COPY to it", edu_copy(fd, g, good, handle, bad, 100),
	      m->write);
}

static void try_memory(const struct memory *m)
{
	unsigned char *addr = edu_reserve(LEN);
	uint32_t handle;
	int err;

	edu_put_small(addr, LEN);
	for (int i = 0; i < PAGES; i++)
		odp_stamp(addr + i * ODP_PAGE, ODP_PAGE, i, OLD);
	err = m->make(addr + BAD * ODP_PAGE);
	if (err) {
		result_skip(m->name, strerror(err));
		return;
	}
	handle = edu_register(fd, addr, LEN);
	use(m, addr, handle);
	if (edu_deregister(fd, handle))
		odp_die(0, "%s: the range is gone", m->name);
	munmap(addr, LEN);
}

/* The memory of a process that is gone: its handle is its exit status. */
static void dead_process(void)
{
	unsigned char *addr = odp_map(LEN);
	uint32_t handle;
	pid_t child = fork();
	int status;

	if (child < 0)
		odp_die(errno, "fork");
	if (!child) {
		handle = edu_register(fd, addr, LEN);
		_exit(edu_write(fd, handle, addr, LEN) ? 0 : handle);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		odp_die(0, "a child: wait status %#x", status);
	handle = WEXITSTATUS(status);
	result_errno("a dead process, READ", edu_read(fd, handle, addr, 1),
		     WANT(EFAULT));
	result_errno("a dead process, WRITE", edu_write(fd, handle, addr, 1),
		     WANT(EFAULT));
	result_errno("a dead process, PREFETCH", edu_prefetch(fd, handle, addr, 1, 0),
		     WANT(EFAULT));
	result_errno("a dead process, DEREGISTER", edu_deregister(fd, handle),
		     WANT(0));
}

int main(void)
{
	fd = edu_open();
	good = odp_map(LEN);
	good_handle = edu_register(fd, good, LEN);
	for (size_t i = 0; i < sizeof(memories) / sizeof(memories[0]); i++)
		try_memory(&memories[i]);
	dead_process();
	return ODP_OK;
}
