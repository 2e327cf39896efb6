/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A peer that is no RDMA device: packets of RoCE v2 made by hand, sent and received on
 * the other end of the net device that the RDMA device is on (veth). IPv4 only.
 */
#ifndef ROCE_H
#define ROCE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROCE_MAX	4096	/* bytes of a packet behind its BTH */

enum roce_opcode {
	ROCE_WRITE_FIRST	= 0x06,
	ROCE_WRITE_ONLY		= 0x0a,
	ROCE_READ_REQUEST	= 0x0c,
	ROCE_READ_FIRST		= 0x0d,
	ROCE_READ_ONLY		= 0x10,
	ROCE_ACK		= 0x11,
	ROCE_ATOMIC_ACK		= 0x12,
	ROCE_CMP_SWAP		= 0x13,
	ROCE_FETCH_ADD		= 0x14,
	ROCE_FLUSH		= 0x1c,
	ROCE_ATOMIC_WRITE	= 0x1d,
};

enum { ROCE_NAK_PSN = 0x60, ROCE_NAK_INVALID = 0x61, ROCE_NAK_ACCESS = 0x62 };

struct roce {
	int fd, ifindex;
	uint8_t mac[6], peer_mac[6];
	struct in_addr addr, peer;
	uint32_t qpn;		/* the peer's */
};

struct roce_reth {
	uint64_t va;
	uint32_t key, len;
};

/* What came, without the headers of the network. */
struct roce_answer {
	uint8_t opcode, syndrome;
	uint32_t psn;
	size_t len;
	uint8_t payload[ROCE_MAX];
};

/* netdev: ours, with the address we pretend to have; peer_netdev: where the device is. */
void roce_open(struct roce *r, const char *netdev, const char *addr,
	       const char *peer_netdev, const char *peer_addr);

void roce_read(struct roce *r, uint32_t psn, struct roce_reth reth);

/* A WRITE or an ATOMIC_WRITE of one packet, or the first of a WRITE. */
void roce_write(struct roce *r, enum roce_opcode opcode, uint32_t psn, struct roce_reth reth,
		const void *payload, size_t len);

void roce_fetch_add(struct roce *r, uint32_t psn, uint64_t va, uint32_t key, uint64_t add);

void roce_flush(struct roce *r, uint32_t psn, unsigned int placement, unsigned int level,
		struct roce_reth reth);

/* The next packet of the device's, if one comes so soon. */
bool roce_receive(struct roce *r, struct roce_answer *answer, unsigned int ms);

#endif
