// Entry of the first CPU and of CPUs started by PSCI. Both arrive at EL1 with the MMU off.

    .equ STACK_SHIFT, 15            // log2 of STACK_SIZE in linker/guest.ld

    .section .head, "ax"
    .global _start
_start:
    // arm64 Image header (Linux, Documentation/arch/arm64/booting.rst).
    b       first_cpu
    .long   0
    .quad   0                       // text offset: at the 2 MiB boundary itself
    .quad   _image_size
    .quad   0b0010                  // little endian, 4 KiB pages, near the base of RAM
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0

first_cpu:
    mov     x20, x0                 // device tree
    adrp    x0, _bss_start
    adrp    x1, _stacks_end
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b
    // With the MMU off the stores went past the caches: drop stale lines over them.
    adrp    x0, _bss_start
2:  dc      ivac, x0
    add     x0, x0, #16
    cmp     x0, x1
    b.lo    2b
    dsb     sy
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
    msr     spsel, #1
    adrp    x0, _stacks_start
    add     x1, x19, #1
    lsl     x1, x1, #STACK_SHIFT
    add     x0, x0, x1
    mov     sp, x0
    msr     tpidrro_el0, xzr
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el1, x0
    mov     x0, #(3 << 20)          // CPACR_EL1.FPEN
    msr     cpacr_el1, x0
    mov     x29, #0
    isb
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
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     sy
    isb
    movz    x0, #0x1805             // SCTLR_USUAL of shot.S
    movk    x0, #0x30d0, lsl #16
    msr     sctlr_el1, x0
    isb
    ret
