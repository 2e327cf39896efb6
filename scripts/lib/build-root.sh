# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The trixie build root: compilers, QEMU, and the tools of `make check`.

build_root_packages=(
	ca-certificates make gcc gcc-14 libc6-dev bc bison flex cpio kmod rsync
	dwarves libelf-dev libssl-dev python3 xz-utils zstd dpkg-dev
	rustc rust-src rustfmt rust-clippy bindgen clang lld llvm libclang-dev
	coccinelle shellcheck libibverbs-dev librdmacm-dev libfuse3-dev
	busybox-static e2fsprogs libarchive13t64 qemu-system-x86
)

build_root_hash() {
	recipe_hash "$project/scripts/lib/build-root.sh"
}

build_root_is_ready() {
	stamp_is "$build_root.stamp" "$(build_root_hash)"
}

build_root_sources() {
	local mirror
	mirror=$(mirror)
	echo "deb $mirror trixie main"
	echo "deb $mirror trixie-updates main"
	echo "deb $mirror trixie-backports main"
}

make_build_root() {
	local new=$build_root.new include
	local -a sources
	include=$(IFS=,; echo "${build_root_packages[*]}")
	mapfile -t sources < <(build_root_sources)
	[ ${#sources[@]} = 3 ] || exit 1
	remove_tree "$new"
	if [ "$(id -u)" = 0 ]; then
		make_root trixie '' --include="$include" "$new" "${sources[@]}"
	else
		# By way of a tar archive all files belong to the user, so that neither
		# using nor removing the root needs sub-uids.
		mkdir "$new"
		make_root trixie '' --include="$include" --format=tar - "${sources[@]}" |
			tar -x -C "$new" --no-same-owner --exclude='./dev/*'
	fi
	rm -f "$build_root.stamp"
	remove_tree "$build_root"
	mv "$new" "$build_root"
	build_root_hash >"$build_root.stamp.new"
	mv "$build_root.stamp.new" "$build_root.stamp"
}

setup_build_root() {
	build_root_is_ready && return
	command -v mmdebstrap >/dev/null || step "mmdebstrap on this machine" host install_on_host mmdebstrap
	need_space 8000
	step "build root (Debian trixie, about 2 GB)" build-root make_build_root
}
