# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Which Debian mirror to use (that of the machine's apt), and mmdebstrap on it.

# Lines "release uri" of Debian's own suites. Once apt has its lists it knows the
# origin of each; before that, take those whose address looks like Debian.
apt_sources() {
	local sources
	# shellcheck disable=SC2016 # the variables are apt's
	sources=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null)
	[ -n "$sources" ] ||
		sources=$(apt-get update --print-uris 2>/dev/null |
			sed -nE "s,^'([^']*/debian/?|mirror\+file:[^']*)/dists/([^/']*)/InRelease'.*,\2 \1,p")
	echo "$sources"
}

# An entry mirror+file:LIST stands for the first address in LIST.
resolve_mirror_list() {
	local uri
	while read -r uri; do
		case $uri in
		mirror+file:*)
			uri=${uri#mirror+file:}
			grep -m1 -oE '^[^#[:space:]]+' "${uri%/}" 2>/dev/null || :
			;;
		*)
			echo "$uri"
			;;
		esac
	done
}

mirror() {
	local uri suites='bookworm|trixie|forky|sid|oldstable|stable|testing|unstable'
	if [ -n "${ODP_MIRROR:-}" ]; then
		echo "${ODP_MIRROR%/}"
		return
	fi
	uri=$(apt_sources | sed -nE "s/^($suites) //p" | resolve_mirror_list |
		grep -m1 -E '^https?://') || :
	[ -n "$uri" ] ||
		die "apt on this machine names no Debian mirror: set ODP_MIRROR to the address of one"
	echo "${uri%/}"
}

# The proxy settings of the machine's apt, as apt options, one a line.
proxy_options() {
	local key value
	for key in Acquire::http::Proxy Acquire::https::Proxy Acquire::http::Proxy-Auto-Detect; do
		value=
		eval "$(apt-config shell value "$key")"
		[ -z "$value" ] || echo "$key \"$value\""
	done
}

install_on_host() {
	can_be_root ||
		die "$* is missing and there is no sudo without a password: run 'apt-get install $*' as root, and then this again"
	as_root apt-get -q update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# Sets mmdebstrap_command to what makes a root file system without questions. In
# a mount namespace, so that nothing stays mounted when it is killed.
choose_mmdebstrap() {
	if [ "$(id -u)" = 0 ]; then
		mmdebstrap_command=(unshare --mount mmdebstrap --mode=root)
	elif has_user_namespaces && command -v newuidmap >/dev/null &&
		grep -qE "^($(id -un)|$(id -u)):" /etc/subuid; then
		mmdebstrap_command=(mmdebstrap --mode=unshare)
	elif can_be_root; then
		mmdebstrap_command=(sudo -n env TMPDIR=/var/tmp unshare --mount mmdebstrap --mode=root)
	else
		die "neither root, nor sudo without a password, nor user namespaces: run 'apt-get install uidmap' as root (and see that /etc/subuid has a line for $(id -un)), or run this as root"
	fi
}

# make_root SUITE KEYRING MMDEBSTRAP-OPTION… TAR-OR-DIRECTORY SOURCES-LINE…
make_root() {
	local suite=$1 keyring=$2 option
	local -a options mmdebstrap_command
	shift 2
	choose_mmdebstrap
	options=(--variant=apt --architectures=amd64
		--aptopt='APT::Install-Recommends "false"'
		--aptopt='Acquire::Retries "3"'
		--aptopt='Acquire::Check-Valid-Until "false"'
		--customize-hook="sh '$project/scripts/lib/say-expired' \"\$1\"")
	[ -z "$keyring" ] || options+=(--keyring="$keyring")
	while read -r option; do
		options+=(--aptopt="$option")
	done < <(proxy_options)
	# Not /tmp, which can be a small tmpfs; nor the cache, which the sub-uids may not see.
	TMPDIR=/var/tmp "${mmdebstrap_command[@]}" "${options[@]}" "$suite" "$@"
}
