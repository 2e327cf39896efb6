# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What mm_run.c can do to memory that a device uses: the kinds, and what each is.

mm_kinds=(pageout shmem collapse compact offline merge fork mremap drop file private)
declare -A mm_what=(
	[pageout]="pages swapped out"
	[shmem]="a memfd, swapped out, with holes punched"
	[collapse]="huge pages made and split"
	[compact]="compaction"
	[offline]="MADV_SOFT_OFFLINE"
	[merge]="KSM"
	[fork]="children keep their copy"
	[mremap]="parts moved"
	[drop]="MADV_DONTNEED and MADV_FREE"
	[file]="a shared mapping of a file, on the disk in the end"
	[private]="a private mapping of a file, which stays as it was"
)
