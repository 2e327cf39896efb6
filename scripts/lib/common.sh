# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by the scripts: where things are, progress lines, one-sentence errors.

# A user's PATH leaves out what is root's, such as chroot.
PATH=$PATH:/usr/sbin:/sbin

project=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
ODP_CACHE=${ODP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rust-odp}
ODP_CACHE=$(realpath -m "$ODP_CACHE")
export ODP_CACHE
build_root=$ODP_CACHE/build-root

die() {
	echo "error: $*" >&2
	exit 1
}

say() {
	echo "setup: $*" >&2
}

# Runs a command of the build root on the host by the build root's own dynamic
# linker: no privileges, no mounts, and no version of it needed on the host.
from_build_root() {
	local program=$1
	shift
	"$build_root/usr/lib64/ld-linux-x86-64.so.2" \
		--library-path "$build_root/usr/lib/x86_64-linux-gnu" \
		"$build_root/usr/bin/$program" "$@"
}

# The stamp of a finished step is the hash of the recipe that made it (of its
# text, not of its place: two checkouts may share a cache).
recipe_hash() {
	cat "$@" | sha256sum | cut -d' ' -f1
}

stamp_is() {
	[ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

# as_root COMMAND…: directly, or by a sudo that asks nothing.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n -- "$@"
	fi
}

can_be_root() {
	[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

# Whether this user may make a user namespace with mounts of its own.
has_user_namespaces() {
	unshare --user --map-root-user --mount true 2>/dev/null
}

# Says in one sentence why a step failed, if its log tells a known reason.
explain_failure() {
	local log=$1
	if grep -qE 'No space left on device|Disk quota exceeded|enough free space' "$log"; then
		echo "the disk is full: make room in $ODP_CACHE or set ODP_CACHE to another disk, and run again"
	elif grep -qE 'Temporary failure resolving|Could not resolve|Could not connect|Connection (failed|timed out)|Network is unreachable|Unable to connect' "$log"; then
		echo "the Debian mirror $(mirror) cannot be reached: check the network (or set ODP_MIRROR to another mirror) and run again"
	elif grep -qE 'NO_PUBKEY|is not signed|signatures? (were|was|couldn)' "$log"; then
		echo "a signature of the mirror $(mirror) could not be verified: update the package debian-archive-keyring and run again"
	elif grep -qE '404 +Not Found|Hash Sum mismatch|File has unexpected size' "$log"; then
		echo "the mirror $(mirror) is between two updates: run again later, or set ODP_MIRROR to another mirror"
	else
		return 1
	fi
}

# step WHAT LOGNAME COMMAND…: one progress line with the time that it took.
step() {
	local what=$1 log=$ODP_CACHE/log/$2.log start=$EPOCHSECONDS reason
	shift 2
	mkdir -p "$ODP_CACHE/log"
	say "$what…"
	# In a subshell of its own, so that set -e holds within the step.
	set +e
	(set -e; "$@") >"$log" 2>&1
	local status=$?
	set -e
	if [ $status != 0 ]; then
		# A step that knows why it failed says so by a line "error: …".
		if grep -q '^error: ' "$log"; then
			grep '^error: ' "$log" | tail -n 1 >&2
			exit 1
		fi
		if reason=$(explain_failure "$log"); then
			die "$what failed: $reason"
		fi
		tail -n 15 "$log" | sed 's/^/    /' >&2
		die "$what failed: the end of $log, shown above, says why"
	fi
	grep '^note: ' "$log" | sort -u | sed 's/^note: /setup: /' >&2 || :
	say "$what: done in $((EPOCHSECONDS - start)) s"
}

# Never follows a mount, though none is left outside of in-build-root's namespace.
remove_tree() {
	[ ! -e "$1" ] || {
		chmod -R u+rwX "$1" || :
		rm -rf --one-file-system "$1"
	}
}

# need_space MEGABYTES
need_space() {
	local free
	free=$(df --output=avail -BM "$ODP_CACHE" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge "$1" ] ||
		die "$ODP_CACHE has $free MB free and $1 MB are needed: make room there or set ODP_CACHE to another disk"
}
