// SPDX-License-Identifier: GPL-2.0

// The requester writes it meanwhile. Who counts a packet less, fully ordered, before he
// looks, is seen by a requester who looks at the count after he has written.
@packet_gone@
@@
 rxe_skb_tx_dtor(...)
 {
 	<+...
-	qp->need_req_skb
+	READ_ONCE(qp->need_req_skb)
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
