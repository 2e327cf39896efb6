# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# matplotlib, which only the plots of `make bench` need: added to the build root
# when it is first wanted.

plot_is_ready() {
	"$project/scripts/in-build-root" python3 -c 'import matplotlib' 2>/dev/null
}

install_matplotlib() {
	local -a install=(apt-get -q -y -o APT::Sandbox::User=root install
		--no-install-recommends python3-matplotlib)
	if [ "$(id -u)" = 0 ] || has_user_namespaces; then
		"$project/scripts/in-build-root" apt-get -q -o APT::Sandbox::User=root update
		"$project/scripts/in-build-root" "${install[@]}"
	else
		# The build root stays its user's, who may not install as root in it.
		can_be_root || die "neither root, nor user namespaces, nor sudo without a password"
		as_root env ODP_CACHE="$ODP_CACHE" "$project/scripts/in-build-root" "${install[@]}"
		as_root find "$build_root" -xdev -uid 0 -exec chown --no-dereference "$(id -u):$(id -g)" {} +
	fi
}

setup_plot() {
	plot_is_ready || step "matplotlib in the build root" matplotlib install_matplotlib
}
