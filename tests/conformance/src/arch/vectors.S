// Exception vectors of EL1.
//
// TPIDRRO_EL0 holds 0, or the address at which `probe_run` waits for an exception that its snippet
// may cause. Such an exception is reported in registers only, since the MMU may be off:
//   x0 ESR, x1 FAR, x2 ELR, x3 SPSR, x4 vector offset, x5 DAIF | CurrentEL | SPSel of the handler.

.macro sync_vector offset
    .balign 128
    mrs     x0, tpidrro_el0
    mov     x4, #\offset
    cbz     x0, unexpected
    b       caught
.endm

.macro irq_vector
    .balign 128
    sub     sp, sp, #192
    stp     x0, x1, [sp]
    b       interrupt
.endm

.macro bad_vector offset
    .balign 128
    mov     x4, #\offset
    b       unexpected
.endm

    .section .text.vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    sync_vector 0x000
    irq_vector
    bad_vector 0x100
    bad_vector 0x180
    sync_vector 0x200
    irq_vector
    bad_vector 0x300
    bad_vector 0x380
    sync_vector 0x400
    irq_vector
    bad_vector 0x500
    bad_vector 0x580
    sync_vector 0x600
    bad_vector 0x680
    bad_vector 0x700
    bad_vector 0x780

caught:
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    mrs     x5, daif
    mrs     x1, CurrentEL
    orr     x5, x5, x1
    mrs     x1, spsel
    orr     x5, x5, x1
    msr     elr_el1, x0
    mov     x1, #0x3c5              // EL1h, DAIF set
    msr     spsr_el1, x1
    mrs     x0, esr_el1
    mrs     x1, far_el1
    eret

unexpected:
    mrs     x0, esr_el1
    mrs     x1, far_el1
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    bl      unexpected_exception
    b       .

interrupt:
    x2_to_x17 stp, sp
    stp     x18, x29, [sp, #144]
    mrs     x0, elr_el1
    mrs     x1, spsr_el1
    stp     x30, x0, [sp, #160]
    str     x1, [sp, #176]
    bl      take_interrupt
    ldr     x1, [sp, #176]
    ldp     x30, x0, [sp, #160]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    ldp     x18, x29, [sp, #144]
    x2_to_x17 ldp, sp
    ldp     x0, x1, [sp]
    add     sp, sp, #192
    eret
