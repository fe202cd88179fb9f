// The smallest handler: only the registers that it needs are saved, and every operation has the
// shortest straight path that still decodes the syndrome.

    // Instructions of HVC PSCI_VERSION by hand: the HVC and the eleven below it. `cargo xtask bench`
    // holds the measured figure against it.
    .global hand_count_hvc
    .equ hand_count_hvc, 12

    .section .text.vectors, "ax"
    .balign 2048
vectors:
    .rept 8
    .balign 128
    b       .
    .endr
    .balign 128                     // synchronous, from EL1
    stp     x2, x3, [sp, #-16]!
    mrs     x2, esr_el2
    mov     w3, #ESR_HVC
    cmp     w2, w3
    b.ne    not_hvc
call:
    mov     w3, #0x84000000         // PSCI_VERSION
    cmp     w0, w3
    b.ne    not_psci_version
    mov     w0, #PSCI_1_1
    ldp     x2, x3, [sp], #16
    eret

    .balign 128                     // IRQ, from EL1
    stp     x0, x1, [sp, #-16]!
    mrs     x0, icc_iar1_el1
    msr     icc_eoir1_el1, x0
    cmp     w0, #VTIMER
    b.ne    physical_sgi
    movz    x1, #LR_HARDWARE, lsl #48
    orr     x0, x0, x0, lsl #32
    orr     x0, x0, x1
    msr     ich_lr1_el2, x0         // the timer has this list register, SGIs have 0
    ldp     x0, x1, [sp], #16
    eret
    .rept 6
    .balign 128
    b       .
    .endr

not_psci_version:
    mov     w3, #0x80000000         // SMCCC_VERSION
    cmp     w0, w3
    b.ne    not_smccc_version
    mov     w0, #SMCCC_1_1
    ldp     x2, x3, [sp], #16
    eret
not_smccc_version:
    and     w2, w0, #0xbfffffff     // PSCI, 32 or 64 bits
    mov     w3, #0x84000000
    sub     w2, w2, w3
    cmp     w2, #32
    b.lo    psci
    mov     x0, #-1
    ldp     x2, x3, [sp], #16
    eret

not_hvc:
    mov     w3, #ESR_SMC
    cmp     w2, w3
    b.ne    not_smc
    mrs     x3, elr_el2
    add     x3, x3, #4
    msr     elr_el2, x3
    b       call

not_smc:                            // w2: syndrome
    stp     x0, x1, [sp, #-16]!     // [sp]: x0 to x3
    lsr     w3, w2, #26
    cmp     w3, #EC_DATA_ABORT
    b.ne    not_abort
    mrs     x3, hpfar_el2           // IPA >> 8
    sub     x3, x3, #(GICD >> 8)
    lsr     x0, x3, #12
    cbnz    x0, abort               // not in the GIC's megabyte
    tbz     w2, #24, abort          // ISV
    tbnz    w2, #6, skip            // a write: to none of the registers below
    mrs     x1, far_el2
    and     x1, x1, #0xfff
    cbnz    x3, not_gicd
    set     x0, GICD_TYPER_VALUE
    cmp     x1, #4
    csel    x0, x0, xzr, eq
give:                               // x0 to the register of the syndrome
    ubfx    w3, w2, #16, #5
put:
    cmp     w3, #4
    b.hs    high_register
    str     x0, [sp, x3, lsl #3]
skip:
    mrs     x3, elr_el2
    add     x3, x3, #4
    msr     elr_el2, x3
    ldp     x0, x1, [sp], #16
    ldp     x2, x3, [sp], #16
    eret

not_gicd:
    cmp     x3, #((GICR - GICD) >> 8)
    mov     x0, #GICR_TYPER_VALUE
    ccmp    x1, #8, #0, eq
    csel    x0, x0, xzr, eq
    b       give

high_register:                      // two instructions for each
    adr     x1, put_table
    add     x1, x1, x3, lsl #3
    br      x1
put_table:
    .rept 4
    b       skip
    nop
    .endr
    .irp n, 4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    mov     x\n, x0
    b       skip
    .endr
    b       skip
    nop

abort:                              // an external abort for EL1
    set     w0, ABORT_ESR
    and     w1, w2, #(1 << 6)       // WnR
    orr     w0, w0, w1
    msr     esr_el1, x0
    mrs     x0, far_el2
    msr     far_el1, x0
    mrs     x0, elr_el2
    msr     elr_el1, x0
    mrs     x0, spsr_el2
    msr     spsr_el1, x0
    mov     x0, #EL1H_MASKED
    msr     spsr_el2, x0
    mrs     x0, vbar_el1
    add     x0, x0, #0x200
    msr     elr_el2, x0
    ldp     x0, x1, [sp], #16
    ldp     x2, x3, [sp], #16
    eret

not_abort:
    cmp     w3, #EC_SYSREG
    b.ne    .
    ubfx    w3, w2, #5, #5          // Rt
    and     w1, w2, #0x1ffffff
    and     w1, w1, #~ISS_RT
    set     w0, ISS_MMFR0
    cmp     w1, w0
    b.ne    not_id_register
    mrs     x0, id_aa64mmfr0_el1
    b       put
not_id_register:
    set     w0, ISS_SGI1R
    cmp     w1, w0
    b.ne    skip
    adr     x1, get_table
    add     x1, x1, x3, lsl #3
    br      x1
get_table:
    .irp n, 0,1,2,3
    ldr     x0, [sp, #8 * \n]
    b       sgi
    .endr
    .irp n, 4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    mov     x0, x\n
    b       sgi
    .endr
    mov     x0, xzr
sgi:                                // x0: ICC_SGI1R_EL1
    mrs     x1, tpidr_el2
    and     w3, w0, #0xffff         // target list
    ubfx    x0, x0, #24, #4         // SGI
    cmp     w1, w3
    b.ne    to_other
    movz    x1, #LR_SOFTWARE, lsl #48
    orr     x0, x0, x1
    msr     ich_lr0_el2, x0
    b       skip
to_other:                           // of two CPUs
    mov     w2, #1
    lsl     w2, w2, w0
    ldr     x0, =waiting_sgis
1:  ldaxr   w1, [x0]
    orr     w1, w1, w2
    stlxr   w3, w1, [x0]
    cbnz    w3, 1b
    mrs     x3, tpidr_el2
    eor     x3, x3, #3
    msr     icc_sgi1r_el1, x3       // physical SGI 0
    b       skip

physical_sgi:                       // x0: IAR
    msr     icc_dir_el1, x0
    stp     x2, x3, [sp, #-16]!
    ldr     x0, =waiting_sgis
1:  ldaxr   w1, [x0]
    stlxr   w2, wzr, [x0]
    cbnz    w2, 1b
    cbz     w1, 2f
    clz     w1, w1                  // the bench sends one at a time
    eor     w1, w1, #31
    movz    x2, #LR_SOFTWARE, lsl #48
    orr     x1, x1, x2
    msr     ich_lr0_el2, x1
2:  ldp     x2, x3, [sp], #16
    ldp     x0, x1, [sp], #16
    eret

psci:                               // w2: function
    cmp     w2, #3
    b.eq    cpu_on
    cmp     w2, #4
    b.eq    affinity_info
    cmp     w2, #2
    b.eq    cpu_off
    ldp     x2, x3, [sp], #16
    smc     #0                      // the firmware's
    eret
cpu_on:
    cmp     x1, #1
    b.ne    1f
    ldr     x0, =mailbox
    ldr     w2, [x0, #16]
    cbnz    w2, 2f
    ldp     x2, x3, [sp]
    stp     x2, x3, [x0]
    mov     w2, #1
    dmb     ish
    str     w2, [x0, #16]
    dsb     ish
    sev
    mov     x0, #0
    ldp     x2, x3, [sp], #16
    eret
1:  mov     x0, #-2
    ldp     x2, x3, [sp], #16
    eret
2:  mov     x0, #-4
    ldp     x2, x3, [sp], #16
    eret
affinity_info:                      // of CPU 1
    ldr     x0, =mailbox
    ldr     w0, [x0, #16]
    eor     w0, w0, #1
    ldp     x2, x3, [sp], #16
    eret
cpu_off:                            // CPU 1
    ldr     x0, =mailbox
    str     wzr, [x0, #16]
    add     sp, sp, #16
    b       parked
    .ltorg
