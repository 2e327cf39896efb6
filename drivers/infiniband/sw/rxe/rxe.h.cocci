// SPDX-License-Identifier: GPL-2.0

// What C calls in Rust, for all C files. Last, since it uses rxe_verbs.h and rxe_loc.h.
@include_rxe_odp@
@@
 #include "rxe_loc.h"
+#include "rxe_odp.h"

// And how it is asked what a peer may reach.
@include_rxe_reach@
@@
 #include "rxe_odp.h"
+#include "rxe_reach.h"
