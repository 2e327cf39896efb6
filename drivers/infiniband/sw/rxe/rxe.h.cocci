// SPDX-License-Identifier: GPL-2.0

// What C calls in Rust, for all C files. Last, since it uses rxe_verbs.h and rxe_loc.h.
@include_rxe_odp@
@@
 #include "rxe_loc.h"
+#include "rxe_odp.h"
