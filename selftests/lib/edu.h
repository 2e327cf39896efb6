/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the clients of edu_odp.ko share: its ioctls, what is known of the device's
 * faults in the IOMMU, and memory of every kind. Exit status as in odp.h.
 */
#ifndef EDU_H
#define EDU_H

#include <edu_odp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "odp.h"

#define EDU_HUGE	(2UL << 20)	/* a huge page, and a window */

/* Exits, with errno's text, if a call has failed. */
void edu_must(bool failed, const char *what);

/* Opens /dev/edu_odp, exits with ODP_SKIP if there is none. */
int edu_open(void);

/* How memory that is registered now is mapped. */
enum edu_odp_mode edu_mode(int fd);
const char *edu_mode_name(enum edu_odp_mode mode);

/* All of these: 0 or an errno. */
int edu_ioctl(int fd, unsigned long request, void *argument);
int edu_try_register(int fd, const void *addr, size_t len, uint32_t flags,
		     uint32_t *handle);
int edu_deregister(int fd, uint32_t handle);
int edu_prefetch(int fd, uint32_t handle, const void *addr, size_t len,
		 uint32_t flags);
int edu_peek(int fd, uint32_t handle, const void *addr,
	     struct edu_odp_peek *peek);
int edu_raw_dma(int fd, enum edu_odp_op op, uint64_t dma_address, size_t len);

/* A DMA; that done is what the result says is checked. */
int edu_dma(int fd, struct edu_odp_dma *dma);
int edu_read(int fd, uint32_t handle, const void *source, size_t len);
int edu_write(int fd, uint32_t handle, void *target, size_t len);
int edu_copy(int fd, uint32_t source_handle, const void *source,
	     uint32_t target_handle, void *target, size_t len);

/* Registers memory, or all of it, for writing, or exits. */
uint32_t edu_register(int fd, const void *addr, size_t len);
uint32_t edu_register_all(int fd);

/* The mode that the device has for the page; exits if there is no answer. */
enum edu_odp_mode edu_page_mode(int fd, uint32_t handle, const void *addr);

/*
 * Faults that the IOMMU reports of the device $EDU_PCI, by the kernel's log. It
 * limits their rate: leave EDU_FAULT_PACE seconds between two.
 */
#define EDU_FAULT_PACE	3

int edu_faults_open(void);
/* New ones since the last call, after a wait: of that page, and of others. */
unsigned int edu_faults(int log, uint64_t dma_address, unsigned int *others);

/* Anonymous address space that starts at a huge page, without access. */
unsigned char *edu_reserve(size_t len);

/* Memory in place of what was there: */
void edu_put(void *addr, size_t len, int flags, int fd);
void edu_put_small(void *addr, size_t len);
void edu_put_thp(void *addr, size_t len);

double edu_seconds(void);
void edu_sleep(double seconds);

#endif
