/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a queue pair keeps of a page fault that it does not wait for.
 */

#ifndef RXE_ODP_WAIT_H
#define RXE_ODP_WAIT_H

struct rxe_odp_job;
struct rxe_task;

/*
 * One each for a queue pair's requester, completer and responder, which only its task
 * uses. An operation on memory that is not there has parked: it fails with
 * -EINPROGRESS, and is made again with the same @job when @task runs next.
 */
struct rxe_odp_wait {
	struct rxe_odp_job	*job;	/* Rust's; NULL for none */
	struct rxe_task		*task;	/* scheduled when the job has ended */
};

#endif /* RXE_ODP_WAIT_H */
