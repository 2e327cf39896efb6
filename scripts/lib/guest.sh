# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The guest's root file system: Debian forky with rdma-core, as a raw ext4 image.

guest_image=$ODP_CACHE/guest/root.img
guest_packages=(
	rdma-core ibverbs-providers python3-pyverbs ibverbs-utils rdmacm-utils
	perftest iproute2 kmod mount util-linux procps libfuse3-4 python3-scapy
)

guest_hash() {
	recipe_hash "$project/scripts/lib/guest.sh"
}

guest_is_ready() {
	stamp_is "$ODP_CACHE/guest/stamp" "$(guest_hash)"
}

# rdma-core ships its tests only as source: take them from the matching one. Its
# tests/ is upstream's, so the tar archive is enough. (In the root to be.)
# shellcheck disable=SC2016 # expanded by the shell within
guest_hook='chroot "$1" sh -ec '\''
	librxe=$(dpkg-query -W -f "\${source:Upstream-Version}" ibverbs-providers)
	dpkg --compare-versions "$librxe" ge 65 || {
		echo "error: rdma-core of forky is $librxe on this mirror, and 65 or newer is needed: set ODP_MIRROR to another mirror"
		exit 1
	}
	cd /root
	apt-get -q -o APT::Sandbox::User=root source --download-only --tar-only \
		"rdma-core=$(dpkg-query -W -f "\${source:Version}" rdma-core)"
	mkdir /usr/share/rdma-core
	tar -xf rdma-core_*.orig.tar.* -C /usr/share/rdma-core --strip-components=1 --wildcards "*/tests/*" \
		--exclude="*/*/tests/*"
	rm rdma-core_*
	mkdir -p /mnt/share /usr/lib/modules
'\'''

make_guest() {
	local mirror include tar=$ODP_CACHE/guest.new/root.tar
	local keyring=$build_root/usr/share/keyrings/debian-archive-keyring.gpg
	mirror=$(mirror)
	include=$(IFS=,; echo "${guest_packages[*]}")
	rm -rf "$ODP_CACHE/guest.new"
	mkdir "$ODP_CACHE/guest.new"
	make_root forky "$keyring" --include="$include" --customize-hook="$guest_hook" --format=tar - \
		"deb $mirror forky main" "deb-src $mirror forky main" >"$tar"
	# Sparse; the free space is for swap files and the like, gone after each run.
	"$project/scripts/in-build-root" mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 \
		-d "$tar" "$ODP_CACHE/guest.new/root.img" 8G
	rm "$tar"
	guest_hash >"$ODP_CACHE/guest.new/stamp"
	rm -rf "$ODP_CACHE/guest"
	mv "$ODP_CACHE/guest.new" "$ODP_CACHE/guest"
}

setup_guest() {
	guest_is_ready && return
	need_space 2000
	step "guest (Debian forky with rdma-core)" guest make_guest
}
