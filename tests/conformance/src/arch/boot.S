// Entry of the first CPU and of CPUs started by PSCI. Both arrive at EL1 with the MMU off.

// x1 := x1 | ... | x30, which has to be 0: nothing of the host may be left in a fresh CPU.
.macro gather_registers
    .irp n, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    orr     x1, x1, x\n
    .endr
.endm

    .section .head, "ax"
    .global _start
_start:
    image_header first_cpu

first_cpu:
    gather_registers
    mov     x20, x0                 // device tree
    mov     x21, x1                 // what was left in the registers
    relocate park

    // Only RAM that the linker script names is used, and only this CPU runs.
    clear_memory _bss_start, _stacks_end
    mrs     x0, CurrentEL
    cmp     x0, #(1 << 2)
    b.ne    wrong_level

    mov     x19, #0                 // CPU index
    bl      set_up_cpu
    mov     x0, x20
    bl      prepare                 // page tables, with the MMU off
    bl      mmu_on
    mov     x0, x20
    mov     x1, x21
    bl      main_first
    b       park

// x0: context id of CPU_ON = CPU index, with a mark above it that proves all bits arrive.
    .section .text.boot, "ax"
    .global secondary_entry
secondary_entry:
    gather_registers
    mov     x20, x0
    mov     x21, x1
    mrs     x22, sctlr_el1
    mrs     x23, daif
    mrs     x24, spsel
    orr     x23, x23, x24
    bl      check_el1
    and     x19, x20, #0xff
    cmp     x19, #8                 // MAX_CPUS: a start that should have been refused
    b.hs    park
    bl      set_up_cpu
    bl      mmu_on
    mov     x0, x20
    mov     x1, x21
    mov     x2, x22
    mov     x3, x23
    bl      main_secondary
    b       park

// No exception, no MMU and no call to anybody: just a word on the console.
wrong_level:
    adrp    x0, _stacks_end
    mov     sp, x0
    mov     x29, #0
    mov     x0, x20
    mrs     x1, CurrentEL
    lsr     x1, x1, #2
    bl      started_elsewhere

park:
    wfi
    b       park

check_el1:
    mrs     x0, CurrentEL
    cmp     x0, #(1 << 2)
    b.ne    park
    ret

// x19: CPU index. Stack, vectors, index register; FP and SIMD stay usable by tests.
set_up_cpu:
    msr     tpidr_el1, x19
    set_up_el1
    ret

// Loads the translation regime and switches MMU and caches on. Clobbers x0 to x3.
mmu_on:
    // MAIR: 0 Device-nGnRE, 1 Normal write-back, 2 Normal non-cacheable, 3 Device-nGnRnE.
    movz    x0, #0xff04
    movk    x0, #0x0044, lsl #16
    msr     mair_el1, x0
    // TCR: 48-bit VA in TTBR0 (T0SZ 16), write-back inner shareable walks, no TTBR1 (EPD1).
    movz    x0, #0x3510
    movk    x0, #0x0080, lsl #16
    mrs     x1, id_aa64mmfr0_el1
    and     x1, x1, #0x7            // PARange, at most 6 here
    orr     x0, x0, x1, lsl #32     // IPS
    msr     tcr_el1, x0
    adrp    x0, TABLES
    add     x0, x0, :lo12:TABLES
    msr     ttbr0_el1, x0
    forget_translations
    mrs     x0, sctlr_el1
    movz    x1, #0x1005             // I, C, M
    movk    x1, #0x0080, lsl #16    // SPAN: taking an exception leaves PAN alone
    orr     x0, x0, x1
    bic     x0, x0, #2              // no alignment check
    msr     sctlr_el1, x0
    isb
    ret
