/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The values by which reach.rs decides what a peer may reach, see there.
 */

#ifndef RXE_REACH_TYPES_H
#define RXE_REACH_TYPES_H

struct rxe_mr;

enum rxe_reach_operation {
	RXE_REACH_READ,
	RXE_REACH_WRITE,
	RXE_REACH_ATOMIC,
	RXE_REACH_ATOMIC_WRITE,
	RXE_REACH_FLUSH,
};

enum rxe_reach_answer {
	RXE_REACH_ALLOWED,
	RXE_REACH_DENIED,
	RXE_REACH_MISALIGNED,
};

struct rxe_reach_bytes {
	u64		start;
	u64		length;
};

struct rxe_reach_request {
	enum rxe_reach_operation operation;
	u8		placement;	/* of a FLUSH */
	u8		level;
	u32		key;
	struct rxe_reach_bytes bytes;
	const void	*pd;
	const void	*qp;
	int		qp_access;
};

struct rxe_reach_window {
	bool		valid;
	bool		is_type2;
	u32		key;
	int		access;
	const void	*pd;
	const void	*qp;		/* may be NULL */
	struct rxe_reach_bytes bytes;
};

/* A READ, an atomic operation, an ATOMIC_WRITE or a FLUSH that was answered. */
struct rxe_reach_record {
	enum rxe_reach_operation operation;
	u32		first_psn;
	u32		last_psn;
	u32		key;
	struct rxe_reach_bytes bytes;
};

/* One that comes again. */
struct rxe_reach_duplicate {
	enum rxe_reach_operation operation;
	u32		psn;
	u32		key;
	struct rxe_reach_bytes bytes;
};

/*
 * By the region's own key, and by the key of a window of it. If the answer is yes, @bytes
 * are the region's that are meant.
 */
enum rxe_reach_answer rxe_reach_decide(const struct rxe_reach_request *request,
				       const struct rxe_mr *region,
				       struct rxe_reach_bytes *bytes);
enum rxe_reach_answer rxe_reach_decide_by_window(const struct rxe_reach_request *request,
						 const struct rxe_mr *region,
						 const struct rxe_reach_window *window,
						 struct rxe_reach_bytes *bytes);

bool rxe_reach_may_bind(const struct rxe_mr *region, const struct rxe_reach_window *window);

bool rxe_reach_may_invalidate(const struct rxe_reach_window *window, const void *pd,
			      const void *qp);

bool rxe_reach_is_of_record(const struct rxe_reach_duplicate *duplicate,
			    const struct rxe_reach_record *record, u32 mtu);

#endif /* RXE_REACH_TYPES_H */
