// What the entry code, the vectors and the probes of the test guests have in common. Each piece of
// assembly that needs it names this file first; it may do so more than once in an object.
    .ifndef GUEST_MACROS
    .set    GUEST_MACROS, 1

// The header of an arm64 Image (Linux, Documentation/arch/arm64/booting.rst), which goes on at `first`.
.macro image_header first
    b       \first
    .long   0
    .quad   0                       // text offset: at the 2 MiB boundary itself
    .quad   _image_size
    .quad   0b0010                  // little endian, 4 KiB pages, near the base of RAM
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0
.endm

// Adds to each pointer in the image how far the image lies from where it was linked, a multiple of
// 4 KiB. The MMU is off and nothing was used. Clobbers x0 to x6; goes to `failed` at a relocation of
// another kind.
.macro relocate failed
    adrp    x0, _image_start
    movz    x1, #0x4020, lsl #16    // PAYLOAD_BASE of linker/guest.ld
    sub     x1, x0, x1
    adrp    x2, _rela_start
    add     x2, x2, :lo12:_rela_start
    adrp    x3, _rela_end
    add     x3, x3, :lo12:_rela_end
7011:
    cmp     x2, x3
    b.hs    7012f
    ldp     x4, x5, [x2], #16       // Elf64_Rela: r_offset, r_info
    ldr     x6, [x2], #8            // r_addend
    cmp     x5, #1027               // R_AARCH64_RELATIVE (ELF for the Arm 64-bit Architecture)
    b.ne    \failed
    add     x6, x6, x1
    str     x6, [x4, x1]
    b       7011b
7012:
    drop_stale_lines _image_start, _file_end
.endm

// Drops lines from `from` to `to`, past which stores went that were made with the MMU off. Clobbers x0
// and x1.
.macro drop_stale_lines from, to
    adrp    x0, \from
    adrp    x1, \to
7002:
    dc      ivac, x0
    add     x0, x0, #16
    cmp     x0, x1
    b.lo    7002b
    dsb     sy
.endm

// Zeroes memory from `from` to `to`, of which the MMU is off and nothing was used. Clobbers x0 and x1.
.macro clear_memory from, to
    adrp    x0, \from
    adrp    x1, \to
7001:
    stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    7001b
    drop_stale_lines \from, \to
.endm

// x19: CPU index. Stack and vectors; FP and SIMD stay usable. Clobbers x0 and x1.
.macro set_up_el1
    msr     spsel, #1
    adrp    x0, _stacks_start
    add     x1, x19, #1
    lsl     x1, x1, #15             // STACK_SIZE of linker/guest.ld
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
.endm

// Nothing of the translation regime before is left, neither data nor instructions.
.macro forget_translations
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     sy
    isb
.endm

// `op`, LDP or STP, of x2 to x17 where x0 to x30 lie one after the other from `base` on.
.macro x2_to_x17 op, base
    \op     x2, x3, [\base, #16]
    \op     x4, x5, [\base, #32]
    \op     x6, x7, [\base, #48]
    \op     x8, x9, [\base, #64]
    \op     x10, x11, [\base, #80]
    \op     x12, x13, [\base, #96]
    \op     x14, x15, [\base, #112]
    \op     x16, x17, [\base, #128]
.endm

// The same of x18 to x29.
.macro x18_to_x29 op, base
    \op     x18, x19, [\base, #144]
    \op     x20, x21, [\base, #160]
    \op     x22, x23, [\base, #176]
    \op     x24, x25, [\base, #192]
    \op     x26, x27, [\base, #208]
    \op     x28, x29, [\base, #224]
.endm

// `op` of the registers that a function keeps, x29 and x30 apart, in its frame.
.macro x19_to_x28 op
    \op     x19, x20, [sp, #16]
    \op     x21, x22, [sp, #32]
    \op     x23, x24, [sp, #48]
    \op     x25, x26, [sp, #64]
    \op     x27, x28, [sp, #80]
.endm
    .endif
