# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian's kernel from trixie-backports: image, modules, and its source prepared
# for out-of-tree modules. kernel/RELEASE/ in the cache holds
#   vmlinuz              the image
#   modules/             lib/modules/RELEASE, as `make modules_install` lays it out
#   modules.img          the same as an ext4 image, for the guest's /lib/modules
#   initramfs.cpio       busybox and the modules that reach the guest's disk
#   source/              the source, modules_prepare'd (stock kernel only)
# and a kernel of one's own can be put beside it with vmlinuz and modules/ alone.

kernels=$ODP_CACHE/kernel
# Days after which set-up asks the mirror whether there is a newer kernel.
kernel_check_days=7

kernel_hash() {
	recipe_hash "$project/scripts/lib/kernel.sh" "$project/scripts/lib/prepare-kernel"
}

kernel_release() {
	if [ -n "${KERNEL:-}" ]; then
		echo "$KERNEL"
	else
		readlink "$kernels/current" 2>/dev/null || :
	fi
}

kernel_is_ready() {
	[ -n "$1" ] && stamp_is "$kernels/$1/stamp" "$(kernel_hash)"
}

newest_kernel() {
	"$project/scripts/in-build-root" apt-cache show linux-headers-amd64/trixie-backports 2>/dev/null |
		sed -n 's/^Depends:.*linux-headers-\([0-9][^ ,]*-amd64\).*/\1/p' | head -n 1
}

update_package_lists() {
	"$project/scripts/in-build-root" apt-get -o APT::Sandbox::User=root -q \
		-o APT::Update::Error-Mode=any update
}

# Sets found_kernel by asking the mirror.
find_newest_kernel() {
	step "package lists of the mirror" package-lists update_package_lists
	found_kernel=$(newest_kernel)
	[ -n "$found_kernel" ] ||
		die "$(mirror) has no linux-headers-amd64 in trixie-backports: set ODP_MIRROR to a complete mirror"
}

make_kernel() {
	local release=$1 new=$kernels/$1.new
	rm -rf "$kernels"/*.new
	mkdir -p "$new"
	cd "$new" || return
	"$project/scripts/in-build-root" "$project/scripts/lib/prepare-kernel" "$release"
	"$project/scripts/lib/kernel-images" "$new"
	kernel_hash >"$new/stamp"
	rm -rf "${kernels:?}/$release"
	mv "$new" "$kernels/$release"
}

setup_this_kernel() {
	kernel_is_ready "$1" && return
	need_space 6000
	step "kernel $1 (source prepared for modules)" "kernel-$1" make_kernel "$1"
}

use_kernel() {
	ln -sfn "$1" "$kernels/current.new"
	mv -T "$kernels/current.new" "$kernels/current"
}

checked_lately() {
	[ -n "$(find "$kernels" -maxdepth 1 -name checked -mtime -$kernel_check_days)" ]
}

# setup_kernel [update]: KERNEL if given; else what the cache has, unless it is
# time (or asked for) to look for a newer one.
setup_kernel() {
	local release found_kernel
	release=$(kernel_release)
	mkdir -p "$kernels"
	if [ -n "${KERNEL:-}" ]; then
		kernel_is_ready "$KERNEL" && return
		step "package lists of the mirror" package-lists update_package_lists
		setup_this_kernel "$KERNEL"
		[ -e "$kernels/current" ] || use_kernel "$KERNEL"
		return
	fi
	if [ "${1:-}" != update ] && kernel_is_ready "$release"; then
		! checked_lately || return 0
		if ! (find_newest_kernel) 2>/dev/null; then
			say "no answer from the mirror about newer kernels; going on with $release"
			touch -d "-$((kernel_check_days - 1)) days" "$kernels/checked"
			return 0
		fi
		found_kernel=$(newest_kernel)
	else
		find_newest_kernel
	fi
	[ "$found_kernel" = "$release" ] || say "newest kernel in trixie-backports: $found_kernel"
	setup_this_kernel "$found_kernel"
	use_kernel "$found_kernel"
	touch "$kernels/checked"
}
