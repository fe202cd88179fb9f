/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What a guest of Postern, or of any other host of the pKVM guest ABI, links to guard its devices
 * and to share memory. The code behind it is the Rust crate guest-shim; README.md there says how
 * to build libpostern_guest.a. Needs no heap, no C library, and neither MMU nor caches.
 *
 * In this order:
 *
 *   1. postern_discover()        finds out what the hypervisor offers;
 *   2. postern_ioremap_init()    takes the storage for the counts, or postern_ioremap_start()
 *                                enrols too, if the command line asks for it;
 *   3. postern_map_early()       guards the console, before anything is printed;
 *   4. postern_ioremap()         before, postern_iounmap() after each mapping of a device.
 *
 * One CPU at a time: a guest with several calls these functions under a lock of its own.
 */
#ifndef POSTERN_GUEST_H
#define POSTERN_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the functions return: 0, a positive word or a negative reason. */
#define POSTERN_OK 0
/* The command line does not ask for the guard; nothing was called. */
#define POSTERN_NOT_ASKED 1
/* The hypervisor does not offer this call. In POSTERN_DIALECT_LIST_2021 also: it refuses. */
#define POSTERN_NOT_SUPPORTED (-1)
/* The hypervisor refuses these arguments: not aligned, memory where a device should be, ... */
#define POSTERN_INVALID_PARAMETER (-3)
/* The hypervisor answers a code that the ABI does not define. */
#define POSTERN_UNKNOWN_ANSWER (-100)
/* A range call claims to have done nothing, or more than it was asked for. */
#define POSTERN_PROGRESS (-101)
/* The granule is no power of two, or larger than the guest's pages. */
#define POSTERN_GRANULE (-102)
/* The region is empty or does not end within 64 bits. */
#define POSTERN_REGION (-103)
/* A null pointer, an unknown dialect, or a struct that no successful call has filled. */
#define POSTERN_ARGUMENT (-104)
/*
 * From here on down: there is no hypervisor of this ABI.
 *
 * PSCI 1.0 is not there.
 */
#define POSTERN_NO_PSCI (-110)
/* SMCCC 1.1 is not there. */
#define POSTERN_NO_SMCCC (-111)
/* Another hypervisor, or none. */
#define POSTERN_OTHER_HYPERVISOR (-112)
/* The hypervisor is the right one but does not tell its features. */
#define POSTERN_NO_FEATURES (-113)

/*
 * Which numbers the guard's calls have. Nothing in the calls tells: it is a matter of the host's
 * configuration. PKVM: Android's kernels, mainline Linux, Postern. LIST_2021: the postings of 2021.
 */
#define POSTERN_DIALECT_PKVM 0
#define POSTERN_DIALECT_LIST_2021 1

/*
 * Makes one SMCCC call with args[0] to args[2] as x1 to x3 and stores x0 to x3 in results[0] to
 * results[3]. postern_hvc() and postern_smc() are the real ones; tests bring their own.
 */
typedef void (*postern_call_fn)(uint32_t function, const uint64_t *args, uint64_t *results);

#ifdef __aarch64__
void postern_hvc(uint32_t function, const uint64_t *args, uint64_t *results);
void postern_smc(uint32_t function, const uint64_t *args, uint64_t *results);
#endif

/* What the hypervisor offers. May be copied; zeroed, it is one that offers nothing. */
struct postern_services {
	uint64_t opaque[8];
};

/* The hooks. Zeroed, they refuse to work. Not to be copied. */
struct postern_hooks {
	uint64_t opaque[16];
};

/*
 * Storage for the counts: granules in a row that are in use equally often. As many as there are
 * separate devices are enough, and two more for each mapping that overlaps another. When they run
 * out, everything still gets guarded, but from then on nothing is taken back.
 */
struct postern_place {
	uint64_t opaque[3];
};

/* Registers of a device: physical address, bytes. */
struct postern_region {
	uint64_t base;
	uint64_t size;
};

/* PSCI_VERSION, PSCI_FEATURES, SMCCC_VERSION, CALL_UID, FEATURES. */
int32_t postern_discover(struct postern_services *services, postern_call_fn call,
			 uint32_t dialect);

/* The rest of it behind firmware that has found smccc_version, as SMCCC_VERSION answers it. */
int32_t postern_after_firmware(struct postern_services *services, postern_call_fn call,
			       uint32_t dialect, uint64_t smccc_version);

/* Whether the hypervisor announces function `number`, 0 to 127. */
bool postern_has_function(const struct postern_services *services, uint32_t number);

/* Bytes of a granule of the guard, and of sharing. */
int32_t postern_guard_granule(const struct postern_services *services, uint64_t *granule);
int32_t postern_share_granule(const struct postern_services *services, uint64_t *granule);

/*
 * Hooks for a guest that is enrolled already. page_size is that of the guest's own tables, in
 * bytes. The count places stay the hooks' own as long as the hooks are used; what they hold before
 * does not matter.
 */
int32_t postern_ioremap_init(struct postern_hooks *hooks, const struct postern_services *services,
			     uint64_t page_size, struct postern_place *places, size_t count);

/*
 * The guest's own lookup of its early console: stores where it is and answers true, or false if
 * there is none.
 */
typedef bool (*postern_console_fn)(void *context, struct postern_region *console);

/*
 * The same for a guest that wants the guard only where command_line (or NULL) has the word
 * "ioremap_guard": looks the console up (it may be NULL; it may still print), enrols the VM and
 * guards the console for good. Between the two nothing may be printed. Without the word
 * POSTERN_NOT_ASKED, and the hooks refuse to work.
 */
int32_t postern_ioremap_start(struct postern_hooks *hooks, const struct postern_services *services,
			      const char *command_line, uint64_t page_size,
			      struct postern_place *places, size_t count,
			      postern_console_fn console, void *context);

/* Guards a region for good: an early console, or what firmware left guarded and is in use. */
int32_t postern_map_early(struct postern_hooks *hooks, uint64_t base, uint64_t size);

/*
 * Before a device is mapped: guards every granule that it touches and that has no user yet. When
 * the hypervisor refuses, everything is as before.
 */
int32_t postern_ioremap(struct postern_hooks *hooks, uint64_t base, uint64_t size);

/* After the mapping, or a part of it, is gone: takes back what this leaves without a user. */
int32_t postern_iounmap(struct postern_hooks *hooks, uint64_t base, uint64_t size);

/* Whether a mapping, or an early one, covers the granule of address. */
bool postern_is_tracked(const struct postern_hooks *hooks, uint64_t address);

/* Whether places have run out, so that nothing is taken back any more. */
bool postern_keeps_everything(const struct postern_hooks *hooks);

/*
 * Shares count granules of memory from base_ipa on with the host, all or none, and takes them
 * back. The host may read, write and execute what is shared at any time.
 */
int32_t postern_share(const struct postern_services *services, uint64_t base_ipa, uint64_t count);
int32_t postern_unshare(const struct postern_services *services, uint64_t base_ipa,
			uint64_t count);

/* Gives one granule of memory to the host, which sees zeroes. Touched again, it is a fresh one. */
int32_t postern_relinquish(const struct postern_services *services, uint64_t base_ipa);

#ifdef __cplusplus
}
#endif

#endif
