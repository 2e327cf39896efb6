# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A file system whose files are never read to an end: fuse_unserved; after odp.sh.
#
#   fuse_start                    mounts it, for lib/fuse.c to find; fails where that cannot be
#   fuse_stop                     it is gone: who waits for a page gets an error

fuse_start() {
	export FUSE_DIR=$odp_tmp/fuse

	[[ -x $ODP_BIN/fuse_unserved && -e /dev/fuse ]] || return
	mkdir -p "$FUSE_DIR"
	"$ODP_BIN/fuse_unserved" "$FUSE_DIR" >"$odp_tmp/fuse.log" 2>&1 &
	fuse_pid=$!
	odp_at_exit fuse_stop
	odp_says "$odp_tmp/fuse.log" mounted $((10 * ODP_SLOW))
}

fuse_stop() {
	[[ -n ${fuse_pid:-} ]] || return 0
	kill -KILL "$fuse_pid" 2>/dev/null
	wait "$fuse_pid" 2>/dev/null || true
	fuse_pid=
	umount -l "$FUSE_DIR"
}
