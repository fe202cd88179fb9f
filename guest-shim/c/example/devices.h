/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What a firmware adds to use the guard: see devices.c. */
#ifndef DEVICES_H
#define DEVICES_H

#include <postern_guest.h>

/* Where this firmware's devices are, from its device tree or its board file. */
struct board {
	struct postern_region console;
	struct postern_region device;
	/* A granule of memory that can be shared. */
	uint64_t buffer;
};

/*
 * Finds the hypervisor and guards the console; to be called before anything is printed. Answers
 * POSTERN_OK if the guard is in use, and a positive number if there is none to use.
 */
int32_t devices_start(const struct board *board, postern_call_fn call, uint32_t dialect);

/* Around the use of the other device. */
int32_t devices_open(const struct board *board);
int32_t devices_close(const struct board *board);

/* Around the use of the buffer with the host. */
int32_t devices_share(const struct board *board);
int32_t devices_unshare(const struct board *board);

#endif
