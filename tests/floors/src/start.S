// What both floors share: from reset to the guest, on QEMU's machine `virt` with GICv3 at fixed
// addresses, the MMU of EL2 off. TPIDR_EL2 holds this CPU's bit in a target list, SP_EL2 its stack.

    .equ GUEST, 0x40200000
    .equ TREE, 0x40000000           // where QEMU puts it for an ELF kernel
    .equ GICD, 0x08000000
    .equ GICR, 0x080a0000
    // RW, TSC, TID3, IMO, FMO, VM (Arm ARM, HCR_EL2).
    .equ HCR, (1 << 31) | (1 << 19) | (1 << 18) | (1 << 4) | (1 << 3) | 1
    // 40-bit PA, 4 KiB, inner shareable, write-back walks, start at level 1, 39-bit IPA.
    .equ VTCR, (1 << 31) | (2 << 16) | (3 << 12) | (1 << 10) | (1 << 8) | (1 << 6) | 25
    .equ EL1_RESET, 0x30d00800      // SCTLR_EL1: RES1 bits
    .equ EL1H_MASKED, 0x3c5
    // List registers: pending, group 1, priority 0xa0; HW.
    .equ LR_SOFTWARE, 0x50a0
    .equ LR_HARDWARE, 0x70a0
    .equ VTIMER, 27
    // Syndromes: HVC #0 and SMC #0 of AArch64 with IL.
    .equ ESR_HVC, 0x5a000000
    .equ ESR_SMC, 0x5e000000
    .equ EC_SYSREG, 0x18
    .equ EC_DATA_ABORT, 0x24
    // ISS of an MSR to ICC_SGI1R_EL1 and of an MRS of ID_AA64MMFR0_EL1, Rt left out.
    .equ ISS_SGI1R, 0x3a3016
    .equ ISS_MMFR0, 0x30000f
    .equ ISS_RT, 0x1f << 5
    .equ ABORT_ESR, 0x96000010      // data abort from the same EL, synchronous external
    // Answers.
    .equ PSCI_1_1, 0x10001
    .equ SMCCC_1_1, 0x10001
    .equ GICD_TYPER_VALUE, 0x37a0003
    .equ GICR_TYPER_VALUE, 0x10

.macro set reg, value
    movz    \reg, #((\value) & 0xffff)
    .if ((\value) >> 16) & 0xffff
    movk    \reg, #(((\value) >> 16) & 0xffff), lsl #16
    .endif
.endm

    .section .text.head, "ax"
    .global _start
_start:
    ldr     x0, =stacks_end
    mov     sp, x0
    mov     x20, #1
    bl      set_up_cpu
    ldr     x0, =GICD
    mov     w1, #0x12               // affinity routing, group 1
    str     w1, [x0]
    ldr     x0, =GICR
    bl      set_up_redistributor
    // The other CPU, if there is one.
    ldr     x0, =0xc4000003         // PSCI CPU_ON
    mov     x1, #1
    ldr     x2, =other_cpu
    smc     #0
    ldr     x0, =TREE
    ldr     x2, =GUEST
    b       enter_guest

other_cpu:
    ldr     x0, =stacks_end - 4096
    mov     sp, x0
    mov     x20, #2
    bl      set_up_cpu
    ldr     x0, =GICR + 0x20000
    bl      set_up_redistributor
parked:
    ldr     x1, =mailbox
1:  wfe
    ldr     w2, [x1, #16]
    cbz     w2, 1b
    ldp     x2, x0, [x1]
    // x0 context, x2 entry: EL1 as after reset, registers zero.
enter_guest:
    ldr     x1, =EL1_RESET
    msr     sctlr_el1, x1
    msr     elr_el2, x2
    mov     x1, #EL1H_MASKED
    msr     spsr_el2, x1
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    mov     x\n, #0
    .endr
    eret

set_up_cpu:                         // x20: this CPU's bit
    msr     tpidr_el2, x20
    ldr     x0, =vectors
    msr     vbar_el2, x0
    ldr     x0, =HCR
    msr     hcr_el2, x0
    ldr     x0, =VTCR
    msr     vtcr_el2, x0
    ldr     x0, =level_1
    msr     vttbr_el2, x0
    mov     x0, #0x33ff             // no trap of FP
    msr     cptr_el2, x0
    mov     x0, #3                  // counters and timers belong to EL1
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mov     x0, #0xf
    msr     icc_sre_el2, x0
    isb
    mov     x0, #1
    msr     icc_sre_el1, x0
    isb
    msr     ich_hcr_el2, x0
    mov     x1, #0xff
    msr     icc_pmr_el1, x1
    mov     x1, #2                  // EOImode: drop and deactivation apart
    msr     icc_ctlr_el1, x1
    msr     icc_igrpen1_el1, x0
    tlbi    vmalls12e1
    dsb     sy
    isb
    ret

set_up_redistributor:               // x0
    str     wzr, [x0, #0x14]        // WAKER
    add     x0, x0, #0x10, lsl #12
    mov     w1, #-1
    str     w1, [x0, #0x80]         // IGROUPR0
    ldr     w1, =(1 << VTIMER) | 1
    str     w1, [x0, #0x100]        // ISENABLER0
    ret
    .ltorg

    // Stage 2: RAM, and the console's 2 MiB. All else is a fault.
    .section .tables, "aw"
    .balign 4096
level_1:
    .quad   level_2 + 3
    .quad   0x40000000 + 0x7fd      // block, Normal, read-write
    .fill   510, 8, 0
level_2:
    .fill   72, 8, 0
    .quad   0x09000000 + 0x4c5      // block, Device, read-write
    .fill   439, 8, 0

    .section .data, "aw"
    .balign 16
mailbox:                            // of CPU 1
    .quad   0                       // entry
    .quad   0                       // context
    .word   0                       // on
    .balign 16
waiting_sgis:                       // for CPU 1, a bit each
    .word   0
