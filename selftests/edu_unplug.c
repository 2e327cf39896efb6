// SPDX-License-Identifier: GPL-2.0
/*
 * The device goes while DMAs are in flight: they end with ENODEV, and so does every
 * later call of a file that is still open.
 *
 * edu_unplug FILE TEXT   writes TEXT to FILE at a random moment, which takes the
 *                        device away
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/edu.h"
#include "lib/uffd.h"

#define THREADS		4
#define PAGES		8UL	/* of a thread: half of them are copied to the others */
#define LEN		(PAGES * ODP_PAGE)
/* Registered are whole windows: smaller ranges of IOVA the kernel keeps for later. */
#define RANGE		EDU_HUGE
#define LEAVERS		12
#define LEAVE_US	250000	/* the device takes that long to go */
#define LIMIT_S		30	/* of guest time for anything */

static int fd;
static uint32_t all;
static atomic_uint open_files;	/* of those that leave */

struct worker {
	pthread_t thread;
	unsigned char *addr;
	uint32_t handle;
	unsigned long copies, wrong;
	int err;
};

static unsigned char *map_range(void)
{
	unsigned char *addr = edu_reserve(RANGE);

	edu_put_small(addr, LEN);
	return addr;
}

/* COPYs until one fails; what was done before is right. */
static void *copy(void *arg)
{
	struct worker *w = arg;

	for (uint64_t stamp = 1; ; stamp++) {
		for (size_t i = 0; i < PAGES / 2; i++)
			odp_stamp(w->addr + i * ODP_PAGE, ODP_PAGE, i, stamp);
		w->err = edu_copy(fd, w->handle, w->addr, all, w->addr + LEN / 2,
				  LEN / 2);
		if (w->err)
			return NULL;
		w->copies++;
		for (size_t i = 0; i < PAGES / 2; i++)
			w->wrong += !odp_stamped(w->addr + LEN / 2 + i * ODP_PAGE,
						 ODP_PAGE, i, stamp);
		madvise(w->addr, LEN, MADV_DONTNEED);
	}
}

static void *come_and_go(void *arg)
{
	struct worker *w = arg;

	do {
		uint32_t handle;

		w->err = edu_try_register(fd, w->addr, RANGE, 0, &handle);
		if (!w->err)
			w->err = edu_prefetch(fd, handle, w->addr, LEN, 0);
		if (!w->err)
			w->err = edu_deregister(fd, handle);
		w->copies++;
		usleep(1000);
	} while (!w->err);
	return NULL;
}

/* A file of its own, closed while the device goes: some time after its calls fail. */
static void *leave(void *arg)
{
	struct worker *w = arg;
	const int file = edu_open();
	const uint32_t handle = edu_register(file, w->addr, RANGE);

	atomic_fetch_add(&open_files, 1);
	do {
		w->err = edu_prefetch(file, handle, w->addr, LEN,
				      EDU_ODP_PREFETCH_WRITE);
		usleep(1000);
	} while (!w->err);
	usleep(w->copies);
	close(file);
	/* Pages go of which nobody may know any more. */
	madvise(w->addr, LEN, MADV_DONTNEED);
	return NULL;
}

/* A page that nobody serves before the device has gone. */
static int wait_for_page(struct worker *w)
{
	int uffd = uffd_open();

	uffd_watch(uffd, w->addr, LEN);
	return uffd;
}

static void *read_absent(void *arg)
{
	struct worker *w = arg;

	w->err = edu_read(fd, w->handle, w->addr, ODP_PAGE);
	return NULL;
}

static void start(struct worker *w, void *(*run)(void *))
{
	if (pthread_create(&w->thread, NULL, run, w))
		odp_die(0, "pthread_create");
}

static unsigned long stop(struct worker *w, const char *what)
{
	const unsigned long wrong = w->wrong;

	pthread_join(w->thread, NULL);
	if (wrong)
		printf("%s: wrong data\n", what);
	if (w->err != ENODEV)
		printf("%s: %s after %lu\n", what, strerror(w->err), w->copies);
	return wrong + (w->err != ENODEV);
}

static unsigned long later(const char *what, int err)
{
	if (err == ENODEV)
		return 0;
	printf("%s afterwards: %s\n", what, err ? strerror(err) : "accepted");
	return 1;
}

static unsigned long later_calls(struct worker *w)
{
	struct edu_odp_query query = { .handle = w->handle };
	struct edu_odp_device device = {};
	struct edu_odp_peek peek;
	uint32_t handle;

	return later("DEVICE", edu_ioctl(fd, EDU_ODP_IOC_DEVICE, &device)) +
	       later("REGISTER", edu_try_register(fd, w->addr, RANGE, 0, &handle)) +
	       later("READ", edu_read(fd, w->handle, w->addr, LEN)) +
	       later("WRITE", edu_write(fd, w->handle, w->addr, LEN)) +
	       later("PREFETCH", edu_prefetch(fd, w->handle, w->addr, LEN, 0)) +
	       later("QUERY", edu_ioctl(fd, EDU_ODP_IOC_QUERY, &query)) +
	       later("PEEK", edu_peek(fd, w->handle, w->addr, &peek)) +
	       later("RAW_DMA", edu_raw_dma(fd, EDU_ODP_READ, 0, 1)) +
	       later("DEREGISTER", edu_deregister(fd, w->handle));
}

static void take_away(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		odp_die(errno, "%s", path);
	close(file);
}

int main(int argc, char **argv)
{
	struct worker workers[THREADS] = {}, leavers[LEAVERS] = {};
	struct worker visitor = {}, absent = {};
	unsigned long wrong = 0, copies = 0;
	unsigned short rnd[3];
	double begin;
	int uffd;

	if (argc != 3)
		odp_die(0, "usage: %s FILE TEXT", argv[0]);
	odp_seed(rnd);
	fd = edu_open();
	all = edu_register_all(fd);
	visitor.addr = map_range();
	absent.addr = map_range();
	absent.handle = edu_register(fd, absent.addr, RANGE);
	uffd = wait_for_page(&absent);
	start(&visitor, come_and_go);
	start(&absent, read_absent);
	for (int i = 0; i < THREADS; i++) {
		workers[i].addr = map_range();
		workers[i].handle = edu_register(fd, workers[i].addr, RANGE);
		start(&workers[i], copy);
	}
	for (int i = 0; i < LEAVERS; i++) {
		leavers[i].addr = map_range();
		leavers[i].copies = odp_random(rnd, LEAVE_US);
		start(&leavers[i], leave);
	}
	while (atomic_load(&open_files) < LEAVERS)
		edu_sleep(0.001);
	alarm(LIMIT_S);
	edu_sleep(odp_random(rnd, 3000) / 1e3);
	begin = edu_seconds();
	take_away(argv[1], argv[2]);
	printf("gone in %.3f s\n", edu_seconds() - begin);
	for (int i = 0; i < THREADS; i++) {
		wrong += stop(&workers[i], "COPY");
		copies += workers[i].copies;
	}
	for (int i = 0; i < LEAVERS; i++)
		wrong += stop(&leavers[i], "PREFETCH of a file that is closed then");
	wrong += stop(&visitor, "ranges that come and go");
	/* The page fault ends with this, if it has not been given up */
	close(uffd);
	wrong += stop(&absent, "READ of an absent page");
	wrong += later_calls(&workers[0]);
	printf("%lu COPYs before, %lu ranges; %lu wrong\n", copies, visitor.copies,
	       wrong);
	return wrong ? ODP_DEFECT : ODP_OK;
}
