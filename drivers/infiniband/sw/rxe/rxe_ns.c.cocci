// SPDX-License-Identifier: GPL-2.0

// The sockets of a namespace go with the last of its links, or with itself.
@include_links@
@@
 #include "rxe_ns.h"
+#include "rxe_links.h"

@close_sockets@
@@
-static void rxe_ns_exit(struct net *net)
+void rxe_ns_close(struct net *net)
 {
 	...
 }
+
+static void rxe_ns_exit(struct net *net)
+{
+	rxe_links_exit(net);
+}
