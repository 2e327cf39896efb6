// SPDX-License-Identifier: GPL-2.0
/* What owner and peers share, see storm.h */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "storm.h"

#define HOT_PAGES	16
#define HOT_MS		300
#define SHOWN		5

static unsigned long milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000UL + t.tv_nsec / 1000000;
}

/* Most are at the same few pages for a while, and meet there. */
size_t storm_page(struct storm *s, unsigned short rnd[3])
{
	const size_t parts = s->pages / HOT_PAGES;

	if (s->everywhere || odp_random(rnd, 4) == 0)
		return odp_random(rnd, s->pages);
	return milliseconds() / HOT_MS * 37 % parts * HOT_PAGES + odp_random(rnd, HOT_PAGES);
}

void storm_verdict(struct storm *s, enum history_verdict verdict, const char *who,
		   const char *why)
{
	static atomic_uint shown;

	if (verdict == HISTORY_REFUSED && s->errors_are_right)
		return;
	atomic_fetch_add(&s->verdicts[verdict], 1);
	if (verdict != HISTORY_RIGHT && verdict != HISTORY_UNKNOWN &&
	    atomic_fetch_add(&shown, 1) < SHOWN)
		printf("%s: %s: %s\n", who, history_verdict_name[verdict], why);
}

void storm_judge(struct storm *s, const char *who, size_t block, size_t blocks,
		 const unsigned char *seen, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < blocks; i++, seen += HISTORY_BLOCK) {
		enum history_verdict verdict;
		char text[900];

		verdict = history_judge(s->history, block + i, seen, from, to);
		if (verdict != HISTORY_RIGHT)
			history_explain(s->history, block + i, seen, from, to, text,
					sizeof(text));
		storm_verdict(s, verdict, who, text);
	}
	atomic_fetch_add(&s->bytes, blocks * HISTORY_BLOCK);
}

/* --- the actors' threads ---------------------------------------------------------------- */

#define SHARED_THREADS	3	/* of those who do not want one alone */

struct thread {
	struct actor_thread t;
	const struct actor *const *actors;
	size_t which[STORM_ACTORS], count;
};

static void *act(void *arg)
{
	struct thread *thread = arg;
	struct storm *s = thread->t.area->storm;

	/* An owner that is given no rest ends amid all of it */
	while (!storm_phase_is(s, STORM_RESTS)) {
		const size_t i = thread->which[odp_random(thread->t.rnd, thread->count)];

		thread->actors[i]->act(&thread->t);
		atomic_fetch_add(&s->acts[i], 1);
	}
	return NULL;
}

void actors_run(struct area *a, const struct actor *const actors[], size_t count)
{
	struct thread *threads = calloc(SHARED_THREADS + count, sizeof(*threads));
	pthread_t ids[SHARED_THREADS + STORM_ACTORS];
	size_t made = SHARED_THREADS;

	if (!threads)
		odp_die(ENOMEM, "calloc");
	for (size_t i = 0; i < count; i++) {
		if (actors[i]->alone) {
			threads[made].which[threads[made].count++] = i;
			made++;
			continue;
		}
		for (size_t n = 0; n < SHARED_THREADS; n++)
			threads[n].which[threads[n].count++] = i;
	}
	/* All maps before the first thread: its move_in leaves holes for a moment */
	for (size_t n = 0; n < made; n++) {
		struct actor_thread *t = &threads[n].t;

		threads[n].actors = actors;
		t->area = a;
		memcpy(t->rnd, a->storm->seed, sizeof(t->rnd));
		t->rnd[2] += 100 + n;
		t->fresh = odp_map(ACTOR_PART * ODP_PAGE);
		t->parked = odp_map(ACTOR_PART * ODP_PAGE);
		t->kept = odp_map(ACTOR_PART * ODP_PAGE);
	}
	for (size_t n = 0; n < made; n++)
		if (threads[n].count && pthread_create(&ids[n], NULL, act, &threads[n]))
			odp_die(0, "pthread_create");
	for (size_t n = 0; n < made; n++)
		if (threads[n].count)
			pthread_join(ids[n], NULL);
	free(threads);
}

static const struct actor *actor_named(const char *name)
{
	const struct actor *const all[] = { storm_actors, pressure_actors };

	for (size_t i = 0; i < 2; i++)
		for (const struct actor *a = all[i]; a->name; a++)
			if (!strcmp(a->name, name))
				return a;
	odp_die(0, "no actor %s", name);
}

size_t actors_named(const char *names, const struct actor *actors[STORM_ACTORS])
{
	char text[400], *rest = text, *name;
	size_t count = 0;

	snprintf(text, sizeof(text), "%s", names);
	while ((name = strsep(&rest, ",")) && count < STORM_ACTORS)
		actors[count++] = actor_named(name);
	return count;
}
