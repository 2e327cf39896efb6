// SPDX-License-Identifier: GPL-2.0

// A packet that was sent does not keep its queue pair: it may wait for long, in a queue
// of the network's, or of a local queue pair that has parked.
@packet_gone@
@@
 rxe_skb_tx_dtor(...)
 {
-	struct rxe_qp *qp = skb->sk->sk_user_data;
-	int skb_out;
-	skb_out = atomic_dec_return(&qp->skb_out);
-	if (unlikely(qp->need_req_skb && skb_out < RXE_INFLIGHT_SKBS_PER_QP_LOW))
-		rxe_sched_task(&qp->send_task);
-	rxe_put(qp);
+	rxe_odp_packet_gone(skb->sk);
 	sock_put(skb->sk);
 }

@send_keeps_no_qp@
@@
 rxe_send(...)
 {
 	<+...
-	rxe_get(pkt->qp);
 	...+>
 }

@loopback_keeps_no_qp@
@@
 rxe_loopback(...)
 {
 	<+...
-	rxe_get(pkt->qp);
 	...+>
 }

// A full queue of the network's drops a packet, as any on its way may, and says so by a
// positive number. It is counted, and sent again as what is lost elsewhere.
@queue_full@
expression err;
@@
 rxe_xmit_packet(...)
 {
 	<+...
 	rxe_counter_inc(rxe, RXE_CNT_SEND_ERR);
-	return err;
+	return min(err, 0);
 	...+>
 }

// Nobody is to wait in a device that goes.
@device_goes@
@@
 rxe_notify(...)
 {
 	<+...
+	rxe_odp_device_stop(rxe);
 	ib_unregister_device_queued(&rxe->ib_dev);
-	rxe_net_del(&rxe->ib_dev);
 	...+>
 }

// The links of a network namespace have its sockets in common, and are counted: a
// reference to a socket may as well be that of somebody who looks at it.
@include_links@
@@
 #include "rxe_ns.h"
+#include "rxe_links.h"

@has_socket4@
@@
 rxe_net_ipv4_init(...)
 {
 	<+...
 	if (sk)
-	{
-		sock_hold(sk);
 		return 0;
-	}
 	...+>
 }

@has_socket6@
@@
 rxe_net_ipv6_init(...)
 {
 	<+...
 	if (sk)
-	{
-		sock_hold(sk);
 		return 0;
-	}
 	...+>
 }

@open_sockets@
@@
-int rxe_net_init(struct net_device *ndev)
+int rxe_net_open(struct net *net)
 {
-	...
+	int err = rxe_net_ipv4_init(net);
+
+	return err ? err : rxe_net_ipv6_init(net);
 }

@no_net_del@
@@
-void rxe_net_del(struct ib_device *dev) { ... }

@no_sock_put@
@@
-static void rxe_sock_put(...) { ... }

@no_release@
@@
-static void rxe_release_udp_tunnel(...) { ... }

@device_has_sockets@
@@
 rxe_net_add(...)
 {
 	<+...
-	err = rxe_add(rxe, ndev->mtu, ibdev_name, ndev);
+	err = rxe_links_add(rxe, dev_net(ndev));
+	if (!err)
+		err = rxe_add(rxe, ndev->mtu, ibdev_name, ndev);
 	...+>
 }

// The net device of a link may be in another namespace by now, whose sockets come and go
// with other links. A route asks its socket for nothing that these have.
@route_without_socket@
@@
 rxe_find_route6(...)
 {
 	<+...
 	ip6_dst_lookup_flow(net,
-			    rxe_ns_pernet_sk6(net),
+			    NULL,
 			    &fl6, NULL)
 	...+>
 }
