// SPDX-License-Identifier: GPL-2.0
/*
 * A queue pair is destroyed while a packet that is for it has just found it, and has no
 * reference yet. held_lookup.ko holds the packet there.
 *
 * rxe_lookup ROUNDS: how often that was so, and whether what had been found was freed.
 */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/odp.h"
#include "lib/qp.h"

#define PARAMETERS "/sys/module/held_lookup/parameters/"

static void set_index(unsigned int index)
{
	FILE *file = fopen(PARAMETERS "index", "w");

	if (!file || fprintf(file, "%u\n", index) < 0 || fclose(file))
		odp_die(errno, PARAMETERS "index");
}

static unsigned int count(const char *path)
{
	FILE *file = fopen(path, "r");
	char text[20] = "";

	if (!file || !fgets(text, sizeof(text), file))
		odp_die(errno, "%s", path);
	fclose(file);
	return strtoul(text, NULL, 10);
}

static bool is_held(void)
{
	FILE *file = fopen(PARAMETERS "held", "r");
	int answer;

	if (!file)
		odp_die(errno, PARAMETERS "held");
	answer = fgetc(file);
	fclose(file);
	return answer == 'Y';
}

/* Whether the queue pair was gone before the packet went on. */
static bool destroyed_meanwhile(const struct odp *o)
{
	struct ibv_send_wr send = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED };
	struct odp pair;
	bool was_held;

	qp_open(&pair, o, (struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
	set_index(pair.peer->qp_num);
	odp_post(&pair, &send);
	for (int i = 0; i < 10000 && !is_held(); i++)
		usleep(100);
	if (ibv_destroy_qp(pair.peer))
		odp_die(errno, "ibv_destroy_qp");
	was_held = is_held();
	set_index(0);
	pair.peer = ibv_create_qp(o->pd, &(struct ibv_qp_init_attr){
		.send_cq = pair.cq, .recv_cq = pair.cq, .qp_type = IBV_QPT_RC,
		.cap = { .max_send_wr = 1, .max_recv_wr = 1 },
	});
	if (!pair.peer)
		odp_die(errno, "ibv_create_qp");
	qp_close(&pair);
	return was_held;
}

int main(int argc, char **argv)
{
	const unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
	unsigned long meanwhile = 0;
	unsigned int freed;
	struct odp o = {};

	odp_open(&o);
	freed = count(PARAMETERS "freed");
	for (unsigned long i = 0; i < rounds; i++)
		meanwhile += destroyed_meanwhile(&o);
	freed = count(PARAMETERS "freed") - freed;
	odp_close(&o);
	printf("%lu of %lu queue pairs destroyed while a packet had found them, %u freed then\n",
	       meanwhile, rounds, freed);
	if (freed)
		return ODP_DEFECT;
	return meanwhile ? ODP_OK : ODP_ERROR;
}
