// SPDX-License-Identifier: GPL-2.0
/*
 * Holds who looks up an object of soft-RoCE's by its index, after it has found something
 * and before it takes a reference; and counts what is found and freed meanwhile.
 *
 * A test module: it trusts root.
 */

#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <trace/events/kmem.h>

#define LOOKUP "rxe_pool_get_index"
#define LOOKUP_BYTES 512	/* its code is not longer */

static unsigned int index;
module_param(index, uint, 0644);
MODULE_PARM_DESC(index, "of whom to hold; 0: nobody");

static unsigned int ms = 200;
module_param(ms, uint, 0644);
MODULE_PARM_DESC(ms, "how long, with the processor");

static bool held;
module_param(held, bool, 0444);
MODULE_PARM_DESC(held, "whether one is held");

static unsigned int freed;
module_param(freed, uint, 0444);
MODULE_PARM_DESC(freed, "how often what was found was freed while it was held");

static bool gone;		/* what is held has been freed: it must not be used */
static unsigned long lookup;	/* the function's address */
static void *entry;		/* what has been found; one at a time */

static int lookup_begins(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	unsigned int wanted = READ_ONCE(index);

	/* Not zero: no handler for the return. */
	return !wanted || regs_get_kernel_argument(regs, 1) != wanted;
}

static int lookup_found(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	void *now = (void *)regs_return_value(regs);

	if (get_kretprobe_retaddr(instance) - lookup >= LOOKUP_BYTES)
		return 0;
	if (!now || cmpxchg(&entry, NULL, now))
		return 0;
	WRITE_ONCE(gone, false);
	WRITE_ONCE(held, true);
	mdelay(READ_ONCE(ms));
	WRITE_ONCE(held, false);
	WRITE_ONCE(entry, NULL);
	/* It has been counted; a use of it would only make the kernel warn, at times. */
	if (READ_ONCE(gone))
		regs_set_return_value(regs, 0);
	return 0;
}

static void on_kfree(void *data, unsigned long call_site, const void *object)
{
	void *now = READ_ONCE(entry);

	if (!now || object > now || ZERO_OR_NULL_PTR(object) || now >= object + ksize(object))
		return;
	WRITE_ONCE(gone, true);
	WRITE_ONCE(freed, freed + 1);
}

static struct kretprobe xa_load_probe = {
	.kp.symbol_name = "xa_load",
	.entry_handler = lookup_begins,
	.handler = lookup_found,
};

static int __init held_lookup_init(void)
{
	struct kprobe where = { .symbol_name = LOOKUP };
	int err = register_kprobe(&where);

	if (err)
		return err;
	lookup = (unsigned long)where.addr;
	unregister_kprobe(&where);
	err = register_trace_kfree(on_kfree, NULL);
	if (err)
		return err;
	err = register_kretprobe(&xa_load_probe);
	if (err)
		unregister_trace_kfree(on_kfree, NULL);
	return err;
}

static void __exit held_lookup_exit(void)
{
	unregister_kretprobe(&xa_load_probe);
	unregister_trace_kfree(on_kfree, NULL);
	tracepoint_synchronize_unregister();
}

module_init(held_lookup_init);
module_exit(held_lookup_exit);
MODULE_DESCRIPTION("Test module: holds look-ups of soft-RoCE");
MODULE_LICENSE("GPL");
