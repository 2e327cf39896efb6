// SPDX-License-Identifier: GPL-2.0

#include <linux/sched/signal.h>

struct task_struct *rust_helper___next_thread(struct task_struct *thread)
{
	return __next_thread(thread);
}

int rust_helper_fatal_signal_pending(struct task_struct *task)
{
	return fatal_signal_pending(task);
}
