// SPDX-License-Identifier: GPL-2.0

#include <linux/atomic.h>
#include <linux/wait_bit.h>

/* wait_var_event() is a macro that takes an expression: here, that @var is zero. */
void rust_helper_wait_var_event_zero(atomic_t *var)
{
	wait_var_event(var, !atomic_read(var));
}
