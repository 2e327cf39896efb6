// SPDX-License-Identifier: GPL-2.0

#include <linux/signal.h>

void rust_helper_allow_signal(int sig)
{
	allow_signal(sig);
}

void rust_helper_disallow_signal(int sig)
{
	disallow_signal(sig);
}
