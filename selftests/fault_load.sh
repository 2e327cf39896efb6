#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Modules are loaded, links made and taken away, each allocation failing once: all or nothing.
#
# Of loading, short of ODP_SOAK=1, only what the modules' own initialisation allocates, but
# for the files of debugfs.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/fault.sh
. "$ODP_HERE/lib/fault.sh"

odp_needs+=("$ODP_MODULE")
MOST=20000	# steps of a sweep
SLACK=40	# objects; a leak is one for each fault of a sweep, or of a part of it
stride=$((47 * ODP_SLOW))	# of the long sweeps, over C code for the most part
loads=$ODP_SLOW	# the stride of loading rust_umem_odp.ko
[[ ${ODP_SOAK:-0} != 1 ]] || stride=1 loads=1

sweep() {
	errors=()
	fault_steps "$MOST" "$@" && echo "${#errors[@]} errors"
}

# sane [ERRNO]: the error is one of those that want of memory has, or that one, and only
# under a fault.
sane() {
	[[ $fault_error == 0 ]] && return 0
	errors[${#errors[@]}]=$fault_error
	[[ $fault_injects == yes && " ENOMEM EAGAIN ENOBUFS $* " == *" $fault_error "* ]] || {
		echo "error $fault_error, injected: $fault_injects"
		return 1
	}
}

# --- rust_umem_odp.ko ------------------------------------------------------------

no_trace_of() {
	[[ ! -e /sys/module/$1 && ! -e /sys/kernel/livepatch/$1 &&
	   ! -e /sys/kernel/debug/$1 ]] || {
		echo "there are traces of $1"
		return 1
	}
}

# What was loaded under a fault can go, amid the transition to it or, which takes longer,
# after that.
load_umem_odp() {
	fault_call_nth "$1" load "$ODP_MODULE" && sane || return
	if [[ $fault_error == 0 ]]; then
		[[ $stride != 1 ]] || odp_load || return
		odp_unload || return
	fi
	no_trace_of "$ODP_NAME"
}

serves() {
	odp_load && odp_counters_save && uses && (($(odp_delta umem_get) > 0)) &&
		odp_unload
}

uses() {
	odp_steps_start
	odp_step "map 64" reg "write 1" "check 1" "drop 0 32" "write 2" "read 2" dereg &&
		odp_steps_stop
}

# Disabling is a write to a file.
disable_umem_odp() {
	odp_load || return
	fault_call_nth "$1" write "$ODP_PATCH/enabled" 0 && sane || return
	[[ $fault_error != 0 ]] || odp_wait "$ODP_WAIT" odp_patch_gone || return
	odp_unload
}

# The kernel is loud about the memory that it wants for giving back a patched function, if
# it does that at once rather than from its worker.
disable_is_all() {
	fault_not_within klp_unpatch_objects && sweep 1 disable_umem_odp
}

# --- rdma_rxe.ko -------------------------------------------------------------------

load_rxe() {
	fault_call_nth "$1" load "$RXE_MODULE" && sane || return
	if [[ $fault_error == 0 ]]; then
		odp_rmmod rdma_rxe || return
	fi
	no_trace_of rdma_rxe
}

# The module goes while there is a link.
unload_rxe() {
	[[ -e /sys/module/rdma_rxe ]] || insmod "$RXE_MODULE" || return
	[[ -e /sys/class/infiniband/$ODP_DEV ]] || rxe_link || return
	fault_call_nth "$1" unload rdma_rxe && sane || return
	[[ $fault_error != 0 ]] || no_trace_of rdma_rxe
}

link_index() {
	rdma dev show "$ODP_DEV" | cut -d: -f1
}

# All or nothing, but for those who serve a device beside its driver: uverbs may be
# missing, of which the kernel tells its log alone. EPERM is what C makes of a socket that
# it does not get.
add_link() {
	fault_call_nth "$1" link-add "$ODP_DEV" "$rxe_netdev" && sane EPERM || return
	[[ ! -e /sys/class/infiniband/$ODP_DEV ]] || rdma link delete "$ODP_DEV" || return
	[[ ! -e /sys/class/infiniband/$ODP_DEV ]]
}

delete_link() {
	[[ -e /sys/class/infiniband/$ODP_DEV ]] || rdma link add "$ODP_DEV" type rxe \
		netdev "$rxe_netdev" || return
	fault_call_nth "$1" link-delete "$(link_index)" && sane || return
	[[ $fault_error != 0 || ! -e /sys/class/infiniband/$ODP_DEV ]]
}

rxe_works() {
	[[ -e /sys/module/rdma_rxe ]] || insmod "$RXE_MODULE" || return
	[[ -e /sys/class/infiniband/$ODP_DEV ]] || rxe_link || return
	uses
}

# Unless all is wanted; without the files of debugfs too, since each wants some transitions
# of a livepatch that is loaded all the same.
only_init() {
	[[ $stride != 1 ]] || return 0
	fault_only_within do_init_module && fault_not_within __debugfs_create_file
}

odp_init
fault_begin
fault_need_filter
odp_plan 10

rxe_use stock
odp_run serves
only_init
odp_ok "rust_umem_odp.ko: load" sweep "$loads" load_umem_odp
fault_everywhere
odp_ok "rust_umem_odp.ko: it serves after that" serves
odp_ok "rust_umem_odp.ko: disable" disable_is_all
fault_everywhere
rxe_use rust
odp_run rxe_works
slab_save
rxe_remove
only_init
odp_ok "rdma_rxe.ko: load" sweep 1 load_rxe
fault_everywhere
insmod "$RXE_MODULE"
odp_ok "rdma_rxe.ko: a link is made" sweep "$stride" add_link
odp_ok "rdma_rxe.ko: it works after that" rxe_works
odp_ok "rdma_rxe.ko: a link is taken away" sweep 1 delete_link
rxe_ok_in_use "rdma_rxe.ko: unload with a link" sweep 1 unload_rxe
odp_ok "rdma_rxe.ko: it works after that, too" rxe_works
rxe_now=rust
odp_ok "slab objects are back" slab_is_back "$SLACK"
fault_figures
odp_finish
