// The measured pieces. Each is bracketed by two reads of the counter, which under `-icount` moves
// by one with each instruction; what is between them besides the operation is in the piece's twin
// without it, `…_empty`, whose ticks the caller subtracts. `trace_begin` and `trace_end` are what
// `cargo xtask bench --trace` looks for.

.macro begin_counting
    bl      trace_begin
    isb
    mrs     x26, cntvct_el0
.endm

.macro end_counting             // x0: ticks
    isb
    mrs     x0, cntvct_el0
    sub     x0, x0, x26
    bl      trace_end
.endm

.macro save
    stp     x19, x20, [sp, #-96]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
.endm

.macro restore
    ldp     x29, x30, [sp, #80]
    ldp     x27, x28, [sp, #64]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #32]
    ldp     x21, x22, [sp, #16]
    ldp     x19, x20, [sp], #96
.endm

// extern "C" fn(args: *mut [u64; 4]) -> ticks: COUNT times OP with x0 to x3 from args, which also
// are in x20 to x23; afterwards args[0] is the last x0. What is stored or loaded is in a register
// that calls change, as compiled code mostly has it; EL2 may have saved no other yet.
.macro piece_body count, op
    save
    mov     x25, x0
    ldp     x20, x21, [x0]
    ldp     x22, x23, [x0, #16]
    begin_counting
    .rept \count
    mov     x0, x20
    mov     x1, x21
    mov     x2, x22
    mov     x3, x23
    \op
    .endr
    mov     x24, x0
    end_counting
    str     x24, [x25]
    restore
    ret
.endm

.macro piece name, count, op
    .global \name
\name:
    piece_body \count, "\op"
.endm

    .section .text.pieces, "ax"
    .global trace_begin
trace_begin:
    ret
    .global trace_end
trace_end:
    ret

    piece   empty_8, 8, ""
    piece   empty_1, 1, ""
    piece   hvc_8, 8, "hvc #0"
    piece   hvc_1, 1, "hvc #0"
    piece   smc_8, 8, "smc #0"
    piece   load32_8, 8, "ldr w0, [x20]"
    piece   load64_8, 8, "ldr x0, [x20]"
    piece   store8_1, 1, "strb w1, [x20]"
    piece   store32_1, 1, "str w1, [x20]"
    piece   store64_1, 1, "str x21, [x20]"

// Eight times MRS of ID_AA64MMFR0_EL1. QEMU charges a trapped register access with what follows it
// in its translation block, too; a block ends with its page, so here nothing follows.
    .global id_register_8
id_register_8:
    adr     x9, id_register_at
    b       1f
    .global id_register_8_empty
id_register_8_empty:
    adr     x9, id_register_done
1:  save
    mov     x21, x9
    mov     x25, x0
    mov     x19, #8
    begin_counting
id_register_next:
    br      x21
    .balign 4096
    .skip   4092
id_register_at:
    mrs     x0, id_aa64mmfr0_el1
id_register_done:
    subs    x19, x19, #1
    b.ne    id_register_next
    mov     x24, x0
    end_counting
    str     x24, [x25]
    restore
    ret

// A loop of 2 * args[0] instructions, and one more.
    .global known_loop
known_loop:
    save
    ldr     x20, [x0]
    begin_counting
    mov     x0, x20
1:  subs    x0, x0, #1
    b.ne    1b
    end_counting
    restore
    ret

// A load from args[0] that is answered by an abort, from the counter's read to the handler's.
    .global abort_to_handler
abort_to_handler:
    save
    ldr     x20, [x0]
    mov     x28, #0
    adr     x27, 1f
    begin_counting
    ldr     w0, [x20]
1:  sub     x0, x28, x26
    bl      trace_end
    mov     x27, #0
    restore
    ret

// ICC_SGI1R_EL1 = args[0], which interrupts this CPU; to the handler's read.
    .global sgi_to_handler
sgi_to_handler:
    save
    ldr     x0, [x0]
    mov     x28, #0
    msr     daifclr, #2
    begin_counting
    msr     icc_sgi1r_el1, x0
    isb
1:  cbz     x28, 1b
    msr     daifset, #2
    sub     x0, x28, x26
    bl      trace_end
    restore
    ret

// The virtual timer, set to args[0] ticks from now; from the moment it fires to the handler's read,
// in a loop that does nothing.
    .global timer_to_handler
timer_to_handler:
    save
    ldr     x20, [x0]
    mov     x28, #0
    mov     x21, #1
    msr     daifclr, #2
    begin_counting
    add     x26, x26, x20
    msr     cntv_cval_el0, x26
    msr     cntv_ctl_el0, x21
    isb
1:  cbz     x28, 1b
    msr     daifset, #2
    sub     x0, x28, x26
    bl      trace_end
    restore
    ret

// Likewise, to the instruction behind WFI, with interrupts masked.
    .global timer_to_wfi
timer_to_wfi:
    save
    ldr     x20, [x0]
    mov     x28, #0
    mov     x21, #1
    begin_counting
    add     x26, x26, x20
    msr     cntv_cval_el0, x26
    msr     cntv_ctl_el0, x21
    isb
    wfi
    mrs     x22, cntvct_el0
    msr     daifclr, #2
    isb
1:  cbz     x28, 1b
    msr     daifset, #2
    sub     x0, x22, x26
    bl      trace_end
    restore
    ret

// ICC_SGI1R_EL1 = args[0], which interrupts the other CPU; to its handler's read, which it stores
// at args[1].
    .global ipi_to_handler
ipi_to_handler:
    save
    ldp     x0, x21, [x0]
    str     xzr, [x21]
    begin_counting
    msr     icc_sgi1r_el1, x0
    isb
1:  yield
    ldr     x22, [x21]
    cbz     x22, 1b
    sub     x0, x22, x26
    bl      trace_end
    restore
    ret

// HVC with x0 to x3 from args, which starts the other CPU; to its first instruction's read of the
// counter, which it stores at args[3]. args[0] becomes x0 of the call.
    .global cpu_on_to_first_instruction
cpu_on_to_first_instruction:
    save
    mov     x25, x0
    ldp     x20, x21, [x0]
    ldp     x22, x23, [x0, #16]
    str     xzr, [x23]
    mov     x0, x20
    mov     x1, x21
    mov     x2, x22
    mov     x3, x23
    begin_counting
    hvc     #0
    cbnz    x0, 2f
1:  yield
    ldr     x22, [x23]
    cbz     x22, 1b
2:  str     x0, [x25]
    sub     x0, x22, x26
    bl      trace_end
    restore
    ret
