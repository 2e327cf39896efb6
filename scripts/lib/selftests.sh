# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The tests in selftests/, for the suites that run them in guests. Environment:
#   ODP_KERNEL     the kernel that the guests boot, as qemu/run --kernel takes it (stock)
#   ODP_SLOW       how many times as slow as Debian's that kernel is (as its config says)
#   SEED, ROUNDS, ODP_SOAK   handed on to the tests

# shellcheck source=scripts/lib/kernel.sh
. "$project/scripts/lib/kernel.sh"
# shellcheck source=scripts/lib/flavours.sh
. "$project/scripts/lib/flavours.sh"

ODP_KERNEL=${ODP_KERNEL:-stock}
ODP_SLOW=${ODP_SLOW:-$(flavour_slowness "$ODP_KERNEL")}
# What time limits are multiplied by: a soak is long.
patience=$((ODP_SLOW * (${ODP_SOAK:-0} == 1 ? 20 : 1)))
# Suites may run at the same time, and one for several kernels: each has a copy of its own.
installed=$project/build/selftests/$ODP_KERNEL/$(basename "$0")

# The modules that fit the kernel, the tests' own among them.
selftest_modules() {
	local modules=$project/build/$ODP_KERNEL
	find "$modules" "$modules/selftests/modules" -maxdepth 1 -name '*.ko' | paste -sd' '
}

install_selftests() {
	rm -rf "$installed"
	unset MAKEFLAGS MFLAGS MAKELEVEL
	# Those for Debian's kernel are what make test begins with.
	[ "$ODP_KERNEL" = stock ] || "$project/scripts/build-modules" --kernel "$ODP_KERNEL" >&2
	exec {install_lock}>"$project/build/lock"
	flock "$install_lock"
	scripts/in-build-root make -s -C selftests install "INSTALL_PATH=$installed" \
		"MODULES=$(selftest_modules)" >&2
	exec {install_lock}>&-
}

# The tests of DMA by a PCI device, which want a guest that has one: a line each, as
# run_kselftest.sh names them.
dma_tests() {
	grep -E ':(edu_|umem_odp_dma).*\.sh$' "$installed/kselftest-list.txt" || :
}

# The tests with a guest of their own: of DMA, of injected faults and of two guests.
special_tests() {
	dma_tests
	grep -E ':(fault_|pair_).*\.sh$' "$installed/kselftest-list.txt" || :
}

# set_test_command ARGUMENT…: sets `test_command`, which runs tests in a guest.
set_test_command() {
	local name
	test_command=(env)
	for name in SEED ROUNDS ODP_SOAK ODP_SLOW; do
		[ -z "${!name:-}" ] || test_command+=("$name=${!name}")
	done
	test_command+=(./run_kselftest.sh "$@")
}

# guest_ktap NUMBER: the KTAP of a guest, from stdin, one level deeper.
guest_ktap() {
	mkdir -p "${installed%/*}"
	tee "$installed-$1.ktap" | sed -u 's/^/# /'
}

# guest_result NUMBER DESCRIPTION STATUS: the result of that guest. If it failed, what
# failed comes once more before, with its reasons.
guest_result() {
	if [ "$3" = 0 ]; then
		echo "ok $1 - $2"
		return
	fi
	awk -f "$project/scripts/lib/count-ktap.awk" "$installed-$1.ktap" | sed 's/^/# /'
	echo "not ok $1 - $2 # exit=$3"
	return 1
}
