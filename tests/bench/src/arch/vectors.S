// Exception vectors. Both handlers read the counter first and say in x28 when they did.
//
// First CPU: x27 holds the address at which to go on after an expected synchronous exception, or 0.
// IRQs are only let in by the pieces of code that wait for one.
// Other CPU: x27 is the address at which each interrupt's time is stored.

.macro bad_vectors count
    .rept \count
    .balign 128
    b       unexpected
    .endr
.endm

.macro end_interrupt
    mrs     x0, icc_iar1_el1
    cmp     w0, #27                 // the virtual timer is level: quiet it first
    b.ne    1f
    msr     cntv_ctl_el0, xzr
    isb
1:  msr     icc_eoir1_el1, x0
    isb
.endm

    .section .text.vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    bad_vectors 4
    .balign 128
    mrs     x28, cntvct_el0
    cbz     x27, unexpected
    msr     elr_el1, x27
    mov     x27, #0
    eret
    .balign 128
    mrs     x28, cntvct_el0
    stp     x0, x1, [sp, #-16]!
    end_interrupt
    ldp     x0, x1, [sp], #16
    eret
    bad_vectors 10

    .balign 2048
    .global vectors_ipi
vectors_ipi:
    bad_vectors 5
    .balign 128
    .global ipi_arrived
ipi_arrived:
    mrs     x28, cntvct_el0
    stp     x0, x1, [sp, #-16]!
    end_interrupt
    ldp     x0, x1, [sp], #16
    str     x28, [x27]
    eret
    bad_vectors 10

unexpected:
    mrs     x0, esr_el1
    mrs     x1, far_el1
    mrs     x2, elr_el1
    bl      unexpected_exception
    b       .
