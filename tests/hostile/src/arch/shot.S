// One shot: all registers are loaded, an ERET goes to the code under test in the PSTATE and the
// translation regime under test, and an exception brings the CPU back: that which the code causes,
// or the SVC behind it. See shot.rs for the layout of `Shot`, whose address is in TPIDR_EL1.
//
// Between the two nothing is touched in memory: the code may run with the MMU off (regime 1) or in
// the upper half with a lower half that leads nowhere (regime 2); TPIDRRO_EL0 says which. v30 and
// v31 hold what the vectors need room for.

    .arch_extension fp
    .arch_extension simd

    .equ S_SP0, 8 * 31
    .equ S_SP1, 8 * 32
    .equ S_PC, 8 * 33
    .equ S_PSTATE, 8 * 34
    .equ S_ESR, 8 * 35
    .equ S_FAR, 8 * 36
    .equ S_ELR, 8 * 37
    .equ S_SPSR, 8 * 38
    .equ S_VECTOR, 8 * 39
    .equ S_HOST_SP, 8 * 40
    .equ S_REGIME, 8 * 41
    .equ S_ALIAS, 8 * 42
    .equ S_SCTLR, 8 * 43
    .equ S_TCR, 8 * 44
    .equ S_TTBR0, 8 * 45
    .equ S_IRQS, 8 * 46
    .equ S_SEEN, 8 * 47
    .equ S_BUDGET, 8 * 48
    .equ S_GICC, 8 * 49

    // SCTLR_EL1: the RES1 bits of v8.0, I, C, M; SPAN: an exception leaves PAN alone.
    .equ SCTLR_OFF_LOW, 0x0800
    .equ SCTLR_USUAL_LOW, 0x1805
    .equ SCTLR_HIGH, 0x30d0

// Loads what the shot at x0 says, x0 last.
.macro load_shot
    ldp     x1, x2, [x0, #S_PC]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldp     x1, x2, [x0, #S_SP0]
    msr     sp_el0, x1
    mov     sp, x2
    x2_to_x17 ldp, x0
    x18_to_x29 ldp, x0
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
.endm

    .section .text.shot, "ax"
// shoot(x0: &mut Shot)
    .global shoot
shoot:
    stp     x29, x30, [sp, #-96]!
    mov     x29, sp
    x19_to_x28 stp
    mov     x1, sp
    str     x1, [x0, #S_HOST_SP]
    msr     tpidr_el1, x0
    ldr     x1, [x0, #S_REGIME]
    cbz     x1, 2f
    // Another regime: from here on at its address of this code.
    msr     tpidrro_el0, x1
    ldr     x2, [x0, #S_ALIAS]
    ldp     x3, x4, [x0, #S_SCTLR]
    ldr     x5, [x0, #S_TTBR0]
    adr     x6, 1f
    add     x6, x6, x2
    adrp    x7, vectors
    add     x7, x7, :lo12:vectors
    add     x7, x7, x2
    msr     vbar_el1, x7
    add     x0, x0, x2
    isb
    br      x6
1:  msr     tcr_el1, x4
    msr     ttbr0_el1, x5
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    // Last, and nothing of it read any more: data may be of the other endianness now.
    ins     v31.d[0], x3
    load_shot
    ins     v31.d[1], x0
    umov    x0, v31.d[0]
    msr     sctlr_el1, x0
    isb
    umov    x0, v31.d[1]
    eret

2:  load_shot
    eret

.macro vector offset, target
    .balign 128
    ins     v31.d[0], x0
    ins     v31.d[1], x1
    mov     x1, #\offset
    b       \target
.endm

.macro vectors_from offset, cause
    vector  \offset, hit
    vector  (\offset + 0x80), interrupt
    vector  (\offset + 0x100), fast_interrupt
    vector  (\offset + 0x180), hit
.endm

    .section .text.vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    vectors_from 0x000
    vectors_from 0x200
    vectors_from 0x400
    vectors_from 0x600

// A synchronous exception or an SError: the shot is over. x1: offset of the vector.
hit:
    mrs     x0, tpidrro_el0
    cbz     x0, back
    // First of all the usual endianness. In the upper half the MMU stays on, at its own address of
    // this code; else it goes off until the usual tables are back.
    ins     v30.d[0], x2
    ins     v30.d[1], x3
    adr     x2, .
    mov     x0, #SCTLR_USUAL_LOW
    tbnz    x2, #63, 1f
    mov     x0, #SCTLR_OFF_LOW
1:  movk    x0, #SCTLR_HIGH, lsl #16
    msr     sctlr_el1, x0
    isb
    adrp    x2, USUAL
    add     x2, x2, :lo12:USUAL
    ldp     x0, x3, [x2]
    msr     tcr_el1, x0
    msr     ttbr0_el1, x3
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    mov     x0, #SCTLR_USUAL_LOW
    movk    x0, #SCTLR_HIGH, lsl #16
    msr     sctlr_el1, x0
    isb
    ldr     x0, [x2, #24]           // vectors, as the usual tables have them
    msr     vbar_el1, x0
    msr     tpidrro_el0, xzr
    add     x0, x0, #(back - vectors)
    umov    x2, v30.d[0]
    umov    x3, v30.d[1]
    isb
    br      x0

back:
    mrs     x0, tpidr_el1
    x2_to_x17 stp, x0
    x18_to_x29 stp, x0
    str     x30, [x0, #240]
    umov    x2, v31.d[0]
    umov    x3, v31.d[1]
    stp     x2, x3, [x0]
    mrs     x2, sp_el0
    mov     x3, sp
    stp     x2, x3, [x0, #S_SP0]
    mrs     x2, esr_el1
    mrs     x3, far_el1
    stp     x2, x3, [x0, #S_ESR]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    stp     x2, x3, [x0, #S_ELR]
    str     x1, [x0, #S_VECTOR]
    ldr     x2, [x0, #S_HOST_SP]
    mov     sp, x2
    x19_to_x28 ldp
    ldp     x29, x30, [sp], #96
    ret

// An IRQ within a shot. Timers are quieted; whatever comes too often is masked.
interrupt:
    ins     v30.d[0], x2
    ins     v30.d[1], x3
    mrs     x0, tpidr_el1
    ldr     x2, [x0, #S_GICC]
    cbnz    x2, 1f
    mrs     x1, S3_0_C12_C12_0      // ICC_IAR1_EL1
    b       2f
1:  ldr     w1, [x2, #0xc]          // GICC_IAR
2:  and     x3, x1, #0x3ff
    cmp     x3, #27
    b.ne    3f
    msr     cntv_ctl_el0, xzr
3:  cmp     x3, #30
    b.ne    4f
    msr     cntp_ctl_el0, xzr
4:  isb
    cmp     x3, #1020
    b.hs    6f
    cbnz    x2, 5f
    msr     S3_0_C12_C12_1, x1      // ICC_EOIR1_EL1
    b       6f
5:  str     w1, [x2, #0x10]         // GICC_EOIR
6:  ldr     x2, [x0, #S_IRQS]
    add     x2, x2, #1
    str     x2, [x0, #S_IRQS]
    mov     x2, #1
    lsl     x2, x2, x3
    cmp     x3, #64
    csel    x2, x2, xzr, lo
    ldr     x3, [x0, #S_SEEN]
    orr     x3, x3, x2
    str     x3, [x0, #S_SEEN]
    ldr     x2, [x0, #S_BUDGET]
    sub     x2, x2, #1
    str     x2, [x0, #S_BUDGET]
    cbnz    x2, 7f
    mrs     x2, spsr_el1
    orr     x2, x2, #0xc0
    msr     spsr_el1, x2
7:  umov    x2, v30.d[0]
    umov    x3, v30.d[1]
    umov    x0, v31.d[0]
    umov    x1, v31.d[1]
    eret

// An FIQ, which nothing but a hostile setting of groups leads to: masked for the rest of the shot.
fast_interrupt:
    mrs     x0, spsr_el1
    orr     x0, x0, #0x40
    msr     spsr_el1, x0
    mrs     x0, tpidr_el1
    ldr     x1, [x0, #S_IRQS]
    add     x1, x1, #1
    str     x1, [x0, #S_IRQS]
    umov    x0, v31.d[0]
    umov    x1, v31.d[1]
    eret
