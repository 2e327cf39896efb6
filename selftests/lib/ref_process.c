// SPDX-License-Identifier: GPL-2.0
/* The life of a process, see ref.h */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "patience.h"
#include "ref.h"
#include "uffd.h"

#define TRIES		50	/* to destroy what others use */
#define WAITING		32	/* page faults that will be served */
#define SERVED_MS	150	/* after that at the latest, if they are */

static void open_device(struct ref_world *w, unsigned int device)
{
	setenv("ODP_DEV", w->storm->devices[device], 1);
	odp_open(&w->devices[device]);
	if (fcntl(w->devices[device].ctx->async_fd, F_SETFL, O_NONBLOCK))
		odp_die(errno, "O_NONBLOCK");
}

static void make_memory(struct ref_world *w)
{
	for (enum ref_memory i = 0; i < REF_MEMORIES; i++)
		w->memory[i] = odp_map(REF_LEN);
	w->file = memfd_create("ref", MFD_CLOEXEC);
	if (w->file < 0 || ftruncate(w->file, REF_LEN) ||
	    mmap(w->memory[REF_FILE], REF_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 w->file, 0) != w->memory[REF_FILE])
		odp_die(errno, "a file's memory");
	uffd_watch(w->uffd, w->memory[REF_HELD], REF_LEN);
}

static void make_objects(struct ref_thread *t)
{
	struct ref_world *w = t->world;

	pthread_mutex_init(&w->srq_lock, NULL);
	for (unsigned int device = 0; device < REF_DEVICES; device++) {
		for (unsigned int i = 0; i < REF_MEMORIES; i++) {
			pthread_mutex_init(&w->regions[device][i].lock, NULL);
			ref_make_region(t, device, i);
		}
		for (unsigned int i = 0; i < REF_MWS; i++) {
			pthread_mutex_init(&w->windows[device][i].lock, NULL);
			ref_make_window(t, device, &w->windows[device][i]);
		}
		ref_make_srq(t, device);
	}
	for (unsigned int i = 0; i < REF_PAIRS; i++) {
		pthread_mutex_init(&w->pairs[i].lock, NULL);
		ref_make_pair(t, &w->pairs[i]);
	}
}

/* In any order; what others still use is tried again. */
static unsigned int free_some(struct ref_thread *t)
{
	struct ref_world *w = t->world;
	unsigned int left = 0;
	const unsigned int first = odp_random(t->rnd, 3);

	for (unsigned int i = first; i < first + 3; i++) {
		for (unsigned int n = 0; i % 3 == 0 && n < REF_PAIRS; n++)
			left += !ref_free_pair(t, &w->pairs[n]);
		for (unsigned int device = 0; device < REF_DEVICES; device++) {
			for (unsigned int n = 0; i % 3 == 1 && n < REF_MEMORIES; n++)
				left += !ref_free_region(t, &w->regions[device][n]);
			for (unsigned int n = 0; i % 3 == 2 && n < REF_MWS; n++)
				left += !ref_free_window(t, &w->windows[device][n]);
		}
	}
	return left;
}

static void close_device(struct ref_thread *t, struct odp *o)
{
	int err = REF_CALL(t, ibv_destroy_qp, o->qp);

	err = err ?: REF_CALL(t, ibv_destroy_qp, o->peer);
	err = err ?: REF_CALL(t, ibv_destroy_cq, o->cq);
	err = err ?: REF_CALL(t, ibv_dealloc_pd, o->pd);
	err = err ?: REF_CALL(t, ibv_close_device, o->ctx);
	if (err)
		odp_die(err, "a device cannot be closed");
}

static void tidy(struct ref_thread *t)
{
	unsigned int left = 1;

	for (int i = 0; i < TRIES && left; i++)
		left = free_some(t);
	if (left)
		odp_die(0, "%u objects cannot be destroyed", left);
	for (unsigned int device = 0; device < REF_DEVICES; device++) {
		if (!ref_free_srq(t, device))
			odp_die(0, "an SRQ cannot be destroyed");
		close_device(t, &t->world->devices[device]);
	}
}

/* The kernel tells of each overflow, once. */
static void count_overflows(struct ref_thread *t)
{
	struct ibv_async_event event;

	for (unsigned int device = 0; device < REF_DEVICES; device++) {
		while (!ibv_get_async_event(t->world->devices[device].ctx, &event)) {
			if (event.event_type == IBV_EVENT_CQ_ERR)
				ref_add(t, REF_OVERFLOWS);
			ibv_ack_async_event(&event);
		}
	}
}

/* Some page faults are served some time after; the others last for as long as the process. */
static void serve_some(struct ref_thread *t)
{
	static const unsigned char zeros[ODP_PAGE];
	struct {
		unsigned char *page;
		double due;
	} waiting[WAITING] = {};
	struct ref_world *w = t->world;

	while (w->self->order == REF_GO) {
		unsigned char *page = uffd_asked(w->uffd, 5);

		count_overflows(t);
		if (page)
			ref_add(t, REF_FAULTS);
		for (int i = 0; i < WAITING; i++) {
			if (!waiting[i].page && page && odp_random(t->rnd, 4)) {
				waiting[i].page = page;
				waiting[i].due = patience_seconds() +
						 odp_random(t->rnd, SERVED_MS) / 1000.0;
				page = NULL;
			} else if (waiting[i].page && patience_seconds() > waiting[i].due) {
				if (!uffd_serve(w->uffd, waiting[i].page, zeros))
					ref_add(t, REF_SERVED);
				waiting[i].page = NULL;
			}
		}
	}
}

void ref_run(struct ref_storm *s, struct ref_process *self)
{
	struct ref_world *w = calloc(1, sizeof(*w));
	struct ref_thread threads[REF_THREADS + 1];
	pthread_t ids[REF_THREADS];
	bool late;

	if (!w)
		odp_die(ENOMEM, "calloc");
	w->storm = s;
	w->self = self;
	for (unsigned int i = 0; i <= REF_THREADS; i++) {
		threads[i] = (struct ref_thread){ .world = w, .call = &self->calls[i] };
		memcpy(threads[i].rnd, self->seed, sizeof(self->seed));
		threads[i].rnd[0] += i;
		self->calls[i].name = NULL;
	}
	w->prefetches_held = odp_random(threads[0].rnd, 2);
	/* Who exits closes the older one first */
	late = odp_random(threads[0].rnd, 2);
	if (!late)
		w->uffd = uffd_open();
	for (unsigned int device = 0; device < REF_DEVICES; device++)
		open_device(w, device);
	if (late)
		w->uffd = uffd_open();
	make_memory(w);
	make_objects(&threads[0]);
	self->uffd = w->uffd;
	for (unsigned int i = 0; i < REF_THREADS; i++)
		if (pthread_create(&ids[i], NULL, ref_work, &threads[i + 1]))
			odp_die(0, "pthread_create");
	serve_some(&threads[0]);
	if (self->order == REF_EXIT)
		_exit(ODP_OK);
	w->stop = true;
	for (unsigned int i = 0; i < REF_THREADS; i++)
		pthread_join(ids[i], NULL);
	tidy(&threads[0]);
	exit(ODP_OK);
}
