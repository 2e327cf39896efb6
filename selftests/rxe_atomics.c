// SPDX-License-Identifier: GPL-2.0
/*
 * Atomic operations: CMP_SWP, FETCH_AND_ADD and ATOMIC_WRITE.
 *
 * rxe_atomics align
 *   Every operation at every alignment, at the edges of pages and of the region,
 *   on an ODP region and on a pinned one: status, result and memory must be the
 *   same, and what the operation is defined to do.
 * rxe_atomics add odp|pinned COUNT
 *   Four queue pairs add to one word and to adjacent ones; a thread meanwhile
 *   takes the page away in all ways that keep its data.
 * rxe_atomics write odp|pinned COUNT
 *   ATOMIC_WRITEs, meanwhile the same, are never seen half done, and never lost.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/qp.h"

#define ACCESS	(ODP_RW | IBV_ACCESS_REMOTE_ATOMIC)
#define QPS	4
#define PAGES	4
#define EDGE	16	/* the region starts and ends that far from a page's edge */

static const struct qp_options options = { .type = IBV_QPT_RC, .sges = 1 };

/* --- align --- */

enum operation { SWAP, NO_SWAP, ADD, WRITE, OPS };

static const char * const op_names[OPS] = {
	"CMP_SWP, equal", "CMP_SWP, unequal", "FETCH_ADD", "ATOMIC_WRITE"
};

/* A region, the page that results go to, and what both must be. */
struct area {
	unsigned char *addr, *result;
	unsigned char model[PAGES * ODP_PAGE], result_model[ODP_PAGE];
	struct ibv_mr *mr, *result_mr;
};

static void open_area(struct area *a, struct odp *o, int access)
{
	const size_t len = PAGES * ODP_PAGE;

	a->addr = odp_map(len);
	odp_stamp(a->addr, len, 1, 1);
	memcpy(a->model, a->addr, len);
	a->result = odp_map(ODP_PAGE);
	a->mr = odp_reg(o, a->addr + EDGE, len - 2 * EDGE, ACCESS | access);
	a->result_mr = odp_reg(o, a->result, ODP_PAGE, ODP_RW | access);
}

static uint64_t load(const unsigned char *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return value;
}

/* What the operation does where it may; returns whether it may. */
static bool apply(struct area *a, enum operation op, size_t offset, size_t where,
		  uint64_t value)
{
	uint64_t old = load(a->model + offset);

	if (offset % 8 || offset < EDGE ||
	    offset + 8 > PAGES * ODP_PAGE - EDGE)
		return false;
	if (op != WRITE)
		memcpy(a->result_model + where, &old, sizeof(old));
	if (op == NO_SWAP)
		return true;
	if (op == ADD)
		value += old;
	memcpy(a->model + offset, &value, sizeof(value));
	return true;
}

static enum ibv_wc_status do_op(struct area *a, struct odp *pair, enum operation op,
				size_t offset, size_t where, uint64_t value)
{
	struct odp_side remote = { (uintptr_t)a->addr + offset, a->mr->rkey };
	struct odp_side result = odp_at(a->result_mr, where);
	uint64_t old = load(a->addr + offset);
	enum ibv_wc_status status;

	if (op == WRITE)
		status = qp_atomic_write(pair, remote, value);
	else
		status = qp_atomic(pair, op == ADD ? IBV_WR_ATOMIC_FETCH_AND_ADD :
					       IBV_WR_ATOMIC_CMP_AND_SWP,
				   result, remote, op == SWAP ? old : ~old, value);
	if (status)
		qp_connect(pair);
	return status;
}

static bool area_right(struct area *a)
{
	bool ok = !memcmp(a->addr, a->model, sizeof(a->model)) &&
		  !memcmp(a->result, a->result_model, ODP_PAGE);

	memcpy(a->model, a->addr, sizeof(a->model));
	memcpy(a->result_model, a->result, ODP_PAGE);
	return ok;
}

/* Both areas: 0 right, 1 wrong. */
static int align_one(struct area area[2], struct odp *pair, enum operation op,
		     size_t offset, size_t where, uint64_t value)
{
	enum ibv_wc_status status[2];
	bool right[2], allowed;

	for (int i = 0; i < 2; i++) {
		/* The ODP page is absent every other time */
		if (i && value % 2)
			madvise(area[i].result, ODP_PAGE, MADV_PAGEOUT);
		status[i] = do_op(&area[i], pair, op, offset, where, value);
		allowed = apply(&area[i], op, offset, where, value);
		right[i] = area_right(&area[i]) && allowed == !status[i];
	}
	if (right[0] && right[1] && status[0] == status[1])
		return 0;
	printf("%s at %#zx: ODP: %s, %s; pinned: %s, %s\n", op_names[op], offset,
	       right[1] ? "right" : "wrong", ibv_wc_status_str(status[1]),
	       right[0] ? "right" : "wrong", ibv_wc_status_str(status[0]));
	return 1;
}

static int align(struct odp *o, unsigned short rnd[3])
{
	static const size_t around[] = {
		0, EDGE, EDGE + 8, ODP_PAGE, 2 * ODP_PAGE + 512,
		PAGES * ODP_PAGE - EDGE - 8, PAGES * ODP_PAGE - EDGE - 4
	};
	static struct area area[2];
	unsigned long tried = 0, wrong = 0;
	struct odp pair;

	qp_open(&pair, o, options);
	open_area(&area[0], o, 0);
	open_area(&area[1], o, IBV_ACCESS_ON_DEMAND);
	for (int op = 0; op < OPS; op++)
		for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++)
			for (size_t back = 0; back < 12; back++) {
				size_t where = odp_random(rnd, ODP_PAGE - 8);

				if (around[i] < back)
					continue;
				wrong += align_one(area, &pair, op,
						   around[i] - back, where,
						   nrand48(rnd));
				tried++;
			}
	printf("%lu wrong of %lu\n", wrong, tried);
	qp_close(&pair);
	for (int i = 0; i < 2; i++) {
		ibv_dereg_mr(area[i].mr);
		ibv_dereg_mr(area[i].result_mr);
	}
	return wrong ? ODP_DEFECT : ODP_OK;
}

/* --- a thread that takes a page away and keeps its data --- */

struct disturber {
	pthread_t thread;
	void *page;
	bool stop;
	unsigned long protects, forks, pageouts;
};

static void fork_once(void)
{
	pid_t pid = fork();

	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		/* Keep the page shared for a moment: writers must copy it */
		usleep(2000);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void *disturb(void *arg)
{
	struct disturber *d = arg;

	for (unsigned int i = 0; !__atomic_load_n(&d->stop, __ATOMIC_RELAXED); i++) {
		switch (i % 16) {
		case 0:
			fork_once();
			d->forks++;
			break;
		case 1 ... 8:
			mprotect(d->page, ODP_PAGE, PROT_READ | PROT_WRITE |
				 (i % 2 ? PROT_EXEC : 0));
			d->protects++;
			break;
		default:
			if (madvise(d->page, ODP_PAGE, MADV_PAGEOUT))
				odp_die(errno, "MADV_PAGEOUT");
			d->pageouts++;
		}
		usleep(200);
	}
	return NULL;
}

static void disturb_start(struct disturber *d, void *page)
{
	d->page = page;
	if (pthread_create(&d->thread, NULL, disturb, d))
		odp_die(0, "pthread_create failed");
}

static void disturb_stop(struct disturber *d)
{
	__atomic_store_n(&d->stop, true, __ATOMIC_RELAXED);
	pthread_join(d->thread, NULL);
	printf("meanwhile: %lu mprotect, %lu fork, %lu pageout\n", d->protects,
	       d->forks, d->pageouts);
}

/* --- add --- */

/* Of a page: the word all add to, that all increase by CMP_SWP, and one each. */
enum word { SHARED = 1, SWAPPED, OWN, WORDS = OWN + QPS };

struct adder {
	pthread_t thread;
	struct odp pair;
	struct ibv_mr *mr, *result_mr;
	uint64_t *result;
	unsigned char *seen;	/* by value of the shared word */
	unsigned int number;
	unsigned long count, twice, failed, lost;
};

static enum ibv_wc_status add(struct adder *a, enum ibv_wr_opcode op,
			      unsigned int word, uint64_t compare, uint64_t value)
{
	struct odp_side remote = { (uintptr_t)a->mr->addr + word * 8, a->mr->rkey };
	enum ibv_wc_status status;

	status = qp_atomic(&a->pair, op, odp_at(a->result_mr, 0), remote, compare,
			   value);
	if (status) {
		if (!a->failed++)
			printf("word %u: %s\n", word, ibv_wc_status_str(status));
		qp_connect(&a->pair);
	}
	return status;
}

static void *add_all(void *arg)
{
	struct adder *a = arg;

	for (unsigned long i = 0; i < a->count; i++) {
		uint64_t old = 0;

		add(a, IBV_WR_ATOMIC_FETCH_AND_ADD, SHARED, 0, 1);
		if (*a->result >= QPS * a->count ||
		    __atomic_exchange_n(&a->seen[*a->result], 1, __ATOMIC_RELAXED))
			a->twice++;
		if (!add(a, IBV_WR_ATOMIC_FETCH_AND_ADD, OWN + a->number, 0, 3) &&
		    *a->result != 3 * i)
			a->lost++;
		while (!add(a, IBV_WR_ATOMIC_CMP_AND_SWP, SWAPPED, old, old + 1) &&
		       *a->result != old)
			old = *a->result;
	}
	return NULL;
}

static int add_up(struct odp *o, int access, unsigned long count)
{
	uint64_t *page = odp_map(ODP_PAGE), *results = odp_map(ODP_PAGE);
	struct adder adder[QPS] = {};
	struct disturber disturber = {};
	unsigned long wrong = 0;
	struct ibv_mr *mr = odp_reg(o, page, ODP_PAGE, ACCESS | access);
	struct ibv_mr *result_mr[QPS];
	unsigned char *seen = odp_map(QPS * count);

	for (unsigned int i = 0; i < QPS; i++) {
		uint64_t *result = results + 1 + 8 * i;

		result_mr[i] = odp_reg(o, result, 8, IBV_ACCESS_LOCAL_WRITE);
		adder[i] = (struct adder){
			.mr = mr, .result_mr = result_mr[i], .result = result,
			.seen = seen, .number = i, .count = count,
		};
		qp_open(&adder[i].pair, o, options);
	}
	disturb_start(&disturber, page);
	for (unsigned int i = 0; i < QPS; i++)
		if (pthread_create(&adder[i].thread, NULL, add_all, &adder[i]))
			odp_die(0, "pthread_create failed");
	for (unsigned int i = 0; i < QPS; i++) {
		pthread_join(adder[i].thread, NULL);
		wrong += adder[i].twice + adder[i].failed + adder[i].lost;
		wrong += page[OWN + i] != 3 * count;
		qp_close(&adder[i].pair);
		ibv_dereg_mr(result_mr[i]);
	}
	disturb_stop(&disturber);
	ibv_dereg_mr(mr);
	wrong += page[SHARED] != QPS * count;
	wrong += page[SWAPPED] != QPS * count;
	wrong += page[0] || page[WORDS];
	printf("%lu wrong; %lu additions by %d queue pairs: %lu by FETCH_ADD, %lu by CMP_SWP\n",
	       wrong, QPS * count, QPS, (unsigned long)page[SHARED],
	       (unsigned long)page[SWAPPED]);
	return wrong ? ODP_DEFECT : ODP_OK;
}

/* --- write --- */

struct watcher {
	pthread_t thread;
	const volatile uint64_t *word;
	bool stop;
	unsigned long seen, torn;
};

/* All eight bytes of what is written are equal. */
static void *watch(void *arg)
{
	struct watcher *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		uint64_t value = *w->word;

		w->seen++;
		if (value != (value & 0xff) * 0x0101010101010101ULL)
			w->torn++;
	}
	return NULL;
}

static int write_whole(struct odp *o, int access, unsigned long count)
{
	uint64_t *page = odp_map(ODP_PAGE);
	struct ibv_mr *mr = odp_reg(o, page, ODP_PAGE, ACCESS | access);
	struct watcher watcher = { .word = page + 511 };
	struct odp_side remote = { (uintptr_t)(page + 511), mr->rkey };
	struct disturber disturber = {};
	unsigned long lost = 0, failed = 0;
	struct odp pair;

	qp_open(&pair, o, options);
	disturb_start(&disturber, page);
	if (pthread_create(&watcher.thread, NULL, watch, &watcher))
		odp_die(0, "pthread_create failed");
	for (unsigned long i = 1; i <= count; i++) {
		uint64_t value = (i & 0xff) * 0x0101010101010101ULL;
		enum ibv_wc_status status = qp_atomic_write(&pair, remote, value);

		if (status) {
			if (!failed++)
				printf("%s\n", ibv_wc_status_str(status));
			qp_connect(&pair);
		} else if (*watcher.word != value) {
			lost++;
		}
	}
	__atomic_store_n(&watcher.stop, true, __ATOMIC_RELAXED);
	pthread_join(watcher.thread, NULL);
	disturb_stop(&disturber);
	qp_close(&pair);
	ibv_dereg_mr(mr);
	printf("%lu writes: %lu failed, %lu lost, %lu torn of %lu seen\n", count,
	       failed, lost, watcher.torn, watcher.seen);
	return failed || lost || watcher.torn ? ODP_DEFECT : ODP_OK;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int access, status = ODP_ERROR;
	unsigned short rnd[3];
	unsigned long count;
	struct odp o = {};

	if (argc != (strcmp(what, "align") ? 4 : 2))
		odp_die(0, "usage: rxe_atomics align | add|write odp|pinned COUNT");
	odp_seed(rnd);
	odp_open(&o);
	if (argc == 2) {
		status = align(&o, rnd);
	} else {
		access = strcmp(argv[2], "odp") ? 0 : IBV_ACCESS_ON_DEMAND;
		count = strtoul(argv[3], NULL, 0);
		status = (strcmp(what, "add") ? write_whole : add_up)(&o, access,
								      count);
	}
	odp_close(&o);
	return status;
}
