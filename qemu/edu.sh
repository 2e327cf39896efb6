# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# QEMU's PCI device edu, and the IOMMU before it.

# An IOMMU that is there in all modes keeps the machine the same. Other devices of
# the guest are virtio, and bypass it. On a port of its own the device can be plugged
# and unplugged, and another function can be put beside it, at addr=0.1.
edu_devices=(
	-device intel-iommu
	-device "pcie-root-port,id=edu-port,chassis=100"
	-device "edu,id=edu,bus=edu-port,addr=0.0,multifunction=on,dma_mask=0xffffffffffffffff"
)

edu_kernel_options() {
	case $1 in
	iommu | list) echo intel_iommu=on ;;
	direct) echo intel_iommu=off ;;
	esac
}
