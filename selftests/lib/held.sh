# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A client that has page faults which nobody serves, until it is told to: it prints "held",
# reads a line, serves them, prints "served"; after odp.sh.
#
#   held_start CLIENT…            returns when it waits; its pid is $held_pid
#   held_serve                    it goes on, and ends
#   held_kill                     it is killed

held_start() {
	local answer

	coproc held_client { exec "$@" 2>&1; }
	# shellcheck disable=SC2154 # bash sets it
	held_pid=$held_client_PID
	held_in=${held_client[1]}
	held_out=${held_client[0]}
	read -r -t $((60 * ODP_SLOW)) -u "$held_out" answer || answer="no answer"
	[[ $answer == held ]] || {
		echo "$answer"
		return 1
	}
}

held_serve() {
	local answer

	echo >&"$held_in"
	read -r -t $((60 * ODP_SLOW)) -u "$held_out" answer || answer="no answer"
	exec {held_in}>&-
	wait "$held_pid"
	echo "$answer"
	[[ $answer == served ]]
}

held_kill() {
	kill -KILL "$held_pid"
	wait "$held_pid" 2>/dev/null || true
	exec {held_in}>&-
}
