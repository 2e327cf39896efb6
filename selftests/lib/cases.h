/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For clients that go through cases and print a line for each:
 * "pass|fail|skip what it is: what came of it". See lib/cases.sh.
 */
#ifndef CASES_H
#define CASES_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The errnos that a case allows; 0 means that it may be accepted. */
#define WANT(...) ((const int[]){ __VA_ARGS__, -1 })

static inline void result_is(bool pass, const char *what, const char *result)
{
	printf("%s %s: %s\n", pass ? "pass" : "fail", what, result);
	fflush(stdout);
}

static inline void result_skip(const char *what, const char *why)
{
	printf("skip %s: %s\n", what, why);
}

static inline bool result_errno(const char *what, int err, const int *want)
{
	while (*want >= 0 && *want != err)
		want++;
	result_is(*want == err, what, err ? strerrorname_np(err) : "accepted");
	return *want == err;
}

static inline bool result_status(const char *what, enum ibv_wc_status got,
				 enum ibv_wc_status want)
{
	result_is(got == want, what, ibv_wc_status_str(got));
	return got == want;
}

#endif
