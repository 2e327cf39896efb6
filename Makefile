# SPDX-License-Identifier: GPL-2.0
#
# `make help` lists the targets. The modules' own build is in Kbuild.

export ODP_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/rust-odp
ifdef KERNEL
export KERNEL
endif

all: modules

help:
	@echo 'make run            boot a guest, load the modules, run the ODP tests of rdma-core'
	@echo 'make run-pair       two guests with a network: RDMA to ODP memory, loss, kills, perftest'
	@echo 'make test           run all tests of the project (TESTS="SUITE…" for some suites;'
	@echo '                    SEED= to repeat a storm, ROUNDS= for more or fewer rounds)'
	@echo 'make test-debug     run them on a kernel with KASAN, lockdep and kmemleak, then RDMA'
	@echo '                    on one with KCSAN'
	@echo 'make soak           the storms, for hours (SEED= to repeat one)'
	@echo 'make bench          measure rdma_rxe.ko against stock: table, JSON and plots in build/bench/'
	@echo 'make modules        build the modules to build/stock/'
	@echo 'make check          format, lint and static checks of all sources'
	@echo 'make doc            documentation of the library and the drivers, to build/doc/'
	@echo 'make rust-analyzer  rust-project.json for editors'
	@echo 'make setup          make what is missing in the cache: build root, kernel, guest'
	@echo 'make update         the same, but look for a newer kernel now (else once a week)'
	@echo 'make clean          remove what was built here: build/ and rust-project.json'
	@echo 'make distclean      make clean, and remove the cache too'
	@echo
	@echo 'ODP_CACHE=$(ODP_CACHE)   the cache folder'
	@echo 'KERNEL=RELEASE      instead of the newest kernel of trixie-backports'
	@echo 'ODP_MIRROR=ADDRESS  instead of the Debian mirror of the machine'"'"'s apt'

setup:
	@scripts/setup all

update:
	@scripts/setup update

modules:
	@scripts/build-modules

run: modules
	@scripts/run-rdma-core-tests

run-pair: modules
	@scripts/suites/pair $(TESTS)

test: modules
	@scripts/test $(TESTS)

test-debug: modules
	@scripts/test-debug $(TESTS)

soak: modules
	@scripts/soak

bench: modules
	@scripts/bench

check doc rust-analyzer: modules
	@scripts/$@

clean:
	@echo 'removing build/ and rust-project.json'
	@rm -rf build rust-project.json

distclean: clean
	@scripts/remove-cache

.PHONY: all help setup update modules run run-pair test test-debug soak bench check doc rust-analyzer clean distclean
