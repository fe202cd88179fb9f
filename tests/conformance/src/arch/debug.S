// Self-hosted debug at EL1: what raises a debug exception when it is let in. By the rules of `probe.S`.

    .section .text.probe, "ax"

.macro read_debug name, register
    .global \name
\name:
    mrs     x9, \register
    ret
.endm
.macro write_debug name, register
    .global \name
\name:
    msr     \register, x9
    isb
    ret
.endm

.irp n, 0, 1
read_debug read_bvr\n, dbgbvr\n\()_el1
read_debug read_bcr\n, dbgbcr\n\()_el1
read_debug read_wvr\n, dbgwvr\n\()_el1
read_debug read_wcr\n, dbgwcr\n\()_el1
write_debug write_bvr\n, dbgbvr\n\()_el1
write_debug write_bcr\n, dbgbcr\n\()_el1
write_debug write_wvr\n, dbgwvr\n\()_el1
write_debug write_wcr\n, dbgwcr\n\()_el1
.endr
read_debug read_control, mdscr_el1
write_debug write_control, mdscr_el1
read_debug read_lock, oslsr_el1
write_debug write_lock, oslar_el1
read_debug read_double_lock, osdlr_el1
write_debug write_double_lock, osdlr_el1
read_debug read_channel_control, mdccint_el1
write_debug write_channel_control, mdccint_el1

// Goes to x11 with debug exceptions let in: as it is, or to step over one instruction. x0 is x9.
.macro go name, pstate_high
    .global \name
\name:
    mov     x0, x9
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    msr     elr_el1, x11
    mov     x10, #0x1c5             // EL1h; A, I and F set, D clear
    movk    x10, #\pstate_high, lsl #16
    msr     spsr_el1, x10
    isb
    eret
.endm
go go_on, 0
go go_one_step, 0x20                // SS

// What is run there. x8 is the address.
.macro target name, instruction:vararg
    .global \name
\name:
    \instruction
    nop
    nop
    msr     daifset, #8
    ret
.endm
target target_nop, nop
target target_load, ldr w9, [x8]
target target_store, str w9, [x8]
target target_pair, ldp w9, w10, [x8]
target target_hvc, hvc #0
target target_smc, smc #0
target target_id, mrs x9, id_aa64pfr0_el1
target target_debug, mrs x9, mdscr_el1
target target_wfi, wfi
target target_clean, dc civac, x8
target target_undefined, msr s3_0_c0_c4_0, x9
