#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A network namespace has sockets while it has a link, whichever link or namespace goes first.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/held.sh
. "$ODP_HERE/lib/held.sh"

ROUNDS=$(odp_rounds 2 100)
SEED=${SEED:-$RANDOM}
PORT=12B7		# 4791, as /proc/net/udp has it
SPACES=(odp_a odp_b)	# and "here", the one that the test is in, where $ODP_DEV is
ASIDE=odp_aside		# where net devices move to
LINKS=(0 1)		# in each, beyond $ODP_DEV
AT_ONCE=$((2 * ODP_SLOW))	# seconds for what does not wait
WAIT=$((20 * ODP_SLOW))	# seconds for what goes by itself
PAIR=2			# sockets of a namespace: IPv4 and IPv6
SLACK=40		# objects; a leak is one at least for each namespace of a round
slab_pattern[UDP]='^UDP$'
slab_pattern[UDPv6]='^UDPv6$'
slab_pattern[net_namespace]='^net_namespace$'
# Workers of a work queue stay for five minutes: of tasks, nothing can be said.
unset "slab_pattern[task_struct]" "slab_pattern[pid]"

# --- namespaces, "here" among them -----------------------------------------------------------

run_in() {
	if [[ $1 == here ]]; then
		"${@:2}"
	else
		ip netns exec "$@"
	fi
}

space_up() {
	local i

	[[ $1 == here ]] || ip netns add "$1" || return
	for i in "${LINKS[@]}"; do
		netdev_up "$1" "$i" || return
	done
}

# It may have been removed, or have moved.
netdev_up() {
	run_in "$1" ip link show "odpn$2" >/dev/null 2>&1 ||
		{ run_in "$1" ip link add "odpn$2" type dummy &&
			run_in "$1" ip link set "odpn$2" up; }
}

# shellcheck disable=SC2317 # called at exit
spaces_down() {
	local space i

	for space in "${SPACES[@]}" "$ASIDE"; do
		ip netns delete "$space" 2>/dev/null
	done
	for i in "${LINKS[@]}"; do
		ip link delete "odpn$i" 2>/dev/null
	done
}

spaces_up() {
	local space

	for space in "${SPACES[@]}" "$ASIDE"; do
		[[ ! -e /run/netns/$space ]] || ip netns delete "$space" || return
	done
	for space in "${SPACES[@]}" here; do
		space_up "$space" || return
	done
	ip netns add "$ASIDE"
}

# --- links, and what they have in common -----------------------------------------------------

link_add() {
	run_in "$1" rdma link add "$1_$2" type rxe netdev "odpn$2"
}

link_exists() {
	[[ -e /sys/class/infiniband/$1 ]]
}

link_gone() {
	! link_exists "$1"
}

sockets() {
	run_in "$1" cat /proc/net/udp /proc/net/udp6 | grep -ci ":$PORT 0" || true
}

# has SPACE NUMBER: that many sockets, now or soon: a net device's link goes after it.
has_now() {
	(($(sockets "$1") == $2))
}

has() {
	odp_wait "$WAIT" has_now "$@" || {
		echo "$1 has $(sockets "$1") sockets instead of $2"
		return 1
	}
}

# At once, all of them.
links_add() {
	local i pids=() status=0

	for i in "${LINKS[@]}"; do
		link_add "$1" "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || status=1
	done
	return "$status"
}

links_delete() {
	local i

	for i in "${LINKS[@]}"; do
		rdma link delete "$1_$i" || return
	done
}

unload() {
	rmmod rdma_rxe && rxe_now=none
}

# --- one thing each ---------------------------------------------------------------------------

made_at_once() {
	links_add odp_a && has odp_a $PAIR && has odp_b 0 && links_delete odp_a && has odp_a 0
}

# A link is deleted, and its net device too while a prefetch still keeps the link.
deleted_twice() {
	local number

	link_add here 0 && link_add here 1 || return 2
	ODP_DEV=here_1 held_start "$ODP_BIN/rxe_unserved_owner" hold prefetch || return 2
	rdma link delete here_1 &
	sleep 1
	ip link delete odpn1 &
	sleep 1
	held_serve || true
	odp_wait "$WAIT" link_gone here_1 && wait && rdma link delete here_0 || return 2
	number=$(sockets here)
	netdev_up here 1 || return 2
	((number == PAIR)) || {
		echo "$ODP_DEV has $number sockets"
		return 1
	}
}

netdevs_go() {
	links_add odp_a && ip -n odp_a link delete odpn0 && odp_wait "$WAIT" link_gone odp_a_0 &&
		has odp_a $PAIR && ip -n odp_a link set odpn1 netns "$ASIDE" && has odp_a 0 &&
		link_gone odp_a_1 && has "$ASIDE" 0 && spaces_up
}

namespace_goes() {
	links_add odp_a && links_add odp_b && ip netns delete odp_a &&
		odp_wait "$WAIT" link_gone odp_a_0 && odp_wait "$WAIT" link_gone odp_a_1 &&
		has odp_b $PAIR && space_up odp_a && has odp_a 0 && link_add odp_a 0 &&
		has odp_a $PAIR && rdma link delete odp_a_0 && has odp_a 0 && links_delete odp_b
}

udp_objects() {
	slab_shrink
	slab_objects '^UDP(v6)?$'
}

udp_objects_are() {
	(($(udp_objects) <= $1))
}

# unload_leaves_nothing rust|stock. 1: objects of sockets.
unload_leaves_nothing() {
	local before i

	before=$(udp_objects)
	for i in 1 2; do
		links_add odp_a && links_add odp_b && links_add here || return 2
		unload && has odp_a 0 && has odp_b 0 && has here 0 && rxe_use "$1" || return 2
	done
	odp_wait "$WAIT" udp_objects_are $((before + 1)) || {
		echo "$before objects of UDP sockets before, $(udp_objects) after"
		return 1
	}
}

# --- the RDMA device's own namespace ------------------------------------------------------------

exclusive() {
	spaces_down && odp_wait "$WAIT" rdma system set netns exclusive && spaces_up
}

# Those of its net device stay where that is.
device_moves() {
	link_add here 0 && link_add odp_a 0 && rdma dev set here_0 netns odp_b &&
		rdma dev set odp_a_0 netns odp_b && has here $PAIR && has odp_a $PAIR &&
		has odp_b 0 && run_in odp_b rdma link delete odp_a_0 && has odp_a 0 &&
		ip netns delete odp_b && odp_wait "$WAIT" link_exists here_0 && has here $PAIR &&
		rdma link delete here_0 && has here $PAIR && space_up odp_b
}

# moves_amid_prefetch. 1: it waits for a prefetch that nobody serves.
moves_amid_prefetch() {
	local status=0

	link_add here 0 || return 2
	ODP_DEV=here_0 held_start "$ODP_BIN/rxe_unserved_owner" hold prefetch || return 2
	odp_within "$AT_ONCE" rdma dev set here_0 netns odp_b || status=1
	held_serve || return 2
	odp_wait "$WAIT" link_gone here_0 && run_in odp_b rdma link delete here_0 || return 2
	return "$status"
}

# Unloaded with links whose devices are elsewhere.
unload_moved() {
	link_add odp_a 0 && link_add odp_a 1 && rdma dev set odp_a_0 netns odp_b && unload &&
		has odp_a 0 && has here 0 && rxe_use rust && has here $PAIR
}

shared() {
	spaces_down && odp_wait "$WAIT" rdma system set netns shared && spaces_up
}

# --- all at random ------------------------------------------------------------------------------

# A link goes: by its name, or with its net device, which goes or moves.
link_goes() {
	local space=$1 i=$2

	case $((RANDOM % 4)) in
	0) rdma link delete "${space}_$i" ;;
	1) run_in odp_b rdma link delete "${space}_$i" ;;
	2) run_in "$space" ip link delete "odpn$i" ;;
	3) run_in "$space" ip link set "odpn$i" name "odpn$i$space" netns "$ASIDE" ;;
	esac || return
	odp_wait "$WAIT" link_gone "${space}_$i" || {
		echo "${space}_$i does not go"
		return 1
	}
}

# Links of a namespace go in random order; some stay, and their sockets.
some_go() {
	local space=$1 left=${#LINKS[@]} i

	[[ $space != here ]] || ((++left))
	for i in $(shuf -e --random-source=<(yes $RANDOM) "${LINKS[@]}"); do
		((RANDOM % 4)) || continue
		link_goes "$space" "$i" || return
		((--left))
		has "$space" $((left ? PAIR : 0)) || return
	done
}

round() {
	local space

	RANDOM=$((SEED + $1))
	for space in "${SPACES[@]}" here; do
		links_add "$space" && has "$space" $PAIR || return
	done
	for space in odp_a here odp_b; do
		some_go "$space" || return
	done
	((RANDOM % 2)) || ip netns delete odp_a || return
	unload && has odp_b 0 && has here 0 && rxe_use rust && spaces_up
}

rounds() {
	echo "seed=$SEED"
	odp_repeat "$1" round
}

odp_init
{ ip netns list >/dev/null 2>&1 && modprobe dummy; } || odp_skip_all "no network namespaces, or no dummy"
odp_plan 14
rxe_use rust
odp_at_exit spaces_down
spaces_up
# What is made at the first use is there then
odp_run rounds 1 || true
slab_save

odp_ok "links that are made at once share two sockets" made_at_once
odp_ok "a link that is deleted twice does not take another one's sockets" \
	deleted_twice
odp_ok "sockets go with the last net device that had a link" netdevs_go
odp_ok "a namespace goes with links in it" namespace_goes
odp_ok "the module goes with links in several namespaces: no socket is left" \
	unload_leaves_nothing rust
moves="the RDMA device moves to another namespace, or back: its sockets stay"
amid="it moves amid a prefetch that nobody serves, and does not wait"
unloads="the module goes when devices are elsewhere"
if odp_run exclusive; then
	odp_ok "$moves" device_moves
	odp_ok "$amid" moves_amid_prefetch
	odp_ok "$unloads" unload_moved
	odp_ok "devices are shared again" shared
else
	spaces_up
	for what in "$moves" "$amid" "$unloads" "devices are shared again"; do
		ktap_test_skip "$what: there are other namespaces"
	done
fi
odp_ok "$ROUNDS rounds, at random" rounds "$ROUNDS"
odp_figure "rounds" "$ROUNDS"
odp_ok "slab objects are back" slab_is_back "$SLACK"
if [[ -e /sys/kernel/debug/kmemleak ]]; then
	for what in "unload" "a link deleted twice" "a move"; do
		ktap_test_skip "control, stock, $what: this kernel looks for leaks"
	done
else
	rxe_use stock
	spaces_up
	odp_control "control, stock, unload: objects are left" unload_leaves_nothing stock
	odp_control "control, stock: deleted twice: a link has no socket" deleted_twice
	what="control, stock: a move waits"
	if odp_run exclusive; then
		odp_control "$what" moves_amid_prefetch
		odp_run shared || true
	else
		ktap_test_skip "$what: there are other namespaces"
	fi
	rxe_use rust
fi
odp_finish
