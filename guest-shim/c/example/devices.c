/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that a firmware in C makes: nothing here is for one machine. */
#include "devices.h"

#define PAGE_SIZE 4096

static struct postern_services services;
static struct postern_hooks hooks;
static struct postern_place places[16];

int32_t devices_start(const struct board *board, postern_call_fn call, uint32_t dialect)
{
	int32_t status = postern_discover(&services, call, dialect);

	/* Not under this kind of hypervisor: devices are just there. */
	if (status <= POSTERN_NO_PSCI)
		return 1;
	if (status != POSTERN_OK)
		return status;
	status = postern_ioremap_init(&hooks, &services, PAGE_SIZE, places,
				      sizeof(places) / sizeof(places[0]));
	/* A normal VM without guard: likewise. */
	if (status == POSTERN_NOT_SUPPORTED)
		return 1;
	if (status != POSTERN_OK)
		return status;
	return postern_map_early(&hooks, board->console.base, board->console.size);
}

int32_t devices_open(const struct board *board)
{
	return postern_ioremap(&hooks, board->device.base, board->device.size);
}

int32_t devices_close(const struct board *board)
{
	return postern_iounmap(&hooks, board->device.base, board->device.size);
}

int32_t devices_share(const struct board *board)
{
	return postern_share(&services, board->buffer, 1);
}

int32_t devices_unshare(const struct board *board)
{
	return postern_unshare(&services, board->buffer, 1);
}
