// Entry of the first CPU and of CPUs started by PSCI. Both arrive at EL1 with the MMU off.

    .section .head, "ax"
    .global _start
_start:
    image_header first_cpu

first_cpu:
    mov     x20, x0                 // device tree
    clear_memory _bss_start, _stacks_end
    mov     x19, #0
    bl      set_up_cpu
    mov     x0, x20
    bl      prepare                 // page tables, with the MMU off
    bl      mmu_on
    mov     x0, x20
    bl      main_first
    b       park

// x0: context id of CPU_ON: the CPU's index in its low byte.
    .section .text.boot, "ax"
    .global secondary_entry
secondary_entry:
    mov     x20, x0
    and     x19, x20, #0xff
    cmp     x19, #8                 // MAX_CPUS: a start that should have been refused
    b.hs    park
    bl      set_up_cpu
    bl      mmu_on
    mov     x0, x20
    bl      main_secondary
    b       park

park:
    wfi
    b       park

// x19: CPU index.
set_up_cpu:
    set_up_el1
    ret

// Loads the usual translation regime and switches MMU and caches on. Clobbers x0 to x3.
mmu_on:
    adrp    x3, USUAL
    add     x3, x3, :lo12:USUAL
    ldp     x0, x1, [x3]
    msr     tcr_el1, x0
    msr     ttbr0_el1, x1
    msr     ttbr1_el1, x1
    ldr     x0, [x3, #16]
    msr     mair_el1, x0
    forget_translations
    movz    x0, #0x1805             // SCTLR_USUAL of shot.S
    movk    x0, #0x30d0, lsl #16
    msr     sctlr_el1, x0
    isb
    ret
