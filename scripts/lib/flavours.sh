# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Kernels for tests beside Debian's ("stock"), built from the same source with the
# options of qemu/kernels/base.config and FLAVOUR.config. kernel/RELEASE-FLAVOUR/ in
# the cache is like kernel/RELEASE/, but with build/, the kernel's object tree, in
# place of source/. kernel/RELEASE-source/ is the source, for all of them.

flavours=(test debug kcsan)

# flavour_release FLAVOUR: as uname -r says it, and as the folder in the cache.
flavour_release() {
	local release
	release=$(kernel_release)
	[ "$1" = stock ] || release+=-$1
	echo "$release"
}

is_flavour() {
	[[ " ${flavours[*]} " = *" $1 "* ]]
}

flavour_config() {
	echo "$project/qemu/kernels/$1.config"
}

# A flavour names its compiler: Debian's, or clang where the checks want that.
flavour_is_clang() {
	is_flavour "$1" && grep -q '^# Compiler: clang' "$(flavour_config "$1")"
}

# What KCSAN watches of the kernel's C: objects by their names.
kcsan_objects=(helpers/helpers hmm mmu_notifier xarray interval_tree refcount
	umem umem_odp umem_dmabuf uverbs_cmd uverbs_main uverbs_std_types_mr rdma_core)

# flavour_make_options FLAVOUR: the kernel's make takes them for the kernel and for
# modules; a line each. The kernel's build does not instrument Rust for KCSAN, though
# the same compiler passes do it as for C.
flavour_make_options() {
	if flavour_is_clang "$1"; then
		echo LLVM=1
	else
		echo CC=gcc-14
	fi
	[ "$1" = kcsan ] || return 0
	echo "KRUSTFLAGS=-Zsanitizer=thread -Cllvm-args=-tsan-distinguish-volatile=1" \
		"-Cllvm-args=-tsan-compound-read-before-write=1 -Cllvm-args=-tsan-instrument-func-entry-exit=0"
}

# The same, for the kernel only.
flavour_kernel_options() {
	local object
	[ "$1" = kcsan ] || return 0
	echo KCSAN_SANITIZE=n
	for object in "${kcsan_objects[@]}"; do
		echo "KCSAN_SANITIZE_$object.o=y"
	done
}

# How many times as slow as Debian's kernel tests run there, rounded up.
flavour_slowness() {
	local slowness=1
	! is_flavour "$1" || slowness=$(sed -n 's/^# Slowness: //p' "$(flavour_config "$1")")
	echo "$slowness"
}

flavour_hash() {
	recipe_hash "$project/scripts/lib/make-flavour" "$(flavour_config base)" "$(flavour_config "$1")" \
		<(flavour_make_options "$1"; flavour_kernel_options "$1")
}

flavour_is_ready() {
	stamp_is "$kernels/$(flavour_release "$1")/stamp" "$(flavour_hash "$1")"
}

# The compiler takes no sanitizer that the kernel's description of the target does not
# name. It changes nothing but for KCSAN.
allow_thread_sanitizer() {
	sed -i 's/\["kcfi", "kernel-address"\]/["kcfi", "kernel-address", "thread"]/' "$1"
	grep -q '"kernel-address", "thread"' "$1" ||
		die "$1 names the sanitizers in another way than it did: KCSAN would not see Rust"
}

# Debian's source as it was unpacked: the kernel's own build takes no object tree
# elsewhere while there are objects among the sources. The files are hard links.
make_flavour_source() {
	local new release lock
	release=$(kernel_release)
	exec {lock}>"$kernels/lock"
	flock "$lock"
	[ ! -d "$kernels/$release-source" ] || return 0
	new=$kernels/$release-source.new
	rm -rf "$new"
	cp -al "$kernels/$release/source" "$new"
	cd "$new" || return
	allow_thread_sanitizer scripts/generate_rust_target.rs
	"$project/scripts/in-build-root" make mrproper
	mv "$new" "$kernels/$release-source"
}

# Goes on where an interrupted build stopped.
make_flavour() {
	local release
	local -a options
	release=$(kernel_release)
	mapfile -t options < <(flavour_make_options "$1"; flavour_kernel_options "$1")
	[ -d "$kernels/$release-source" ] || (make_flavour_source)
	cd "$kernels/$release-$1" || return
	rm -f stamp
	"$project/scripts/in-build-root" "$project/scripts/lib/make-flavour" "$1" "$release" \
		"$kernels/$release-source" "${options[@]}"
	"$project/scripts/lib/kernel-images" "$PWD"
	flavour_hash "$1" >stamp
}

# Debian's kernel is set up already.
setup_flavour() {
	local release lock
	release=$(flavour_release "$1")
	flavour_is_ready "$1" && return
	need_space 6000
	mkdir -p "$kernels/$release"
	exec {lock}>"$kernels/$release/lock"
	flock "$lock"
	flavour_is_ready "$1" ||
		step "kernel $release (compiled here, which takes minutes)" "kernel-$release" make_flavour "$1"
}
