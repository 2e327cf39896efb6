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
 	...+>
 }

// A link that cannot be made is no device's, and gives back its references all the same.
@net_put@
@@
-void rxe_net_del(struct ib_device *dev)
+void rxe_net_put(struct net *net)
 {
-	struct net_device *ndev;
 	struct sock *sk;
-	struct net *net;
-
-	ndev = ib_device_get_netdev(dev, 1);
-	if (!ndev)
-		return;
-
-	net = dev_net(ndev);
 	...
-	dev_put(ndev);
 }
+void rxe_net_del(struct ib_device *dev)
+{
+	struct net_device *ndev = ib_device_get_netdev(dev, 1);
+
+	if (!ndev)
+		return;
+	rxe_net_put(dev_net(ndev));
+	dev_put(ndev);
+}
