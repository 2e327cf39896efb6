/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The UDP sockets of a network namespace, which its links have in common. They are there
 * as long as one of these is.
 */

#ifndef RXE_LINKS_H
#define RXE_LINKS_H

struct net;
struct rxe_dev;

/* Before a packet can reach @rxe, a link in @net: opens the sockets if it is the first. */
int rxe_links_add(struct rxe_dev *rxe, struct net *net);

/* After the last one did, or could not: closes them if it is the last. May be repeated. */
void rxe_links_del(struct rxe_dev *rxe);

/* @net goes, and its sockets with it. Links whose end is still under way have none then. */
void rxe_links_exit(struct net *net);

/* Of rxe_net.c and rxe_ns.c: opens the sockets that are not open, closes those that are. */
int rxe_net_open(struct net *net);
void rxe_ns_close(struct net *net);

#endif /* RXE_LINKS_H */
