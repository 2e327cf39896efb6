// SPDX-License-Identifier: GPL-2.0

@net_put@
@@
-void rxe_net_del(struct ib_device *dev);
+void rxe_net_del(struct ib_device *dev);
+void rxe_net_put(struct net *net);
