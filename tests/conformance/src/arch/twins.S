// Loads, stores and atomics that hardware does not describe in a syndrome, to be run once on memory
// and once on a device: both must come to the same.
//
// x8 is the address of 64 bytes, x9 and x10 data, x11 is 8, v0 to v3 are loaded from x12 and stored
// to x13. Each entry of the table is code, source, length of the source, class (`twins.rs`).

    .arch_extension fp
    .arch_extension simd
    .arch_extension lse
    .arch_extension rcpc

    .section .rodata.twins, "a"
    .balign 8
    .global twins_start
twins_start:

.macro twin class, instruction:vararg
    .section .text.twins, "ax"
    .balign 4
.Ltwin\@:
    ld1     {v0.16b, v1.16b, v2.16b, v3.16b}, [x12]
    \instruction
    st1     {v0.16b, v1.16b, v2.16b, v3.16b}, [x13]
    ret
    .section .rodata.twin_sources, "a"
.Lsource\@:
    .ascii  "\instruction"
.Lend\@:
    .section .rodata.twins, "a"
    .quad   .Ltwin\@, .Lsource\@, .Lend\@ - .Lsource\@, \class
.endm

    .equ BYTES, 0                   // registers of bytes or words
    .equ DOUBLES, 1                 // registers of 64 bits
    .equ LSE, 2
    .equ RCPC, 4
    .equ MAYBE, 8                   // hardware may describe it

// Writeback.
twin BYTES, ldr w9, [x8], #4
twin BYTES, ldr w9, [x8, #8]!
twin BYTES, ldrb w9, [x8], #-1
twin BYTES, ldrsb x9, [x8, #3]!
twin BYTES, ldrsw x9, [x8], #12
twin BYTES, str w9, [x8], #4
twin BYTES, strb w9, [x8, #5]!
twin BYTES, ldr wzr, [x8], #4
twin BYTES, str wzr, [x8, #4]!
twin DOUBLES, ldr x9, [x8], #8
twin DOUBLES, str x9, [x8, #8]!
// Pairs.
twin BYTES, ldp w9, w10, [x8]
twin BYTES, ldp w10, w9, [x8, #8]!
twin BYTES, ldpsw x9, x10, [x8], #8
twin BYTES, ldnp w9, w10, [x8, #16]
twin BYTES, stp w9, w10, [x8, #4]
twin BYTES, stp wzr, w9, [x8], #8
twin DOUBLES, ldp x9, x10, [x8, #16]
twin DOUBLES, ldp x9, xzr, [x8]
twin DOUBLES, stp x9, x10, [x8, #16]!
twin DOUBLES, stnp x9, x10, [x8, #32]
// Vector registers as scalars.
twin BYTES, ldr b0, [x8, #1]
twin BYTES, ldr s1, [x8], #4
twin BYTES, ldur s2, [x8, #8]
twin BYTES, ldr s3, [x8, x11]
twin BYTES, str b0, [x8, #3]!
twin BYTES, str s1, [x8, #12]
twin BYTES, ldp s0, s1, [x8, #4]
twin BYTES, stp s2, s3, [x8], #16
twin DOUBLES, ldr d0, [x8]
twin DOUBLES, ldr q0, [x8]
twin DOUBLES, ldr q1, [x8, #16]!
twin DOUBLES, str d1, [x8, x11]
twin DOUBLES, str q2, [x8], #16
twin DOUBLES, ldp d0, d3, [x8]
twin DOUBLES, ldp q0, q1, [x8], #32
twin DOUBLES, stp q1, q2, [x8, #32]
// Structures.
twin BYTES, ld1 {v0.16b}, [x8]
twin BYTES, ld1 {v0.8b, v1.8b}, [x8], #16
twin BYTES, ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x8], #64
twin BYTES, ld2 {v0.16b, v1.16b}, [x8], x11
twin BYTES, ld3 {v1.2s, v2.2s, v3.2s}, [x8]
twin BYTES, ld4 {v0.16b, v1.16b, v2.16b, v3.16b}, [x8]
twin BYTES, st1 {v0.4s}, [x8]
twin BYTES, st2 {v0.8b, v1.8b}, [x8], #16
twin BYTES, st4 {v0.4s, v1.4s, v2.4s, v3.4s}, [x8]
twin BYTES, ld1 {v0.b}[5], [x8]
twin BYTES, ld1 {v0.s}[3], [x8], #4
twin BYTES, ld3 {v0.s, v1.s, v2.s}[1], [x8], x11
twin BYTES, st1 {v1.b}[9], [x8], #1
twin BYTES, st2 {v2.s, v3.s}[2], [x8]
twin BYTES, ld1r {v0.8b}, [x8]
twin BYTES, ld4r {v0.4s, v1.4s, v2.4s, v3.4s}, [x8], #16
twin DOUBLES, ld1 {v0.2d, v1.2d}, [x8]
twin DOUBLES, ld2 {v2.2d, v3.2d}, [x8], #32
twin DOUBLES, st3 {v0.2d, v1.2d, v2.2d}, [x8]
twin DOUBLES, ld1r {v3.2d}, [x8]
twin DOUBLES, st1 {v0.d}[1], [x8], #8
// Acquire and release, other forms of single registers.
twin BYTES | MAYBE, ldar w9, [x8]
twin BYTES | MAYBE, stlr w9, [x8]
twin BYTES | MAYBE, ldarb w9, [x8]
twin BYTES | MAYBE, ldr w9, [x8, w11, uxtw]
twin DOUBLES | MAYBE, ldar x9, [x8]
twin DOUBLES | MAYBE, stlr x9, [x8]
twin BYTES | RCPC | MAYBE, ldapr w9, [x8]
// Atomics.
twin BYTES | LSE, ldadd w9, w10, [x8]
twin BYTES | LSE, ldaddalb w9, w10, [x8]
twin BYTES | LSE, ldclr w9, w10, [x8]
twin BYTES | LSE, ldeora w9, w10, [x8]
twin BYTES | LSE, ldset w9, wzr, [x8]
twin BYTES | LSE, ldsmaxl w9, w10, [x8]
twin BYTES | LSE, ldsminb w9, w10, [x8]
twin BYTES | LSE, ldumax w9, w10, [x8]
twin BYTES | LSE, lduminb w9, w9, [x8]
twin BYTES | LSE, swp w9, w10, [x8]
twin BYTES | LSE, cas w9, w10, [x8]
// x10 begins as memory does.
twin BYTES | LSE, cas w10, w9, [x8]
twin BYTES | LSE, casalb w10, w9, [x8]
twin BYTES | LSE, casp w10, w11, w8, w9, [x8]
twin DOUBLES | LSE, ldadd x9, x10, [x8]
twin DOUBLES | LSE, swpal x9, x10, [x8]
twin DOUBLES | LSE, casp x10, x11, x12, x13, [x8]

    .section .rodata.twins, "a"
    .global twins_end
twins_end:

// Exclusives: x8 is the address.
    .section .text.twins, "ax"
    .global exclusive_load
exclusive_load:
    ldxr    w9, [x8]
    ret
    .global exclusive_load_byte
exclusive_load_byte:
    ldaxrb  w9, [x8]
    ret
    .global exclusive_load_pair
exclusive_load_pair:
    ldxp    w9, w10, [x8]
    ret
