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

// Nobody is to wait in a device that goes.
@device_goes@
@@
 rxe_dellink(struct ib_device *dev)
 {
+	rxe_odp_device_stop(to_rdev(dev));
-	rxe_net_del(dev);
 	...
 }

// A device has its sockets from before it can be used until nobody uses it, however it
// goes: its link or its net device is deleted, the module is unloaded, or it cannot be
// made.
@include_links@
@@
 #include "rxe_ns.h"
+#include "rxe_links.h"

@no_sockets_yet@
@@
 rxe_newlink(...)
 {
 	<+...
-	err = rxe_net_init(ndev);
-	if (err)
-		return err;
 	...+>
 }

@sockets_go@
@@
 rxe_dealloc(struct ib_device *ib_dev)
 {
 	...
+	rxe_links_del(rxe);
 	rxe_pool_cleanup(&rxe->uc_pool);
 	...
 }

// Who serves page faults.
@init@
@@
 rxe_module_init(...)
 {
 	<+...
+	err = rxe_odp_init();
+	if (err)
+		return err;
 	err = rxe_alloc_wq();
 	...+>
 }

@init_failed@
@@
 rxe_module_init(...)
 {
 	<+...
 	err = rxe_alloc_wq();
 	if (err)
-		return err;
+	{
+		rxe_odp_exit();
+		return err;
+	}
 	...+>
 }

@init_undone@
@@
 rxe_module_init(...)
 {
 	<+...
 	rxe_destroy_wq();
+	rxe_odp_exit();
 	return err;
 	...+>
 }

@exit_without_waiting@
@@
 rxe_module_exit(...)
 {
+	rxe_odp_stop_waiting();
 	rdma_link_unregister(&rxe_link_ops);
 	...
 }

@exit@
@@
 rxe_module_exit(...)
 {
 	...
 	rxe_destroy_wq();
+	rxe_odp_exit();
 	...
 }
