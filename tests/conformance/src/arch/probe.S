// Runs a piece of code that may be aborted, and the pieces.

    .section .text.probe, "ax"

// probe_run(x0: code, x1: &mut Probe). Loads x8 to x15 from the probe, calls the code, stores x8 to
// x15 and what was caught. The code keeps x19 to x30, SP and, unless it is aborted, SCTLR_EL1.
    .global probe_run
probe_run:
    stp     x29, x30, [sp, #-96]!
    mov     x29, sp
    x19_to_x28 stp
    mov     x19, x1
    mrs     x20, sctlr_el1
    mrs     x21, daif
    mrs     x22, cpacr_el1
    ldp     x8, x9, [x19]
    ldp     x10, x11, [x19, #16]
    ldp     x12, x13, [x19, #32]
    ldp     x14, x15, [x19, #48]
    mov     x16, x0
    adr     x0, 1f
    msr     daifset, #0xf
    msr     tpidrro_el0, x0
    isb
    blr     x16
    mov     x0, #0
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    mov     x4, #-1                 // no exception
    mov     x5, #0
1:  msr     tpidrro_el0, xzr
    msr     cpacr_el1, x22
    msr     sctlr_el1, x20
    isb
    stp     x8, x9, [x19]
    stp     x10, x11, [x19, #16]
    stp     x12, x13, [x19, #32]
    stp     x14, x15, [x19, #48]
    stp     x0, x1, [x19, #64]
    stp     x2, x3, [x19, #80]
    stp     x4, x5, [x19, #96]
    msr     daif, x21
    x19_to_x28 ldp
    ldp     x29, x30, [sp], #96
    ret

// The pieces: x8 is the address, x9 the datum, unless it says otherwise. The label `_at` is the
// instruction that may be aborted; without one it is the first.
.macro piece name
    .global \name
\name:
.endm

.macro call_piece name, instruction, imm
piece \name
    mov     x0, x8
    mov     x1, x9
    mov     x2, x10
    mov     x3, x11
    .global \name\()_at
\name\()_at:
    \instruction #\imm
    mov     x8, x0
    mov     x9, x1
    mov     x10, x2
    mov     x11, x3
    ret
.endm

call_piece hvc0, hvc, 0
call_piece hvc1, hvc, 1
call_piece smc0, smc, 0
call_piece smc5, smc, 5

piece load8
    ldrb    w9, [x8]
    ret
piece load8s
    ldrsb   x9, [x8]
    ret
piece load8s_w
    ldrsb   w9, [x8]
    ret
piece load16
    ldrh    w9, [x8]
    ret
piece load16s
    ldrsh   x9, [x8]
    ret
piece load16s_w
    ldrsh   w9, [x8]
    ret
piece load32
    ldr     w9, [x8]
    ret
piece load32s
    ldrsw   x9, [x8]
    ret
piece load64
    ldr     x9, [x8]
    ret
piece load32_zero_register
    ldr     wzr, [x8]
    ret
piece load_pair
    ldp     x9, x10, [x8]
    ret
// With PSTATE.PAN; assemblers do not know it for every CPU.
piece load_pair_alone
    .inst   0xd500419f              // msr pan, #1
    .global load_pair_alone_at
load_pair_alone_at:
    ldp     x9, x10, [x8]
    .inst   0xd500409f              // msr pan, #0
    ret
piece load_simd
    .arch_extension fp
    ldr     d0, [x8]
    ret
// v0 to and from x9.
piece set_v0
    fmov    d0, x9
    ret
piece get_v0
    fmov    x9, d0
    ret
// Goes on at x11 without vector registers.
piece without_vectors
    msr     cpacr_el1, xzr
    isb
    br      x11
piece load_writeback
    ldr     w9, [x8], #4
    ret
piece store8
    strb    w9, [x8]
    ret
piece store16
    strh    w9, [x8]
    ret
piece store32
    str     w9, [x8]
    ret
piece store64
    str     x9, [x8]
    ret
piece store32_zero_register
    str     wzr, [x8]
    ret
piece store_pair
    stp     x9, x10, [x8]
    ret
piece clean_line
    dc      civac, x8
    ret
piece branch
    br      x8                      // returns when there is a RET at the target
    ret

// Load with SPSel = 0: the exception goes to the vectors at +0x000.
piece load32_el1t
    msr     spsel, #0
    .global load32_el1t_at
load32_el1t_at:
    ldr     w9, [x8]
    msr     spsel, #1
    ret

// Load and store with MMU and data cache off. No memory but x8 is touched in between.
piece load32_mmu_off
    mrs     x10, sctlr_el1
    bic     x11, x10, #1
    bic     x11, x11, #4
    msr     sctlr_el1, x11
    isb
    .global load32_mmu_off_at
load32_mmu_off_at:
    ldr     w9, [x8]
    msr     sctlr_el1, x10
    isb
    ret
piece store32_mmu_off
    mrs     x10, sctlr_el1
    bic     x11, x10, #1
    bic     x11, x11, #4
    msr     sctlr_el1, x11
    isb
    .global store32_mmu_off_at
store32_mmu_off_at:
    str     w9, [x8]
    msr     sctlr_el1, x10
    isb
    ret

// Loads in AArch32 state at EL0, with the MMU off, where user code needs no map. Does not come back.
piece aarch32_load32
    mrs     x10, sctlr_el1
    bic     x11, x10, #1
    bic     x11, x11, #4
    msr     sctlr_el1, x11
    isb
    adr     x11, aarch32_load32_at
    msr     elr_el1, x11
    mov     x11, #0x1d0             // AArch32 user mode, A32, asynchronous exceptions masked
    msr     spsr_el1, x11
    isb
    eret
    .global aarch32_load32_at
aarch32_load32_at:
    .inst   0xe5989000              // A32: ldr r9, [r8]
    .inst   0xeafffffe              // A32: b .

// Loads in AArch32 state at EL0, with the MMU off, and back with SVC. A32, and T32 in an IT block.
.macro aarch32_piece name, pstate_low, pstate_high
piece \name
    mrs     x10, sctlr_el1
    bic     x11, x10, #1
    bic     x11, x11, #4
    msr     sctlr_el1, x11
    isb
    adr     x11, \name\()_at
    msr     elr_el1, x11
    mov     x11, #\pstate_low
    movk    x11, #\pstate_high, lsl #16
    msr     spsr_el1, x11
    isb
    eret
    .balign 4
    .global \name\()_at
\name\()_at:
.endm
aarch32_piece a32_loads, 0x1d0, 0
    .inst   0xe5989000              // ldr   r9, [r8]
    .inst   0xe5d8a001              // ldrb  r10, [r8, #1]
    .inst   0xef000000              // svc   #0
aarch32_piece t32_loads, 0x1f0, 0x4000 // Z is set
    .hword  0x4640                  // mov   r0, r8
    .hword  0xbf0c                  // ite   eq
    .hword  0x6801                  // ldreq r1, [r0]
    .hword  0x2100                  // movne r1, #0
    .hword  0x4689                  // mov   r9, r1
    .hword  0xf898, 0xa001          // ldrb.w r10, [r8, #1]
    .hword  0xdf00                  // svc   #0
    .balign 4

// Big-endian store and load, with the MMU off: SCTLR_EL1.EE rules table walks as well.
piece store32_big_endian
    mrs     x10, sctlr_el1
    orr     x11, x10, #(1 << 25)    // SCTLR_EL1.EE
    bic     x11, x11, #1
    bic     x11, x11, #4
    msr     sctlr_el1, x11
    isb
    .global store32_big_endian_at
store32_big_endian_at:
    str     w9, [x8]
    msr     sctlr_el1, x10
    isb
    ret
piece load32_big_endian
    mrs     x10, sctlr_el1
    orr     x11, x10, #(1 << 25)
    bic     x11, x11, #1
    bic     x11, x11, #4
    msr     sctlr_el1, x11
    isb
    .global load32_big_endian_at
load32_big_endian_at:
    ldr     w9, [x8]
    msr     sctlr_el1, x10
    isb
    ret

// System registers that a host may hide, by encoding: assemblers do not know them all.
.macro read_piece name, register
piece \name
    mrs     x9, \register
    ret
.endm
.macro write_piece name, register
piece \name
    msr     \register, x9
    ret
.endm

read_piece read_pmcr, s3_3_c9_c12_0
write_piece write_pmcr, s3_3_c9_c12_0
read_piece read_pmccntr, s3_3_c9_c13_0
read_piece read_pmcntenset, s3_3_c9_c12_1
read_piece read_pmintenset, s3_0_c9_c14_1
read_piece read_mdscr, s2_0_c0_c2_2
write_piece write_mdscr, s2_0_c0_c2_2
read_piece read_dbgbvr0, s2_0_c0_c0_4
read_piece read_dbgwcr0, s2_0_c0_c0_7
read_piece read_oslsr, s2_0_c1_c1_4
write_piece write_oslar, s2_0_c1_c0_4
read_piece read_mdrar, s2_0_c1_c0_0
read_piece read_pmscr, s3_0_c9_c9_0
read_piece read_trblimitr, s3_0_c9_c11_0
read_piece read_trcoslsr, s2_1_c1_c1_4
read_piece read_amcr, s3_3_c13_c2_0
write_piece write_id, s3_0_c0_c4_0
read_piece read_sctlr2, s3_0_c1_c0_3
write_piece write_sctlr2, s3_0_c1_c0_3
piece clean_set_way
    dc      isw, xzr
    ret

// Goes to EL0 at x12, which ends in SVC or in the abort under test.
piece user
    msr     elr_el1, x12
    mov     x13, #0x3c0             // EL0t, DAIF set
    msr     spsr_el1, x13
    eret

// What runs at EL0: these sit in a page of their own, seen through the user window.
    .balign 4096
    .global user_page
user_page:
piece user_load32
    ldr     w9, [x8]
    svc     #0
piece user_store32
    str     w9, [x8]
    svc     #0
piece user_load_pair
    ldp     x9, x10, [x8]
    svc     #0
piece user_branch
    br      x8
    .balign 4096
