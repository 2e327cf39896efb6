/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What rxe's C and Rust halves share beyond rxe_loc.h, which has the prototypes
 * of what rxe_odp.c defines in the kernel and ffi.rs here.
 */

#ifndef RXE_ODP_H
#define RXE_ODP_H

#include "rxe_charge.h"

/* Before the MR is taken away: ends work on it, so that no reference is left. */
void rxe_odp_mr_stop(struct rxe_mr *mr);

/* After the last reference was dropped: frees mr->odp. */
void rxe_odp_mr_cleanup(struct rxe_mr *mr);

/* Like ib_umem_check_rereg(): 0, or a negative errno. */
int rxe_odp_check_rereg(struct rxe_mr *mr, int flags, int access);

/* For any MR. They add nothing for one without on-demand paging. */
int rxe_odp_fill_res_mr_entry(struct sk_buff *msg, struct ib_mr *ibmr);
int rxe_odp_fill_stat_mr_entry(struct sk_buff *msg, struct ib_mr *ibmr);

/* Whether the job of @wait, which is not NULL, has not come to an end. */
bool rxe_odp_is_waiting(const struct rxe_odp_wait *wait);

/* Ends the waiting: from here on the task is not scheduled for it. */
void rxe_odp_leave(struct rxe_odp_wait *wait);

/* With the module. The second waits for page faults that cannot be ended, and tells whose. */
int rxe_odp_init(void);
void rxe_odp_exit(void);

/* Before the module waits for system calls: none of them waits for a page fault. */
void rxe_odp_stop_waiting(void);

/* The access flags that a new MR may have, given that it has @access. */
static inline int rxe_odp_supported_access(int access)
{
	if (access & IB_ACCESS_ON_DEMAND)
		return RXE_ACCESS_SUPPORTED_MR | IB_ACCESS_HUGETLB;
	return RXE_ACCESS_SUPPORTED_MR;
}

/* --- Who has parked ------------------------------------------------------------------ */

/* Whether a request may still be worked on; checked under the lock of its state. */
static inline bool rxe_odp_qp_lives(struct rxe_qp *qp)
{
	unsigned long flags;
	bool lives;

	spin_lock_irqsave(&qp->state_lock, flags);
	lives = qp->valid && qp_state(qp) != IB_QPS_ERR && qp_state(qp) != IB_QPS_RESET;
	spin_unlock_irqrestore(&qp->state_lock, flags);
	return lives;
}

/* Its tasks do not run. */
static inline void rxe_odp_qp_is_reset(struct rxe_qp *qp)
{
	unsigned long flags;

	spin_lock_irqsave(&qp->state_lock, flags);
	qp->attr.qp_state = IB_QPS_RESET;
	spin_unlock_irqrestore(&qp->state_lock, flags);
}

/* Whether the completer of @qp has parked, and has no reason to look again. */
static inline bool rxe_odp_completer_waits(struct rxe_qp *qp)
{
	return unlikely(qp->comp_wait.job) && rxe_odp_is_waiting(&qp->comp_wait) &&
	       rxe_odp_qp_lives(qp);
}

/* What @qp has parked for is not wanted any more. */
static inline void rxe_odp_leave_sender(struct rxe_qp *qp)
{
	rxe_odp_leave(&qp->req_wait);
	rxe_odp_leave(&qp->comp_wait);
}

static inline void rxe_odp_leave_receiver(struct rxe_qp *qp)
{
	struct rxe_mr *mr = qp->resp.mr;

	rxe_odp_leave(&qp->resp_wait);
	qp->resp.mr = NULL;
	if (mr)
		rxe_put(mr);
}

/*
 * Adds @skb, which has a reference to @qp, to a queue of @task's. It is scheduled before
 * the task can take the packet: with that the last reference may go.
 */
static inline void rxe_odp_queue_packet(struct rxe_qp *qp, struct sk_buff_head *queue,
					struct rxe_task *task, const struct rxe_odp_wait *wait,
					struct sk_buff *skb)
{
	unsigned long flags;

	if (unlikely(READ_ONCE(wait->job)) && !rxe_charge_packet(qp, skb))
		return;
	spin_lock_irqsave(&queue->lock, flags);
	__skb_queue_tail(queue, skb);
	rxe_sched_task(task);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* --- Who goes -------------------------------------------------------------------------- */

/* A type 2 window is not its queue pair's any more; held: the window's lock, or all of it. */
static inline void rxe_odp_leave_qp(struct rxe_mw *mw)
{
	struct rxe_qp *qp = mw->qp;

	mw->qp = NULL;
	if (qp && atomic_dec_and_test(&qp->num_mw))
		wake_up_var(&qp->num_mw);
}

/* Takes windows from @qp or from @mr, whichever is not NULL. */
static inline void rxe_odp_take_windows(struct rxe_dev *rxe, struct rxe_qp *qp,
					struct rxe_mr *mr)
{
	unsigned long index;
	void *entry;

	xa_for_each(&rxe->mw_pool.xa, index, entry) {
		struct rxe_mw *mw = rxe_pool_get_index(&rxe->mw_pool, index);

		if (!mw)
			continue;
		spin_lock_bh(&mw->lock);
		if ((qp && mw->qp == qp) || (mr && mw->mr == mr)) {
			rxe_odp_leave_qp(mw);
			if (mw->mr) {
				atomic_dec(&mw->mr->num_mw);
				rxe_put(mw->mr);
				mw->mr = NULL;
			}
			mw->access = 0;
			mw->addr = 0;
			mw->length = 0;
			if (mw->ibmw.type == IB_MW_TYPE_2)
				mw->state = RXE_MW_STATE_FREE;
		}
		spin_unlock_bh(&mw->lock);
		rxe_put(mw);
		cond_resched();
	}
}

/* Runs @task, also if it was left disabled; waits until it has run. */
static inline void rxe_odp_run_task(struct rxe_task *task)
{
	unsigned long flags;

	if (!task->func)
		return;
	spin_lock_irqsave(&task->lock, flags);
	if (task->state == TASK_STATE_DRAINED)
		task->state = TASK_STATE_IDLE;
	spin_unlock_irqrestore(&task->lock, flags);
	rxe_sched_task(task);
	flush_work(&task->work);
}

/*
 * Before the references to @qp are waited for: its tasks empty its queues, now and when
 * another packet comes, and leave what they have parked for; windows and packets that
 * were sent let go of it.
 */
static inline void rxe_odp_qp_stop(struct rxe_qp *qp)
{
	struct sock *sk = qp->sk ? qp->sk->sk : NULL;
	unsigned long flags;

	/* Called again: all that was done. */
	if (qp->elem.gone)
		return;
	spin_lock_irqsave(&qp->state_lock, flags);
	qp->valid = 0;
	spin_unlock_irqrestore(&qp->state_lock, flags);

	rxe_odp_run_task(&qp->recv_task);
	rxe_odp_run_task(&qp->send_task);

	if (sk) {
		write_lock_irqsave(&sk->sk_callback_lock, flags);
		sk->sk_user_data = NULL;
		write_unlock_irqrestore(&sk->sk_callback_lock, flags);
	}
	if (atomic_read(&qp->num_mw)) {
		rxe_odp_take_windows(to_rdev(qp->ibqp.device), qp, NULL);
		/* Others are about to be deallocated. */
		wait_var_event(&qp->num_mw, !atomic_read(&qp->num_mw));
	}
}

/* The destructor of a packet that @sk's queue pair has sent. */
static inline void rxe_odp_packet_gone(struct sock *sk)
{
	unsigned long flags;
	struct rxe_qp *qp;

	read_lock_irqsave(&sk->sk_callback_lock, flags);
	qp = sk->sk_user_data;
	if (qp) {
		/* Counted before the look: the requester does it the other way round. */
		int skb_out = atomic_dec_return(&qp->skb_out);

		if (unlikely(READ_ONCE(qp->need_req_skb) &&
			     skb_out < RXE_INFLIGHT_SKBS_PER_QP_LOW))
			rxe_sched_task(&qp->send_task);
	}
	read_unlock_irqrestore(&sk->sk_callback_lock, flags);
}

/* Before the references to @mr are waited for. Whoever has parked for it finds it gone. */
static inline void rxe_odp_retire_mr(struct rxe_mr *mr)
{
	WRITE_ONCE(mr->state, RXE_MR_STATE_INVALID);
	/* Who binds a window counts it, and then looks at the state. */
	smp_mb();
	if (atomic_read(&mr->num_mw))
		rxe_odp_take_windows(to_rdev(mr->ibmr.device), NULL, mr);
	if (is_odp_mr(mr))
		rxe_odp_mr_stop(mr);
}

/* Before @rxe goes: no system call waits in it any more for a page fault. */
static inline void rxe_odp_device_stop(struct rxe_dev *rxe)
{
	unsigned long index;
	void *entry;

	WRITE_ONCE(rxe->odp_going, true);
	/* Whoever uses an MR that comes after this look at them sees that. */
	smp_mb();
	xa_for_each(&rxe->mr_pool.xa, index, entry) {
		struct rxe_mr *mr = rxe_pool_get_index(&rxe->mr_pool, index);

		if (!mr)
			continue;
		if (is_odp_mr(mr))
			rxe_odp_mr_stop(mr);
		rxe_put(mr);
		cond_resched();
	}
}

/*
 * Waits until the last reference to @elem is dropped. All that may hold one is work that
 * comes to an end by itself. If there is one all the same, that is a bug, which is told
 * once: then the task may be killed, and the element stays, with its memory.
 */
static inline int rxe_odp_wait_for_references(struct rxe_pool_elem *elem)
{
	const unsigned int soon = 10 * HZ, late = 60 * HZ;

	if (wait_for_completion_timeout(&elem->complete, soon))
		return 0;
	pr_err("%s %u has %u references, and no work is known that has one\n",
	       elem->pool->name, elem->index, kref_read(&elem->ref->count));
	/* These cannot be killed. */
	if (current->flags & (PF_EXITING | PF_KTHREAD))
		return wait_for_completion_timeout(&elem->complete, late) ? 0 : -ETIMEDOUT;
	return wait_for_completion_killable(&elem->complete);
}

/* --- The requester and the completer ---------------------------------------------------- */

/* @pkt will be made anew: it asks for an ACK then if it did now. */
static inline void rxe_odp_uncount_packet(struct rxe_qp *qp, struct rxe_pkt_info *pkt)
{
	if (qp_type(qp) != IB_QPT_RC)
		return;
	if (bth_ack(pkt))
		qp->req.noack_pkts = RXE_MAX_PKT_PER_ACK + 1;
	else
		qp->req.noack_pkts--;
}

/*
 * copy_data() of what came for a request of @qp. The responder will not send it again, so
 * as long as @qp lives it is tried until there is memory.
 */
static inline int rxe_odp_copy_to_local(struct rxe_qp *qp, struct rxe_dma_info *dma,
					void *addr, int length)
{
	int err;

	do {
		err = copy_data(qp->pd, IB_ACCESS_LOCAL_WRITE, dma, addr, length,
				RXE_TO_MR_OBJ, &qp->comp_wait);
	} while (err == -EAGAIN && rxe_odp_qp_lives(qp));
	qp->comp_parked = err == -EINPROGRESS;
	return err;
}

/* Whether the completer has parked just now. Then the response is the next one to come. */
static inline bool rxe_odp_keep_response(struct rxe_qp *qp, struct sk_buff *skb)
{
	if (likely(!qp->comp_parked))
		return false;
	qp->comp_parked = false;
	skb_queue_head(&qp->resp_pkts, skb);
	rxe_charge_queue(qp, &qp->resp_pkts);
	return true;
}

/* What to tell the user after rxe_odp_copy_to_local() has failed. */
static inline enum ib_wc_status rxe_odp_copy_status(int err)
{
	return err == -EAGAIN ? IB_WC_WR_FLUSH_ERR : IB_WC_LOC_PROT_ERR;
}

/*
 * Whether @wqe, which is being sent again, has arrived there as a whole before. Its last
 * packet is still to come, and to be acknowledged: were the completer past it, the next
 * retry would begin behind the request, and give what follows other PSNs than the
 * responder knows it by.
 */
static inline bool rxe_odp_acked_early(struct rxe_qp *qp, const struct rxe_send_wqe *wqe,
				       const struct rxe_pkt_info *pkt)
{
	if (wqe->state != wqe_state_processing || psn_compare(pkt->psn, wqe->last_psn) < 0)
		return false;
	if (psn_compare(wqe->last_psn, qp->comp.psn) > 0)
		qp->comp.psn = wqe->last_psn;
	if (qp->req.wait_psn) {
		qp->req.wait_psn = 0;
		qp->req.again = 1;
	}
	return true;
}

/* What to tell the user of a request that is left in the send queue of a failed pair. */
static inline enum ib_wc_status rxe_odp_flush_status(const struct rxe_send_wqe *wqe)
{
	if (wqe->state == wqe_state_error && wqe->status != IB_WC_SUCCESS)
		return wqe->status;
	return IB_WC_WR_FLUSH_ERR;
}

/* --- The responder --------------------------------------------------------------------- */

/*
 * Whether @qp took a receive request for a message that then had to wait for memory.
 * Messages of RC go on where they were; of a datagram, or of UC, another one starts.
 */
static inline bool rxe_odp_holds_recv_wqe(struct rxe_qp *qp)
{
	struct rxe_recv_wqe *wqe = qp->resp.wqe;

	if (!wqe)
		return false;
	if (qp_type(qp) != IB_QPT_RC) {
		wqe->dma.resid = wqe->dma.length;
		wqe->dma.cur_sge = 0;
		wqe->dma.sge_offset = 0;
	}
	return true;
}

/* Whether memory is not there yet, or cannot be had now. */
static inline bool rxe_odp_is_not_ready(int err)
{
	return unlikely(err == -EAGAIN || err == -EINPROGRESS);
}

/*
 * The next state after that. If @qp has parked nothing is sent, and the packet is left
 * where it is.
 */
static inline enum resp_states rxe_odp_not_ready(struct rxe_qp *qp, int err)
{
	struct rxe_mr *mr = qp->resp.mr;

	if (err == -EAGAIN)
		return RESPST_ERR_RNR;
	qp->resp.mr = NULL;
	if (mr)
		rxe_put(mr);
	rxe_charge_queue(qp, &qp->req_pkts);
	return RESPST_EXIT;
}

/*
 * The next state after an operation ended in @state. If it will be looked at again then
 * @res, which it just took, is for that.
 */
static inline enum resp_states
rxe_odp_not_done(struct rxe_qp *qp, struct resp_res *res, enum resp_states state)
{
	if (state == RESPST_EXIT)
		rxe_odp_not_ready(qp, -EINPROGRESS);
	if (state == RESPST_ERR_RNR || state == RESPST_EXIT) {
		free_rd_atomic_resource(res);
		qp->resp.res_head = res - qp->resp.resources;
		qp->resp.res = NULL;
	}
	return state;
}

/*
 * The next state after a READ response of @opcode could not be filled. Before the first
 * one all is as if the peer had not asked yet. Later, and where he did ask again, RNR is
 * not understood: the task tries again itself.
 */
static inline enum resp_states
rxe_odp_read_failed(struct rxe_qp *qp, struct resp_res *res, int opcode, int err)
{
	bool first = opcode == IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY ||
		     opcode == IB_OPCODE_RC_RDMA_READ_RESPONSE_FIRST;

	if (!rxe_odp_is_not_ready(err))
		return RESPST_ERR_RKEY_VIOLATION;
	if (first && !res->replay) {
		qp->resp.msn--;
		return rxe_odp_not_done(qp, res, rxe_odp_not_ready(qp, err));
	}
	if (first)
		res->state = rdatm_res_state_new;
	if (err != -EINPROGRESS)
		return RESPST_DONE;
	rxe_charge_queue(qp, &qp->req_pkts);
	return RESPST_EXIT;
}

#endif /* RXE_ODP_H */
