/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A firmware in C, in full: devices.c, a console, and what it shows of them. */
#include "devices.h"

/* PL011 (Arm DDI 0183): data, flags and "transmit FIFO full". */
#define UART_DR 0x00
#define UART_FR 0x18
#define UART_FR_TXFF (1u << 5)

/* Where the interrupt controller says how large it is: GICD_TYPER (Arm IHI 0069). */
#define GICD_TYPER 0x004

/* The machine that QEMU calls `virt`, and Postern's guests find. */
static const struct board board = {
	.console = { 0x09000000, 0x1000 },
	.device = { 0x08000000, 0x10000 },
	.buffer = 0x41000000,
};

/* ESR_EL1 of the last access that was denied; start.S. */
volatile uint64_t caught;

static volatile uint32_t *reg(uint64_t base, uint64_t offset)
{
	return (volatile uint32_t *)(uintptr_t)(base + offset);
}

static void put(const char *text)
{
	for (; *text; text++) {
		while (*reg(board.console.base, UART_FR) & UART_FR_TXFF)
			;
		*reg(board.console.base, UART_DR) = (unsigned char)*text;
	}
}

static void put_hex(uint64_t value)
{
	char text[19] = "0x";
	int digits = 1;

	while (digits < 16 && value >> (4 * digits))
		digits++;
	for (int n = 0; n < digits; n++)
		text[2 + n] = "0123456789abcdef"[value >> (4 * (digits - 1 - n)) & 0xf];
	text[2 + digits] = 0;
	put(text);
}

/* A line of the console: what was done, and how it ended. */
static void tell(const char *what, int32_t status)
{
	put("C: ");
	put(what);
	if (status == POSTERN_OK) {
		put(": done\n");
	} else {
		put(": failed, -");
		put_hex((uint64_t)-(int64_t)status);
		put("\n");
	}
}

static void try_read(void)
{
	uint32_t value;

	caught = 0;
	value = *reg(board.device.base, GICD_TYPER);
	put("C: the device ");
	if (caught) {
		put("is denied, ESR_EL1 ");
		put_hex(caught);
	} else {
		put("answers ");
		put_hex(value);
	}
	put("\n");
}

int main(void)
{
	int32_t status = devices_start(&board, postern_hvc, POSTERN_DIALECT_PKVM);

	/* The console cannot tell that it is not there. */
	if (status < 0)
		return status;
	put(status == POSTERN_OK ? "C: the console is guarded\n" : "C: no guard is needed here\n");
	if (status != POSTERN_OK)
		return 0;
	tell("open the device", devices_open(&board));
	try_read();
	tell("close the device", devices_close(&board));
	try_read();
	tell("share a page", devices_share(&board));
	tell("take it back", devices_unshare(&board));
	put("C: the end\n");
	return 0;
}
