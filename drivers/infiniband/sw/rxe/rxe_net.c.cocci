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
