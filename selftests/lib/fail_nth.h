/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fail-nth: the kernel fails the n-th allocation that a task asks for (see
 * Documentation/fault-injection in its source).
 *
 * A sweep goes through an operation with n = 1, 2, 3 and so on, in a process of its
 * own each, until it comes to its end without a fault: each of its allocations has
 * failed once by then. lib/fault.sh sets up which allocations count.
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <stdbool.h>

/* The n-th allocation of this task from here on fails. */
void fail_nth_arm(unsigned int n);
/* No more faults. Returns whether there was one. */
bool fail_nth_disarm(void);

struct sweep {
	const char *name;
	/* Without faults: what the operation needs. Exits if it cannot be had. */
	void (*prepare)(void);
	/* Under the fault: 0 or an errno. If it fails it is called again, without. */
	int (*run)(void);
	/* Without faults: whether all is right after it. What it cannot say, exits. */
	bool (*right)(void);
	/* Without faults, before run() is called again; may be NULL. Whether the failed
	 * call has left nothing behind.
	 */
	bool (*unchanged)(void);
};

/*
 * sweep_main(argc, argv, sweeps, count): for a client with the arguments NAME [N], the
 * sweep of that name, or its step N only. Says what came of it, and "figure WHAT N".
 */
int sweep_main(int argc, char **argv, const struct sweep *sweeps, unsigned int count);

#define SWEEP_MAIN(argc, argv, sweeps) \
	sweep_main(argc, argv, sweeps, sizeof(sweeps) / sizeof((sweeps)[0]))

#endif
