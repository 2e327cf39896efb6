// SPDX-License-Identifier: GPL-2.0
/*
 * SENDs, and WRITEs with immediate data, to pair_owner on another machine: numbered
 * messages with a check sum, which it checks, and answers each by a SEND. Its buffers'
 * pages come and go, and so do those here.
 *
 * pair_messages HOST odp|pinned COUNT LENGTH
 *   messages of up to LENGTH bytes (8 KiB at most)
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/pair.h"

#define SHOWN	10

static struct odp o;
static struct pair_link link_to[PAIR_LINKS];
static struct pair_welcome there;
static struct ibv_mr *mr;
static unsigned char *out, *in;		/* PAIR_DEPTH slots each */
static uint64_t sum[PAIR_DEPTH];
static enum pair_mode mode;
static unsigned short rnd[3];
static int tcp;
static unsigned long wrong, bytes, answered;

static void complain(const char *what, unsigned long number)
{
	if (wrong++ < SHOWN)
		printf("message %lu: %s\n", number, what);
}

static uint64_t ask(enum pair_command command, uint64_t value)
{
	return pair_ask(tcp, (struct pair_request){ .command = command, .value = value });
}

static void receive(unsigned int slot)
{
	if (mode != PAIR_PINNED && slot % 4 == 0)
		madvise(in + slot * PAIR_SLOT, PAIR_SLOT, MADV_DONTNEED);
	pair_receive(&link_to[0], odp_at(mr, in - (unsigned char *)mr->addr + slot * PAIR_SLOT),
		     PAIR_SLOT, slot);
}

static void receive_all(void)
{
	for (unsigned int i = 0; i < PAIR_DEPTH; i++)
		receive(i);
}

static void send_message(unsigned long number, size_t max_length)
{
	unsigned int slot = number % PAIR_DEPTH;
	struct pair_message *message = (void *)(out + slot * PAIR_SLOT);
	const size_t head = sizeof(*message);
	size_t len = head + 8 * odp_random(rnd, (max_length - head) / 8 + 1);
	struct ibv_sge sge = { (uintptr_t)message, len, mr->lkey };
	struct ibv_send_wr wr = {
		.wr_id = slot,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};

	if (odp_random(rnd, 2)) {
		wr.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
		wr.imm_data = slot;
		wr.wr.rdma.remote_addr = there.mailbox.addr + PAIR_WRITTEN(slot);
		wr.wr.rdma.rkey = there.mailbox.key;
	}
	odp_stamp(message + 1, len - head, number, len);
	sum[slot] = pair_sum(message + 1, len - head);
	*message = (struct pair_message){ number, len, sum[slot] };
	bytes += len;
	pair_post(&link_to[0], &wr);
}

/* They come in the order of the messages. */
static void check_answer(unsigned int slot)
{
	const struct pair_message *message = (void *)(in + slot * PAIR_SLOT);

	if (message->number != answered)
		complain("another one was answered", answered);
	else if (message->sum != ~sum[answered % PAIR_DEPTH])
		complain("the other side says that it is wrong", answered);
	answered++;
	receive(slot);
}

static void exchange(unsigned long count, size_t max_length)
{
	unsigned long sent = 0, left = 0;

	while (answered < count) {
		struct ibv_wc wc;

		/* A slot is free when its message has left and was answered */
		while (sent < count && sent - answered < PAIR_DEPTH && sent - left < PAIR_DEPTH)
			send_message(sent++, max_length);
		wc = pair_wait(&link_to[0]);
		if (wc.status) {
			complain(ibv_wc_status_str(wc.status), answered);
			return;
		}
		if (wc.opcode & IBV_WC_RECV)
			check_answer(wc.wr_id);
		else
			left++;
	}
}

int main(int argc, char **argv)
{
	struct pair_hello hello = { .messages = 1 };
	unsigned long count, taken, counted;
	size_t length;

	if (argc != 5)
		odp_die(0, "usage: pair_messages HOST odp|pinned COUNT LENGTH");
	mode = pair_mode_of(argv[2]);
	hello.mode = mode;
	count = strtoul(argv[3], NULL, 0);
	length = strtoul(argv[4], NULL, 0);
	if (length < sizeof(struct pair_message) || length > PAIR_SLOT)
		odp_die(0, "a message is of 24 to 8192 bytes");
	odp_seed(rnd);
	odp_open(&o);
	out = odp_map(2 * PAIR_DEPTH * PAIR_SLOT);
	in = out + PAIR_DEPTH * PAIR_SLOT;
	mr = odp_reg(&o, out, 2 * PAIR_DEPTH * PAIR_SLOT, pair_access(mode));
	tcp = pair_dial(argv[1]);
	pair_tell(tcp, &hello, sizeof(hello));
	pair_must_hear(tcp, &there, sizeof(there));
	pair_join_owner(&o, link_to, tcp, receive_all);
	ask(PAIR_STORM, 1);
	exchange(count, length);
	taken = ask(PAIR_STORM, 0);
	counted = ask(PAIR_MESSAGES, 0);
	if (counted != (count << 32 | count))
		complain("the other side counts otherwise", counted >> 32);
	ask(PAIR_END, 0);
	pair_part(link_to, PAIR_LINKS);
	ibv_dereg_mr(mr);
	odp_close(&o);
	printf("%lu messages, %lu KiB, %lu answers, %lu wrong; pages taken away %lu times\n",
	       count, bytes >> 10, answered, wrong, taken);
	return wrong ? ODP_DEFECT : ODP_OK;
}
