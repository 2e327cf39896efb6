// SPDX-License-Identifier: GPL-2.0

#include <linux/atomic.h>
#include <linux/wait_bit.h>

/* wait_var_event_timeout() is a macro that takes an expression: here, that @var is zero. */
long rust_helper_wait_var_event_zero_timeout(atomic_t *var, long timeout)
{
	return wait_var_event_timeout(var, !atomic_read(var), timeout);
}
