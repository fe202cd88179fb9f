// memcpy, memmove, memset and memcmp of the whole image. Those of the compiler's library move a word, or
// compare a byte, at a time, which is what boot and the copy of payloads would spend their time in; and
// they are larger.
//
// None uses the stack, so that where one crashes the caller is in x30, which .cfi_startproc says.
//
// Accesses may be unaligned: EL2 has SCTLR_EL2.A clear and copies Normal memory only.

// x0 = destination, x1 = source, x2 = bytes; they do not overlap. Returns x0.
.section .text.memcpy, "ax"
.global memcpy
.type memcpy, %function
memcpy:
    .cfi_startproc
    mov     x3, x0
    subs    x2, x2, #64
    b.lo    2f
1:  ldp     x4, x5, [x1], #64
    ldp     x6, x7, [x1, #-48]
    ldp     x8, x9, [x1, #-32]
    ldp     x10, x11, [x1, #-16]
    stp     x4, x5, [x3], #64
    stp     x6, x7, [x3, #-48]
    stp     x8, x9, [x3, #-32]
    stp     x10, x11, [x3, #-16]
    subs    x2, x2, #64
    b.hs    1b
2:  tbz     x2, #5, 3f              // what is left, bit by bit
    ldp     x4, x5, [x1], #32
    ldp     x6, x7, [x1, #-16]
    stp     x4, x5, [x3], #32
    stp     x6, x7, [x3, #-16]
3:  tbz     x2, #4, 4f
    ldp     x4, x5, [x1], #16
    stp     x4, x5, [x3], #16
4:  tbz     x2, #3, 5f
    ldr     x4, [x1], #8
    str     x4, [x3], #8
5:  tbz     x2, #2, 6f
    ldr     w4, [x1], #4
    str     w4, [x3], #4
6:  tbz     x2, #1, 7f
    ldrh    w4, [x1], #2
    strh    w4, [x3], #2
7:  tbz     x2, #0, 8f
    ldrb    w4, [x1]
    strb    w4, [x3]
8:  ret
    .cfi_endproc
.size memcpy, . - memcpy

// The same where they may overlap.
.section .text.memmove, "ax"
.global memmove
.type memmove, %function
memmove:
    .cfi_startproc
    sub     x3, x0, x1
    cmp     x3, x2
    b.hs    memcpy                  // which loads all of what it stores next before it stores it
1:  cbz     x2, 2f
    sub     x2, x2, #1
    ldrb    w3, [x1, x2]
    strb    w3, [x0, x2]
    b       1b
2:  ret
    .cfi_endproc
.size memmove, . - memmove

// Fills x2 bytes at x0 with the byte w1. Returns x0.
.section .text.memset, "ax"
.global memset
.type memset, %function
memset:
    .cfi_startproc
    and     x1, x1, #0xff
    mov     x4, #0x0101010101010101
    mul     x1, x1, x4
    mov     x3, x0
    subs    x2, x2, #32
    b.lo    2f
1:  stp     x1, x1, [x3], #32
    stp     x1, x1, [x3, #-16]
    subs    x2, x2, #32
    b.hs    1b
2:  tbz     x2, #4, 3f              // what is left, bit by bit
    stp     x1, x1, [x3], #16
3:  tbz     x2, #3, 4f
    str     x1, [x3], #8
4:  tbz     x2, #2, 5f
    str     w1, [x3], #4
5:  tbz     x2, #1, 6f
    strh    w1, [x3], #2
6:  tbz     x2, #0, 7f
    strb    w1, [x3]
7:  ret
    .cfi_endproc
.size memset, . - memset

// Compares x2 bytes at x0 and x1; w0 is below, above or at 0 as the first that differs says.
.section .text.memcmp, "ax"
.global memcmp
.type memcmp, %function
memcmp:
    .cfi_startproc
    subs    x2, x2, #8
    b.lo    2f
1:  ldr     x3, [x0], #8
    ldr     x4, [x1], #8
    cmp     x3, x4
    b.ne    5f
    subs    x2, x2, #8
    b.hs    1b
2:  adds    x2, x2, #8
    b.eq    4f
3:  ldrb    w3, [x0], #1
    ldrb    w4, [x1], #1
    subs    w3, w3, w4
    b.ne    6f
    subs    x2, x2, #1
    b.ne    3b
4:  mov     w0, #0
    ret
5:  rev     x3, x3                  // the first byte decides
    rev     x4, x4
    cmp     x3, x4
    mov     w0, #1
    cneg    w0, w0, lo
    ret
6:  mov     w0, w3
    ret
    .cfi_endproc
.size memcmp, . - memcmp
