# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# KVM or TCG: which one works here, and QEMU's options for each.

# run_qemu ACCEL OPTION…: the build root's QEMU, which ends with this shell.
run_qemu() {
	local accel=$1 share=$build_root/usr/share
	local -a accel_options=(-accel kvm)
	shift
	# Without thread=, QEMU takes what fits: one thread a CPU, but for -icount.
	[ "$accel" = kvm ] || accel_options=(-accel tcg)
	# The file with the snapshot's writes is nameless: it goes with QEMU.
	TMPDIR=$ODP_CACHE QEMU_MODULE_DIR=$build_root/usr/lib/x86_64-linux-gnu/qemu \
		exec setpriv --pdeathsig KILL \
		"$build_root/usr/lib64/ld-linux-x86-64.so.2" \
		--library-path "$build_root/usr/lib/x86_64-linux-gnu" \
		"$build_root/usr/bin/qemu-system-x86_64" \
		-L "$share/qemu" -L "$share/seabios" \
		-nodefaults -no-user-config -display none -no-reboot -machine q35 \
		"${accel_options[@]}" "$@"
}

cpu_model() {
	if [ "$1" = kvm ]; then
		echo host
	else
		# Page walks of four levels and not five: fewer for TCG to emulate.
		echo max,la57=off
	fi
}

# On a busy host, an emulated timer may be late enough to fail the kernel's test of it, and
# an emulated processor too late to be compared by its clock with another again and again.
kernel_options() {
	[ "$1" = kvm ] || echo mitigations=off no_timer_check tsc=nowatchdog
}

# A /dev/kvm that cannot run a guest exists: only a boot proves that it can (of the
# stock kernel, which is the quickest).
kvm_boots() {
	local probe=$work/probe pid _
	mkdir -p "$probe/tree"
	cp "$project/qemu/initramfs-init" "$probe/tree/init"
	(cd "$probe/tree" && find . | from_build_root cpio --quiet -o -H newc -R 0:0) >"$probe/init.cpio"
	cat "$stock_kernel/initramfs.cpio" "$probe/init.cpio" >"$probe/initramfs.cpio"
	run_qemu kvm -cpu host -m 512M -kernel "$stock_kernel/vmlinuz" -initrd "$probe/initramfs.cpio" \
		-append "console=ttyS0 quiet panic=-1 rdinit=/init odp.probe" \
		-serial "file:$probe/console" </dev/null >"$probe/qemu.out" 2>&1 &
	pid=$!
	for _ in {1..100}; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	grep -qs 'odp: probe ok' "$probe/console"
}

# Whether KVM works here. The verdict holds until the machine boots again.
kvm_works() {
	local verdict=$ODP_CACHE/kvm-verdict now
	[ -w /dev/kvm ] || return 1
	now="$(cat /proc/sys/kernel/random/boot_id) $(id -u) $(basename "$stock_kernel")"
	grep -qsxF -e "$now yes" -e "$now no" "$verdict" || {
		if kvm_boots; then
			echo "$now yes" >"$verdict"
		else
			echo "$now no" >"$verdict"
			echo "qemu: /dev/kvm is there but cannot run a guest" >&2
		fi
	}
	grep -qxF "$now yes" "$verdict"
}

choose_accel() {
	case $accel in
	auto)
		accel=tcg
		! kvm_works || accel=kvm
		;;
	kvm)
		kvm_works || no_boot "no guest boots with KVM on this machine: use --accel tcg"
		;;
	esac
}
