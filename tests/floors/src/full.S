// The full frame: x0 to x30, ELR and SPSR are saved and restored at every entry, and between them a
// dispatcher with the frame in x0 calls the handler by exception class. Handlers are functions that
// may use x1 to x17.

    .equ FRAME, 272
    .equ FRAME_ELR, 248
    .equ FRAME_SPSR, 256

    .section .text.vectors, "ax"
    .balign 2048
vectors:
    .rept 8
    .balign 128
    b       .
    .endr
    .balign 128                     // synchronous, from EL1
    sub     sp, sp, #FRAME
    stp     x0, x1, [sp]
    adr     x1, sync
    b       with_frame
    .balign 128                     // IRQ, from EL1
    sub     sp, sp, #FRAME
    stp     x0, x1, [sp]
    adr     x1, irq
    b       with_frame
    .rept 6
    .balign 128
    b       .
    .endr

with_frame:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x30, x2, [sp, #240]
    str     x3, [sp, #FRAME_SPSR]
    mov     x0, sp
    blr     x1
    ldp     x30, x2, [sp, #240]
    ldr     x3, [sp, #FRAME_SPSR]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldp     x0, x1, [sp]
    add     sp, sp, #FRAME
    eret

sync:                               // the dispatcher
    mrs     x1, esr_el2
    lsr     x2, x1, #26
    adr     x3, handlers
    ldr     x2, [x3, x2, lsl #3]
    br      x2

    .balign 8
handlers:
    .fill   0x16, 8, 0
    .quad   call                    // HVC
    .quad   smc_call                // SMC
    .quad   system_register
    .fill   EC_DATA_ABORT - 0x19, 8, 0
    .quad   data_abort
    .fill   64 - EC_DATA_ABORT - 1, 8, 0

smc_call:
    ldr     x2, [x0, #FRAME_ELR]
    add     x2, x2, #4
    str     x2, [x0, #FRAME_ELR]
call:
    ldr     x1, [x0]
    mov     w2, #0x84000000
    cmp     w1, w2
    b.ne    1f
    mov     w1, #PSCI_1_1
    str     x1, [x0]
    ret
1:  mov     w2, #0x80000000
    cmp     w1, w2
    b.ne    1f
    mov     w1, #SMCCC_1_1
    str     x1, [x0]
    ret
1:  and     w2, w1, #0xbfffffff
    mov     w3, #0x84000000
    sub     w2, w2, w3
    cmp     w2, #32
    b.lo    psci
    mov     x1, #-1
    str     x1, [x0]
    ret

psci:
    ldr     x4, =mailbox
    cmp     w2, #3
    b.eq    cpu_on
    cmp     w2, #4
    b.eq    affinity_info
    cmp     w2, #2
    b.eq    cpu_off
    mov     x5, x0
    ldr     x0, [x5]
    smc     #0                      // the firmware's
    str     x0, [x5]
    ret
cpu_on:
    ldr     x1, [x0, #8]
    mov     x5, #-2
    cmp     x1, #1
    b.ne    1f
    mov     x5, #-4
    ldr     w1, [x4, #16]
    cbnz    w1, 1f
    ldp     x2, x3, [x0, #16]
    stp     x2, x3, [x4]
    mov     w1, #1
    dmb     ish
    str     w1, [x4, #16]
    dsb     ish
    sev
    mov     x5, #0
1:  str     x5, [x0]
    ret
affinity_info:                      // of CPU 1
    ldr     w1, [x4, #16]
    eor     w1, w1, #1
    str     x1, [x0]
    ret
cpu_off:                            // CPU 1
    str     wzr, [x4, #16]
    add     sp, sp, #FRAME
    b       parked

data_abort:                         // x1: syndrome
    mrs     x2, hpfar_el2
    mrs     x3, far_el2
    and     x3, x3, #0xfff
    orr     x2, x3, x2, lsl #8      // IPA
    ldr     x3, =GICD
    sub     x4, x2, x3
    lsr     x5, x4, #20
    cbnz    x5, abort
    tbz     w1, #24, abort          // ISV
    tbnz    w1, #6, skip            // a write: to none of the registers below
    set     x5, GICD_TYPER_VALUE
    cmp     x4, #4
    b.eq    give
    mov     x5, #GICR_TYPER_VALUE
    set     x6, (GICR - GICD + 8)
    cmp     x4, x6
    csel    x5, x5, xzr, eq
give:                               // x5 to the register of the syndrome
    ubfx    w6, w1, #16, #5
put:
    cmp     w6, #31
    b.eq    skip
    str     x5, [x0, x6, lsl #3]
skip:
    ldr     x2, [x0, #FRAME_ELR]
    add     x2, x2, #4
    str     x2, [x0, #FRAME_ELR]
    ret

abort:                              // an external abort for EL1
    set     w2, ABORT_ESR
    and     w3, w1, #(1 << 6)       // WnR
    orr     w2, w2, w3
    msr     esr_el1, x2
    mrs     x2, far_el2
    msr     far_el1, x2
    ldp     x2, x3, [x0, #FRAME_ELR]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    mrs     x2, vbar_el1
    add     x2, x2, #0x200
    mov     x3, #EL1H_MASKED
    stp     x2, x3, [x0, #FRAME_ELR]
    ret

system_register:                    // x1: syndrome
    and     w2, w1, #0x1ffffff
    and     w2, w2, #~ISS_RT
    ubfx    w6, w1, #5, #5
    set     w3, ISS_MMFR0
    cmp     w2, w3
    b.ne    1f
    mrs     x5, id_aa64mmfr0_el1
    b       put
1:  set     w3, ISS_SGI1R
    cmp     w2, w3
    b.ne    skip
    mov     x5, #0
    cmp     w6, #31
    b.eq    1f
    ldr     x5, [x0, x6, lsl #3]
1:  mrs     x2, tpidr_el2
    and     w3, w5, #0xffff         // target list
    ubfx    x5, x5, #24, #4         // SGI
    cmp     w2, w3
    b.ne    to_other
    movz    x2, #LR_SOFTWARE, lsl #48
    orr     x5, x5, x2
    msr     ich_lr0_el2, x5
    b       skip
to_other:                           // of two CPUs
    mov     w3, #1
    lsl     w3, w3, w5
    ldr     x4, =waiting_sgis
1:  ldaxr   w5, [x4]
    orr     w5, w5, w3
    stlxr   w6, w5, [x4]
    cbnz    w6, 1b
    eor     x2, x2, #3
    msr     icc_sgi1r_el1, x2       // physical SGI 0
    b       skip

irq:
    mrs     x1, icc_iar1_el1
    msr     icc_eoir1_el1, x1
    cmp     w1, #VTIMER
    b.ne    physical_sgi
    movz    x2, #LR_HARDWARE, lsl #48
    orr     x1, x1, x1, lsl #32
    orr     x1, x1, x2
    msr     ich_lr1_el2, x1         // the timer has this list register, SGIs have 0
    ret
physical_sgi:                       // x1: IAR
    msr     icc_dir_el1, x1
    ldr     x2, =waiting_sgis
1:  ldaxr   w1, [x2]
    stlxr   w3, wzr, [x2]
    cbnz    w3, 1b
    cbz     w1, 2f
    clz     w1, w1                  // the bench sends one at a time
    eor     w1, w1, #31
    movz    x2, #LR_SOFTWARE, lsl #48
    orr     x1, x1, x2
    msr     ich_lr0_el2, x1
2:  ret
    .ltorg
