// call_and_compare(x0: function id, x1: *mut [u64; 4]) -> x0: bits of changed registers.
// x4 to x30 are filled with 0x5a00..00NN, V0 to V31 with 0xa5..NN in both halves.

    .section .text.registers, "ax"
    .arch_extension fp
    .arch_extension simd
    .global call_and_compare
call_and_compare:
    stp     x29, x30, [sp, #-176]!
    x19_to_x28 stp
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    str     x1, [sp, #160]
    mov     x2, sp
    msr     tpidr_el0, x2           // to compare SP with
    .irp n, 4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    movz    x\n, #\n
    movk    x\n, #0x5a00, lsl #48
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    movz    x1, #\n
    movk    x1, #0xa500, lsl #48
    dup     v\n\().2d, x1
    .endr
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    hvc     #0
    // x0 to x3 are results: they go below SP; then x0 is the sum and x1 to x3
    // are scratch.
    sub     sp, sp, #32
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]
    mov     x0, #0
    .irp n, 4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    movz    x1, #\n
    movk    x1, #0x5a00, lsl #48
    cmp     x\n, x1
    cset    x2, ne
    orr     x0, x0, x2, lsl #\n
    .endr
    mrs     x1, tpidr_el0
    add     x2, sp, #32
    cmp     x1, x2
    cset    x2, ne
    orr     x0, x0, x2, lsl #31
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    movz    x1, #\n
    movk    x1, #0xa500, lsl #48
    mov     x2, v\n\().d[0]
    mov     x3, v\n\().d[1]
    eor     x2, x2, x1
    eor     x3, x3, x1
    orr     x2, x2, x3
    cmp     x2, #0
    cset    x2, ne
    lsl     x2, x2, #32
    orr     x0, x0, x2, lsl #\n
    .endr
    mrs     x1, tpidr_el0
    ldp     x4, x5, [sp]
    ldp     x6, x7, [sp, #16]
    mov     sp, x1
    ldr     x1, [sp, #160]
    stp     x4, x5, [x1]
    stp     x6, x7, [x1, #16]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    x19_to_x28 ldp
    ldp     x29, x30, [sp], #176
    ret
