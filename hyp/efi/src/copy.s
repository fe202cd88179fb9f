// memcpy of the program. That of the compiler's library is ten times as large, to be fast at what this
// program does not do.

// x0 = destination, x1 = source, x2 = bytes; they do not overlap. Returns x0.
.section .text.memcpy, "ax"
.global memcpy
.type memcpy, %function
memcpy:
    mov     x3, x0
1:  cbz     x2, 2f
    ldrb    w4, [x1], #1
    strb    w4, [x3], #1
    sub     x2, x2, #1
    b       1b
2:  ret
.size memcpy, . - memcpy
