// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB

#include "rxe.h"
#include "rxe_links.h"

/*
 * The links that have sockets. Opening and closing is under the lock too: UDP's port is
 * free when the next link opens it.
 */
static LIST_HEAD(links);
static DEFINE_MUTEX(links_lock);

static void close_if_unused(struct net *net)
{
	struct rxe_dev *other;

	list_for_each_entry(other, &links, links) {
		if (other->net == net)
			return;
	}
	rxe_ns_close(net);
}

int rxe_links_add(struct rxe_dev *rxe, struct net *net)
{
	int err;

	mutex_lock(&links_lock);
	err = rxe_net_open(net);
	if (err) {
		close_if_unused(net);
	} else {
		rxe->net = net;
		list_add(&rxe->links, &links);
	}
	mutex_unlock(&links_lock);
	return err;
}

void rxe_links_del(struct rxe_dev *rxe)
{
	struct net *net;

	mutex_lock(&links_lock);
	net = rxe->net;
	if (net) {
		rxe->net = NULL;
		list_del(&rxe->links);
		close_if_unused(net);
	}
	mutex_unlock(&links_lock);
}

void rxe_links_exit(struct net *net)
{
	struct rxe_dev *rxe, *next;

	mutex_lock(&links_lock);
	list_for_each_entry_safe(rxe, next, &links, links) {
		if (rxe->net != net)
			continue;
		rxe->net = NULL;
		list_del(&rxe->links);
	}
	rxe_ns_close(net);
	mutex_unlock(&links_lock);
}
