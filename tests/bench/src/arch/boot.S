// Entry of the first CPU and of the one that PSCI starts. Both arrive at EL1 and stay with the MMU
// off: what is counted is instructions, and caches have no part in that.

    .equ STACK_SIZE, 0x8000         // linker/guest.ld

    .section .head, "ax"
    .global _start
_start:
    image_header first_cpu

first_cpu:
    mrs     x21, cntvct_el0         // what it took to come here
    mov     x20, x0                 // device tree
    adrp    x0, _bss_start
    adrp    x1, _bss_end
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b
    adrp    x0, _stacks_start
    add     sp, x0, #STACK_SIZE
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el1, x0
    mov     x27, #0                 // no exception is expected
    mov     x29, #0
    isb
    mov     x0, x20
    mov     x1, x21
    bl      main_first
1:  wfi
    b       1b

    .section .text.boot, "ax"
    // x0: where to store the time. Started again and again.
    .global cpu_on_entry
cpu_on_entry:
    mrs     x1, cntvct_el0
    str     x1, [x0]
    dsb     sy
    movz    x0, #0x8400, lsl #16    // PSCI CPU_OFF
    movk    x0, #0x0002
    hvc     #0
1:  wfi
    b       1b

    // x0: where to store the time of each interrupt.
    .global ipi_entry
ipi_entry:
    mov     x27, x0
    adrp    x0, _stacks_start
    add     x0, x0, #STACK_SIZE
    add     sp, x0, #STACK_SIZE
    adrp    x0, vectors_ipi
    add     x0, x0, :lo12:vectors_ipi
    msr     vbar_el1, x0
    mov     x29, #0
    isb
    bl      set_up_other
    msr     daifclr, #2
    mov     x0, #1                  // ready
    str     x0, [x27]
1:  yield
    b       1b
