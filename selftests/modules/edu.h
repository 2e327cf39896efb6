/* SPDX-License-Identifier: GPL-2.0 */
/*
 * QEMU's edu device for a test module: its DMA between its own buffer and a DMA
 * address, and a coherent buffer by which the CPU gets at the device's.
 */
#ifndef EDU_H
#define EDU_H

#include <linux/dma-mapping.h>
#include <linux/iopoll.h>
#include <linux/pci.h>

#define EDU_ID			0x00
#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_TARGET		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_RUN		1
#define EDU_DMA_TO_HOST		2
#define EDU_BUFFER		0x40000	/* as its DMA sees it */
#define EDU_BUFFER_SIZE		4096
#define EDU_POISON		0xee

struct edu {
	struct device *dev;
	void __iomem *registers;
	struct mutex lock;	/* to be held for DMA, and for bounce */
	void *bounce;
	dma_addr_t bounce_addr;
};

/* All of it goes with the driver. */
static inline struct edu *edu_init(struct pci_dev *pdev, unsigned int dma_bits)
{
	struct edu *edu = devm_kzalloc(&pdev->dev, sizeof(*edu), GFP_KERNEL);
	int ret;

	if (!edu)
		return ERR_PTR(-ENOMEM);
	mutex_init(&edu->lock);
	edu->dev = &pdev->dev;
	ret = pcim_enable_device(pdev) ?:
	      dma_set_mask_and_coherent(edu->dev, DMA_BIT_MASK(dma_bits));
	if (ret)
		return ERR_PTR(ret);
	edu->registers = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(edu->registers))
		return ERR_CAST(edu->registers);
	if ((readl(edu->registers + EDU_ID) & 0xff) != 0xed)
		return ERR_PTR(-ENODEV);
	edu->bounce = dmam_alloc_coherent(edu->dev, EDU_BUFFER_SIZE,
					  &edu->bounce_addr, GFP_KERNEL);
	if (!edu->bounce)
		return ERR_PTR(-ENOMEM);
	pci_set_master(pdev);
	return edu;
}

/* One DMA, which takes the device 100 ms. */
static inline int edu_dma(struct edu *edu, dma_addr_t source, dma_addr_t target,
			  size_t len, u64 direction)
{
	u64 command;

	writeq(source, edu->registers + EDU_DMA_SOURCE);
	writeq(target, edu->registers + EDU_DMA_TARGET);
	writeq(len, edu->registers + EDU_DMA_COUNT);
	writeq(EDU_DMA_RUN | direction, edu->registers + EDU_DMA_COMMAND);
	return read_poll_timeout(readq, command, !(command & EDU_DMA_RUN), 5000,
				 10 * USEC_PER_SEC, false,
				 edu->registers + EDU_DMA_COMMAND);
}

/* Into bounce. What the device does not get is poison, or what QEMU makes of it. */
static inline int edu_read_at(struct edu *edu, dma_addr_t addr, size_t len)
{
	memset(edu->bounce, EDU_POISON, EDU_BUFFER_SIZE);
	return edu_dma(edu, edu->bounce_addr, EDU_BUFFER, EDU_BUFFER_SIZE, 0) ?:
	       edu_dma(edu, addr, EDU_BUFFER, len, 0) ?:
	       edu_dma(edu, EDU_BUFFER, edu->bounce_addr, len, EDU_DMA_TO_HOST);
}

/* From bounce. */
static inline int edu_write_at(struct edu *edu, dma_addr_t addr, size_t len)
{
	return edu_dma(edu, edu->bounce_addr, EDU_BUFFER, len, 0) ?:
	       edu_dma(edu, EDU_BUFFER, addr, len, EDU_DMA_TO_HOST);
}

#endif
