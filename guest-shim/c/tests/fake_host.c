/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A hypervisor of sixteen pages for a test of the example on any machine: numbers and answers as
 * guests meet them on Android's hosts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "devices.h"

#define INVALID ((uint64_t)-3)
#define ABSENT ((uint64_t)-1)
#define BASE UINT64_C(0x9000000)
#define RAM UINT64_C(0x40000000)

static bool guarded[16];
static bool enrolled;
static bool shared;
static bool uid_of_another;
static unsigned int calls;
static unsigned int failures;

static void fake(uint32_t function, const uint64_t *args, uint64_t *results)
{
	uint64_t page = (args[0] - BASE) / 4096;
	bool is_page = args[0] % 4096 == 0 && args[0] >= BASE && page < 16;

	memset(results, 0, 4 * sizeof(*results));
	calls++;
	switch (function) {
	case 0x84000000: results[0] = 0x10001; break;
	case 0x8400000a: break;
	case 0x80000000: results[0] = 0x10001; break;
	case 0x8600ff01:
		results[0] = uid_of_another ? 0x8dd2a5a1 : 0xb66fb428;
		results[1] = 0xe911c52e;
		results[2] = 0x564bcaa9;
		results[3] = 0x743a004d;
		break;
	case 0x86000000: results[0] = 0x1fd; break;
	case 0xc6000002: case 0xc6000005: results[0] = 4096; break;
	case 0xc6000003: case 0xc6000004:
		if (args[0] != RAM || args[1] || args[2] || shared != (function == 0xc6000004))
			results[0] = INVALID;
		else
			shared = !shared;
		break;
	case 0xc6000006: enrolled = true; break;
	case 0xc6000007: case 0xc6000008:
		if (!is_page || !enrolled)
			results[0] = INVALID;
		else
			guarded[page] = function == 0xc6000007;
		break;
	default: results[0] = ABSENT;
	}
}

static void check(const char *what, bool is_right)
{
	if (!is_right) {
		failures++;
		printf("not so: %s\n", what);
	}
}

static bool look_up(void *context, struct postern_region *console)
{
	check("looked up before the enrolment", !enrolled);
	*console = *(const struct postern_region *)context;
	return true;
}

static void start_by_command_line(struct board *board)
{
	struct postern_services services;
	struct postern_hooks hooks;
	struct postern_place places[4];
	unsigned int before;

	check("found", postern_discover(&services, fake, POSTERN_DIALECT_PKVM) == POSTERN_OK);
	before = calls;
	check("not asked", postern_ioremap_start(&hooks, &services, "quiet", 4096, places, 4, look_up,
						 &board->console) == POSTERN_NOT_ASKED);
	check("nothing called", calls == before);
	check("no hooks", postern_ioremap(&hooks, BASE, 1) == POSTERN_ARGUMENT);
	check("started", postern_ioremap_start(&hooks, &services, "quiet ioremap_guard", 4096, places,
					       4, look_up, &board->console) == POSTERN_OK);
	check("enrolled with the console", enrolled && guarded[0] && !guarded[1]);
	check("tracked", postern_is_tracked(&hooks, BASE + 8));
	check("one user is enough", postern_ioremap(&hooks, BASE, 8192) == POSTERN_OK &&
				    postern_iounmap(&hooks, BASE, 8192) == POSTERN_OK);
	check("kept", guarded[0] && !guarded[1] && !postern_keeps_everything(&hooks));
}

static void mistakes(struct board *board)
{
	struct postern_services services = { { 0 } };
	struct postern_hooks hooks = { { 0 } };
	struct postern_place places[1];
	uint64_t granule = 0;

	check("no function", postern_discover(&services, NULL, 0) == POSTERN_ARGUMENT);
	check("no dialect", postern_discover(&services, fake, 2) == POSTERN_ARGUMENT);
	check("no struct", postern_discover(NULL, fake, 0) == POSTERN_ARGUMENT);
	check("old", postern_after_firmware(&services, fake, 0, 0x10000) == POSTERN_NO_SMCCC);
	check("not found", postern_share(&services, RAM, 1) == POSTERN_ARGUMENT &&
			   !postern_has_function(&services, 0) &&
			   postern_ioremap_init(&hooks, &services, 4096, places, 1) == POSTERN_ARGUMENT);
	check("found", postern_after_firmware(&services, fake, 0, 0x10001) == POSTERN_OK);
	check("functions", postern_has_function(&services, 8) && !postern_has_function(&services, 9) &&
			   !postern_has_function(&services, 0x10008));
	check("no places",
	      postern_ioremap_init(&hooks, &services, 4096, NULL, 1) == POSTERN_ARGUMENT);
	check("small pages",
	      postern_ioremap_init(&hooks, &services, 1024, places, 1) == POSTERN_GRANULE);
	check("no room at all", postern_ioremap_init(&hooks, &services, 4096, NULL, 0) == POSTERN_OK);
	check("works all the same", postern_ioremap(&hooks, BASE + 0x5000, 1) == POSTERN_OK &&
				    postern_keeps_everything(&hooks) && guarded[5]);
	check("refused", postern_ioremap(&hooks, RAM, 1) == POSTERN_INVALID_PARAMETER);
	check("empty", postern_ioremap(&hooks, BASE, 0) == POSTERN_REGION);
	check("granules", postern_guard_granule(&services, &granule) == POSTERN_OK && granule == 4096 &&
			  postern_share_granule(&services, &granule) == POSTERN_OK &&
			  postern_share_granule(&services, NULL) == POSTERN_ARGUMENT);
	check("nothing to relinquish",
	      postern_relinquish(&services, board->buffer) == POSTERN_NOT_SUPPORTED);
}

int main(void)
{
	struct board board = {
		.console = { BASE, 0x48 },
		.device = { BASE + 0x1ff0, 0x20 },
		.buffer = RAM,
	};

	start_by_command_line(&board);
	mistakes(&board);
	memset(guarded, 0, sizeof(guarded));

	check("start", devices_start(&board, fake, POSTERN_DIALECT_PKVM) == POSTERN_OK);
	check("console first", guarded[0] && !guarded[1]);
	check("open", devices_open(&board) == POSTERN_OK && guarded[1] && guarded[2]);
	check("close", devices_close(&board) == POSTERN_OK && !guarded[1] && !guarded[2]);
	check("share", devices_share(&board) == POSTERN_OK && shared);
	check("unshare", devices_unshare(&board) == POSTERN_OK && !shared);
	check("no function to call with", devices_start(&board, NULL, POSTERN_DIALECT_PKVM) ==
					  POSTERN_ARGUMENT);
	uid_of_another = true;
	check("another hypervisor", devices_start(&board, fake, POSTERN_DIALECT_PKVM) == 1);
	uid_of_another = false;
	check("the other dialect finds no guard",
	      devices_start(&board, fake, POSTERN_DIALECT_LIST_2021) == 1);
	if (failures == 0)
		puts("all as expected");
	return failures != 0;
}
