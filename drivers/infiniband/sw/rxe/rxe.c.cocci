// SPDX-License-Identifier: GPL-2.0

// Rust has implicit ODP.
@implicit_odp@
@@
 rxe_init_device_param(...)
 {
 	<+...
 	rxe->attr.odp_caps.general_caps |=
-		IB_ODP_SUPPORT
+		IB_ODP_SUPPORT | IB_ODP_SUPPORT_IMPLICIT
 		;
 	...+>
 }

// What an MR is and did, for `rdma resource show mr` and `rdma statistic show mr`.
@odp_ops@
@@
 struct ib_device_ops rxe_ib_dev_odp_ops = {
 	.advise_mr = rxe_ib_advise_mr,
+	.fill_res_mr_entry = rxe_odp_fill_res_mr_entry,
+	.fill_stat_mr_entry = rxe_odp_fill_stat_mr_entry,
 };

// A link that cannot be made has no sockets.
@no_link@
@@
 rxe_newlink(...)
 {
 	<+...
 	err = rxe_net_add(...);
 	if (err) {
+		rxe_net_put(dev_net(ndev));
 		...
 	}
 	...+>
 }
