/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a process has the kernel keep is charged to its memory cgroup: the rings that the
 * two share, and the packets that come for a queue pair which waits for a page fault.
 */

#ifndef RXE_CHARGE_H
#define RXE_CHARGE_H

struct rxe_qp;
struct sk_buff;
struct sk_buff_head;
struct vm_area_struct;

/* Zeroed memory for a ring, or NULL; vfree() gives it back. */
void *rxe_charge_ring(size_t size);

/* Maps all of @vma to @ring, which is as large. 0, or a negative errno. */
int rxe_charge_mmap(struct vm_area_struct *vma, void *ring);

/* A packet for @qp, whose task has parked. Else it has been dropped, and its references. */
bool rxe_charge_packet(struct rxe_qp *qp, struct sk_buff *skb);

/* Its task has parked: the packets that are in @queue already. The first one stays. */
void rxe_charge_queue(struct rxe_qp *qp, struct sk_buff_head *queue);

#endif /* RXE_CHARGE_H */
