// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a process has the kernel keep, see rxe_charge.h.
 *
 * A page fault may take as long as a process likes, and peers send meanwhile, each packet
 * again and again. Such packets are charged as those in a receive queue of a socket are: to
 * the cgroup of who made the queue pair, and to UDP's memory (net.ipv4.udp_mem). What is over
 * either limit is lost, as in any network. Packets that do not wait cost nothing.
 *
 * Lock order: the spinlock of the queue pair's socket is taken with softirqs disabled, last.
 */

#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <net/sock.h>

#include "rxe.h"
#include "rxe_charge.h"

void *rxe_charge_ring(size_t size)
{
	return __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
}

int rxe_charge_mmap(struct vm_area_struct *vma, void *ring)
{
	unsigned long addr;
	int err = 0;

	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (addr = vma->vm_start; addr < vma->vm_end && !err; addr += PAGE_SIZE)
		err = vm_insert_page(vma, addr, vmalloc_to_page(ring + (addr - vma->vm_start)));
	return err;
}

static void uncharge(struct sk_buff *skb)
{
	struct sock *sk = skb->sk;

	spin_lock_bh(&sk->sk_lock.slock);
	atomic_sub(skb->truesize, &sk->sk_rmem_alloc);
	sk_mem_uncharge(sk, skb->truesize);
	spin_unlock_bh(&sk->sk_lock.slock);
	sock_put(sk);
}

static bool charge(struct sock *sk, struct sk_buff *skb)
{
	bool charged;

	if (skb->destructor == uncharge)
		return true;
	/* Its sender is done with it, as with one that has been in a network. */
	skb_orphan(skb);
	spin_lock_bh(&sk->sk_lock.slock);
	charged = sk_rmem_schedule(sk, skb, skb->truesize);
	if (charged) {
		atomic_add(skb->truesize, &sk->sk_rmem_alloc);
		sk_mem_charge(sk, skb->truesize);
		sock_hold(sk);
		skb->sk = sk;
		skb->destructor = uncharge;
	}
	spin_unlock_bh(&sk->sk_lock.slock);
	return charged;
}

static void drop(struct rxe_qp *qp, struct sk_buff *skb)
{
	struct ib_device *dev = qp->ibqp.device;

	kfree_skb(skb);
	rxe_put(qp);
	ib_device_put(dev);
}

bool rxe_charge_packet(struct rxe_qp *qp, struct sk_buff *skb)
{
	bool charged = charge(qp->sk->sk, skb);

	if (!charged)
		drop(qp, skb);
	return charged;
}

void rxe_charge_queue(struct rxe_qp *qp, struct sk_buff_head *queue)
{
	struct sk_buff_head before, kept;
	unsigned long flags;
	struct sk_buff *skb;

	/* Only the task, which is here, takes from it; others add to its end. */
	__skb_queue_head_init(&before);
	__skb_queue_head_init(&kept);
	spin_lock_irqsave(&queue->lock, flags);
	skb = skb_peek_tail(queue);
	/* What has come since it parked is charged, so all is. */
	if (skb && skb->destructor != uncharge)
		skb_queue_splice_init(queue, &before);
	spin_unlock_irqrestore(&queue->lock, flags);

	while ((skb = __skb_dequeue(&before))) {
		if (charge(qp->sk->sk, skb) || skb_queue_empty(&kept))
			__skb_queue_tail(&kept, skb);
		else
			drop(qp, skb);
	}

	spin_lock_irqsave(&queue->lock, flags);
	skb_queue_splice(&kept, queue);
	spin_unlock_irqrestore(&queue->lock, flags);
}
