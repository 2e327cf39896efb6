// SPDX-License-Identifier: GPL-2.0

// What a process has the kernel keep is charged to its memory cgroup.
@ring_mapped@
@@
-	remap_vmalloc_range(vma, ip->obj, 0)
+	rxe_charge_mmap(vma, ip->obj)

@info_charged@
@@
-	kmalloc_obj(*ip)
+	kmalloc_obj(*ip, GFP_KERNEL_ACCOUNT)
