// SPDX-License-Identifier: GPL-2.0

// What a process has the kernel keep is charged to its memory cgroup.
@group_charged@
@@
-	kzalloc_obj(*mcg)
+	kzalloc_obj(*mcg, GFP_KERNEL_ACCOUNT)

@member_charged@
@@
-	kzalloc_obj(*mca)
+	kzalloc_obj(*mca, GFP_KERNEL_ACCOUNT)
