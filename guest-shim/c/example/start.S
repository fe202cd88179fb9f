/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Entry at EL1 with the MMU off, where guest.ld puts it, and the exception vectors. */

	.section .head, "ax"
	.global _start
_start:
	adrp	x1, bss_start
	adrp	x2, stack_end
	add	x2, x2, :lo12:stack_end
1:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	1b
	msr	spsel, #1
	mov	sp, x2
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	bl	main
stop:	ldr	x0, =0x84000008			/* PSCI SYSTEM_OFF */
	hvc	#0
	wfi
	b	stop

/* The four vectors of one exception level and stack: synchronous ones at \target. */
.macro entries target
	.balign	0x80
	b	\target
	.rept	3
	.balign	0x80
	b	stop
	.endr
.endm

	.text
	.balign	0x800
vectors:
	entries	stop				/* EL1t */
	entries	aborted				/* EL1h */
	entries	stop				/* EL0, AArch64 */
	entries	stop				/* EL0, AArch32 */

/* Notes ESR_EL1 for try_read() and goes on behind the access. */
aborted:
	stp	x0, x1, [sp, #-16]!
	adrp	x1, caught
	mrs	x0, esr_el1
	str	x0, [x1, :lo12:caught]
	mrs	x0, elr_el1
	add	x0, x0, #4
	msr	elr_el1, x0
	ldp	x0, x1, [sp], #16
	eret
