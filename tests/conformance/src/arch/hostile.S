// Guests that never get anywhere again; see hostile.rs. x0: an address with nothing behind it.

.macro vector_table name
    .section .text.hostile, "ax"
    .balign 2048
\name:
    .space  0x200, 0                // nothing comes from SP_EL0
.endm

    .text
    .global hostile_own_vector, hostile_return, hostile_nowhere, hostile_nowhere_flat
    .global hostile_undefined

// The handler makes the access that it is to handle.
hostile_own_vector:
    adrp    x1, faulting_vectors
    add     x1, x1, :lo12:faulting_vectors
    msr     vbar_el1, x1
    isb
    ldr     x1, [x0]
    b       .

    vector_table faulting_vectors
    nop
    ldr     x1, [x0]
    eret

// The handler returns to the instruction without any change.
    .text
hostile_return:
    adrp    x1, returning_vectors
    add     x1, x1, :lo12:returning_vectors
    msr     vbar_el1, x1
    isb
    ldr     x1, [x0]
    b       .

    vector_table returning_vectors
    eret

// A piece of probe.S: loads with that handler until it can be done.
    .text
    .global load32_patiently
load32_patiently:
    mrs     x10, vbar_el1
    adrp    x11, returning_vectors
    add     x11, x11, :lo12:returning_vectors
    msr     vbar_el1, x11
    isb
    ldr     w9, [x8]
    msr     vbar_el1, x10
    isb
    ret

// Loads with a handler that tries 3,000 times: x1 counts, x2 is where it prints, x3 how long it waits.
// To EL2 every try looks the same, up to the registers.
    .text
    .global hostile_retry
hostile_retry:
    mrs     x4, vbar_el1
    adrp    x5, retrying_vectors
    add     x5, x5, :lo12:retrying_vectors
    msr     vbar_el1, x5
    isb
    ldr     x6, [x0]
    msr     vbar_el1, x4
    isb
    ret

retry:
    msr     tpidr_el0, x9
    msr     tpidr_el1, x10
    mrs     x9, cntvct_el0
    add     x9, x9, x3
1:  mrs     x10, cntvct_el0
    cmp     x10, x9
    b.lo    1b
    ldr     x9, [x1]
    add     x9, x9, #1
    str     x9, [x1]
    mov     x10, #500
    udiv    x9, x9, x10
    mul     x9, x9, x10
    ldr     x10, [x1]
    cmp     x9, x10
    b.ne    2f
    mov     w9, #'.'
    str     w9, [x2]
2:  mov     x9, #3000
    cmp     x9, x10
    b.ne    3f
    mrs     x9, elr_el1
    add     x9, x9, #4
    msr     elr_el1, x9
3:  mrs     x9, tpidr_el0
    mrs     x10, tpidr_el1
    eret

    vector_table retrying_vectors
    b       retry

// A jump to an address that the guest's own tables forbid, the vectors being there too.
    .text
hostile_nowhere:
    msr     vbar_el1, x0
    isb
    br      x0

// The same without tables: nothing is there.
hostile_nowhere_flat:
    mrs     x1, sctlr_el1
    bic     x1, x1, #1
    msr     sctlr_el1, x1
    isb
    msr     vbar_el1, x0
    isb
    br      x0

// An exception before there are vectors.
    .global hostile_no_vectors
hostile_no_vectors:
    mrs     x1, sctlr_el1
    bic     x1, x1, #1
    msr     sctlr_el1, x1
    isb
    msr     vbar_el1, xzr
    isb
    udf     #0

// A piece of probe.S: zeroes the block at x8.
    .global clear_block_at
clear_block_at:
    dc      zva, x8
    ret

// The vectors are no instructions.
hostile_undefined:
    adrp    x1, undefined_vectors
    add     x1, x1, :lo12:undefined_vectors
    msr     vbar_el1, x1
    isb
    udf     #0

    vector_table undefined_vectors
    udf     #0
