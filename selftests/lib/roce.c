// SPDX-License-Identifier: GPL-2.0
/* Packets of RoCE v2 made by hand, see roce.h */

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "odp.h"
#include "roce.h"

#define PORT		4791
#define OUR_PORT	50000
#define ICRC		4
#define AETH		4
#define BTH_ACK		0x80000000

struct bth {
	uint8_t opcode, flags;
	uint16_t pkey;
	uint32_t qpn;		/* its first byte is not in the ICRC */
	uint32_t psn;
};

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct udphdr udp;
	struct bth bth;
	uint8_t body[ROCE_MAX];
} __attribute__((packed));

#define HEADERS	offsetof(struct frame, body)

struct wire_reth {
	uint64_t va;
	uint32_t key, len;
} __attribute__((packed));

/* --- the network --- */

static void read_mac(const char *netdev, uint8_t mac[6])
{
	char path[100];
	FILE *file;
	bool found;

	snprintf(path, sizeof(path), "/sys/class/net/%s/address", netdev);
	file = fopen(path, "r");
	found = file && fscanf(file, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
			       &mac[3], &mac[4], &mac[5]) == 6;
	if (!found)
		odp_die(errno, "%s", path);
	fclose(file);
}

void roce_open(struct roce *r, const char *netdev, const char *addr,
	       const char *peer_netdev, const char *peer_addr)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };

	r->ifindex = if_nametoindex(netdev);
	at.sll_ifindex = r->ifindex;
	read_mac(netdev, r->mac);
	read_mac(peer_netdev, r->peer_mac);
	inet_pton(AF_INET, addr, &r->addr);
	inet_pton(AF_INET, peer_addr, &r->peer);
	r->fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
	if (r->fd < 0 || bind(r->fd, (struct sockaddr *)&at, sizeof(at)))
		odp_die(errno, "a raw socket on %s", netdev);
}

/* --- checksums --- */

static uint32_t crc32(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

/*
 * Over the packet with what may change on its way set to ones. To rxe, a FLUSH has all of
 * itself for its payload, which is counted once more.
 */
static uint32_t icrc(const struct frame *frame, size_t body)
{
	static const uint8_t no_lrh[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	struct frame masked = *frame;
	uint32_t crc;

	masked.ip.tos = 0xff;
	masked.ip.ttl = 0xff;
	masked.ip.check = 0xffff;
	masked.udp.check = 0xffff;
	masked.bth.qpn |= htonl(0xff000000);
	crc = crc32(crc32(~0U, no_lrh, sizeof(no_lrh)), &masked.ip,
		    HEADERS - offsetof(struct frame, ip) + body);
	if (frame->bth.opcode == ROCE_FLUSH)
		crc = crc32(crc, &frame->bth, sizeof(frame->bth) + body);
	return ~crc;
}

static uint16_t ip_checksum(struct iphdr ip)
{
	uint16_t word[sizeof(ip) / 2];
	uint32_t sum = 0;

	memcpy(word, &ip, sizeof(ip));
	for (unsigned int i = 0; i < sizeof(word) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* --- packets --- */

static void add(struct frame *frame, size_t *len, const void *data, size_t bytes)
{
	if (*len + bytes + ICRC > sizeof(frame->body))
		odp_die(0, "a packet of more than %zu bytes", sizeof(frame->body));
	memcpy(frame->body + *len, data, bytes);
	*len += bytes;
}

static void add_reth(struct frame *frame, size_t *len, struct roce_reth reth)
{
	const struct wire_reth wire = { htobe64(reth.va), htonl(reth.key), htonl(reth.len) };

	add(frame, len, &wire, sizeof(wire));
}

static void post(struct roce *r, struct frame *frame, enum roce_opcode opcode, uint32_t psn,
		 size_t body, size_t pad)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = r->ifindex,
		.sll_halen = sizeof(r->peer_mac),
	};
	size_t udp = sizeof(frame->udp) + sizeof(frame->bth) + body + ICRC;
	uint32_t crc;

	memcpy(to.sll_addr, r->peer_mac, sizeof(r->peer_mac));
	memcpy(frame->eth.ether_dhost, r->peer_mac, sizeof(r->peer_mac));
	memcpy(frame->eth.ether_shost, r->mac, sizeof(r->mac));
	frame->eth.ether_type = htons(ETHERTYPE_IP);
	frame->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(frame->ip) + udp),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = r->addr.s_addr,
		.daddr = r->peer.s_addr,
	};
	frame->ip.check = ip_checksum(frame->ip);
	frame->udp = (struct udphdr){
		.source = htons(OUR_PORT),
		.dest = htons(PORT),
		.len = htons(udp),
	};
	frame->bth = (struct bth){
		.opcode = opcode,
		.flags = pad << 4,
		.pkey = htons(0xffff),
		.qpn = htonl(r->qpn),
		.psn = htonl(BTH_ACK | psn),
	};
	crc = htole32(icrc(frame, body));
	memcpy(frame->body + body, &crc, ICRC);
	if (sendto(r->fd, frame, HEADERS + body + ICRC, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		odp_die(errno, "sending a packet");
}

void roce_read(struct roce *r, uint32_t psn, struct roce_reth reth)
{
	struct frame frame = {};
	size_t len = 0;

	add_reth(&frame, &len, reth);
	post(r, &frame, ROCE_READ_REQUEST, psn, len, 0);
}

void roce_write(struct roce *r, enum roce_opcode opcode, uint32_t psn, struct roce_reth reth,
		const void *payload, size_t bytes)
{
	static const uint8_t zeroes[4];
	struct frame frame = {};
	size_t len = 0, pad = -bytes & 3;

	add_reth(&frame, &len, reth);
	add(&frame, &len, payload, bytes);
	add(&frame, &len, zeroes, pad);
	post(r, &frame, opcode, psn, len, pad);
}

void roce_fetch_add(struct roce *r, uint32_t psn, uint64_t va, uint32_t key, uint64_t value)
{
	const struct {
		uint64_t va;
		uint32_t key;
		uint64_t swap_add, compare;
	} __attribute__((packed)) atomic = { htobe64(va), htonl(key), htobe64(value), 0 };
	struct frame frame = {};
	size_t len = 0;

	add(&frame, &len, &atomic, sizeof(atomic));
	post(r, &frame, ROCE_FETCH_ADD, psn, len, 0);
}

void roce_flush(struct roce *r, uint32_t psn, unsigned int placement, unsigned int level,
		struct roce_reth reth)
{
	const uint32_t bits = htonl(level << 4 | placement);
	struct frame frame = {};
	size_t len = 0;

	add(&frame, &len, &bits, sizeof(bits));
	add_reth(&frame, &len, reth);
	post(r, &frame, ROCE_FLUSH, psn, len, 0);
}

/* --- answers --- */

static bool has_aeth(uint8_t opcode)
{
	return opcode >= ROCE_READ_FIRST && opcode <= ROCE_ATOMIC_ACK && opcode != 0x0e;
}

/* Whether it is the device's. */
static bool parse(const struct roce *r, const struct frame *frame, size_t len,
		  struct roce_answer *answer)
{
	size_t at = 0, pad;

	if (len < HEADERS + ICRC || frame->ip.protocol != IPPROTO_UDP || frame->ip.ihl != 5 ||
	    frame->udp.dest != htons(PORT) || frame->ip.saddr != r->peer.s_addr)
		return false;
	len = ntohs(frame->udp.len) - sizeof(frame->udp) - sizeof(frame->bth) - ICRC;
	pad = frame->bth.flags >> 4 & 3;
	*answer = (struct roce_answer){
		.opcode = frame->bth.opcode,
		.psn = ntohl(frame->bth.psn) & 0xffffff,
	};
	if (has_aeth(answer->opcode)) {
		answer->syndrome = frame->body[0];
		at = AETH;
	}
	if (at + pad > len || len > sizeof(answer->payload))
		return false;
	answer->len = len - at - pad;
	memcpy(answer->payload, frame->body + at, answer->len);
	return true;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool roce_receive(struct roce *r, struct roce_answer *answer, unsigned int ms)
{
	struct pollfd at = { .fd = r->fd, .events = POLLIN };
	long end = now_ms() + ms, left;
	static struct frame frame;

	while ((left = end - now_ms()) >= 0) {
		ssize_t len;

		if (poll(&at, 1, left) <= 0)
			continue;
		len = recv(r->fd, &frame, sizeof(frame), MSG_TRUNC);
		if (len > 0 && (size_t)len <= sizeof(frame) && parse(r, &frame, len, answer))
			return true;
	}
	return false;
}
