# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The tests in selftests/, for the suites that run them in guests.

installed=$project/build/selftests

install_selftests() {
	rm -rf "$installed"
	unset MAKEFLAGS MFLAGS MAKELEVEL
	scripts/in-build-root make -s -C selftests install "INSTALL_PATH=$installed" >&2
}

# The tests of DMA by a PCI device, which want a guest that has one: a line each, as
# run_kselftest.sh names them.
dma_tests() {
	grep -E ':(edu_|umem_odp_dma).*\.sh$' "$installed/kselftest-list.txt" || :
}
