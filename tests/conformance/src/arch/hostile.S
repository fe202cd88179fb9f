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

// The vectors are no instructions.
hostile_undefined:
    adrp    x1, undefined_vectors
    add     x1, x1, :lo12:undefined_vectors
    msr     vbar_el1, x1
    isb
    udf     #0

    vector_table undefined_vectors
    udf     #0
