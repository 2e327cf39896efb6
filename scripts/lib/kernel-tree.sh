# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A kernel tree for the kernel's selftests, whose Makefiles write beside the sources.

# make_kernel_tree SOURCE TREE FOLDER…: links to the source, but for its
# tools/testing/selftests, of which TREE has a copy with no other folders than these.
make_kernel_tree() {
	local source=$1 tree=$2 folder selftests=tools/testing/selftests
	local -a links=(-mindepth 1 -maxdepth 1)
	shift 2
	rm -rf "$tree"
	mkdir -p "$tree/$selftests"
	find "$source" "${links[@]}" ! -name tools -exec ln -s -t "$tree" {} +
	find "$source/tools" "${links[@]}" ! -name testing -exec ln -s -t "$tree/tools" {} +
	find "$source/$selftests" -maxdepth 1 -type f -exec cp -a -t "$tree/$selftests" {} +
	for folder in kselftest "$@"; do
		cp -a "$source/$selftests/$folder" "$tree/$selftests/"
	done
}
