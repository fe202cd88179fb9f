// Entry of every CPU, up to the first Rust function.
//
// Runs wherever the image was loaded, with the MMU off or with a flat map, so that only
// PC-relative addresses are used before the jump to the linked address. Builds the first map:
// the image at its linked address with the final permissions, and this one page at its physical
// address, which serves the moment of switching the MMU and is dropped right after.
//
// No exclusives and no call into Rust before the MMU is on: exclusives on Device memory, which
// is what all memory is without the MMU, need not work (Arm ARM, B2.9 "Synchronization and
// semaphores").
//
// Registers kept: x19 tree, x20 entry kind (see boot.rs), x21 load address, x22 CPU index.

// Descriptor bits, VMSAv8-64 level 3 (Arm ARM, D8.3): page, AF, inner shareable, AP[1] (RES1 at
// EL2), MAIR index 0; AP[2] is read-only, bit 54 execute-never.
.equ PAGE_TEXT,    0x7c3
.equ PAGE_RODATA,  0x7c3
.equ PAGE_DATA,    0x743
.equ TABLE,        3

// MAIR: 0 Normal write-back, 1 Device-nGnRE, 2 Normal non-cacheable.
.equ MAIR_VALUE,   0x4404ff

// 48-bit VA, 4 KiB granule, write-back inner-shareable walks; bits 31 and 23 are RES1.
.equ TCR_EL2_VALUE, 0x80803510
// The layout of EL1, also of EL2 with E2H: as above, TTBR1 walks off (EPD1), TG1 4 KiB.
.equ TCR_EL1_VALUE, 0x80903510

// RES1 bits of SCTLR_EL2 (E2H = 0) and SCTLR_EL1; M, C, SA, I, WXN on top.
.equ SCTLR_EL2_OFF, 0x30c50830
.equ SCTLR_EL1_OFF, 0x30d00800
.equ SCTLR_ON,      0x8100d

.equ KIND_EL2,  0
.equ KIND_EL1,  1
.equ KIND_E2H,  2

// Writes a part of the table of registers (hyp_core::entry_registers, see boot.rs). No BL: with a guarded
// control stack left on, BL and RET use memory. Corrupts x1, x5.
.macro settle part
    adr     x5, 8f
    b       settle_\part
8:
.endm
.macro settle_first_at_el2
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.ne    9f
    settle  first
9:
.endm

.section .text.head, "ax"
.global head
head:
    // arm64 Image header (Linux, Documentation/arch/arm64/booting.rst). Its first two bytes are
    // "MZ" for EFI firmware, which goes on at the PE header; as an instruction they only change
    // the flags.
    ccmp    x18, #0, #13, pl
    b       boot_entry
    .quad   0                       // text_offset: at a 2 MiB boundary
    .quad   image_size              // memory taken, not file size
    .quad   0xa                     // little endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   pe_header - head

// Room for the PE header, which xtask writes (build/efi.rs).
pe_header:
    .skip   512 - 64

boot_entry:
    msr     daifset, #15
    mov     x19, x0
    mov     x22, #0
    settle_first_at_el2
    adr     x21, head
    mov     x0, #{HALT_UNALIGNED}
    tst     x21, #0xfff
    b.ne    park                    // not loaded as the header asks
    mov     x0, #{HALT_TOO_HIGH}
    lsr     x1, x21, #47
    cbnz    x1, park                // the flat page would meet the image's address

    // Firmware may have left dirty lines over what the file holds, which is about to be read and
    // fetched past the caches, and over the tables, which are about to be written past them. What
    // else is zero-filled is only ever used with the caches on, whatever they hold of it.
    adrp    x0, image_start
    adrp    x1, rodata_end
    bl      clean_invalidate
    adrp    x0, boot_tables
    adrp    x1, boot_tables_end
    bl      clean_invalidate

    bl      leave_mmu               // x20 = entry kind
    bl      build_tables
    bl      enter_mmu
    ldr     x0, =boot_high
    br      x0

// A CPU from a spin table lands here as one from PSCI does below, but nobody tells it its index: it
// looks for its affinity in the list that the boot CPU has written for it (boot.rs).
.global spin_entry
spin_entry:
    mrs     x1, mpidr_el1
    ldr     x2, ={AFFINITY}
    and     x1, x1, x2
    orr     x1, x1, #{LISTED}
    adrp    x2, {spin_list}
    add     x2, x2, :lo12:{spin_list}
    mov     x0, #0
1:  add     x0, x0, #1
    cmp     x0, #{MAX_CPUS}
    b.hs    2f
    ldr     x3, [x2, x0, lsl #3]
    cmp     x3, x1
    b.ne    1b
    b       secondary_entry
2:  mov     x0, #{HALT_UNLISTED}
    b       park

// PSCI CPU_ON lands here, MMU off, at EL2; x0 = index of this CPU.
.global secondary_entry
secondary_entry:
    msr     daifset, #15
    mov     x22, x0
    settle_first_at_el2
    adr     x21, head
    bl      leave_mmu
    mov     x0, #{HALT_NOT_EL2}
    cbnz    x20, park               // not at EL2 like the boot CPU
    bl      enter_mmu
    ldr     x0, =secondary_high
    br      x0

// Nothing can be said: there is no console, or not yet. x0 tells a debugger why (`Halt` in boot.rs),
// x19 the tree, x21 where the image lies.
.global park
park:
    wfe
    b       park

// Cleans and invalidates [x0, x1) to the point of coherency. Corrupts x0, x2, x3.
clean_invalidate:
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4         // DminLine: log2 of words
    mov     x3, #4
    lsl     x2, x3, x2
    sub     x3, x1, x2, lsl #3      // up to here there are eight lines more
1:  cmp     x0, x3
    b.hi    2f
    .rept 8
    dc      civac, x0
    add     x0, x0, x2
    .endr
    b       1b
2:  cmp     x0, x1
    b.hs    3f
    dc      civac, x0
    add     x0, x0, x2
    b       2b
3:  dsb     sy
    ret

// Turns translation off at whatever level this is and settles the regime. Sets x20.
leave_mmu:
    mov     x0, #{HALT_EL3}
    mrs     x1, CurrentEL
    ubfx    x1, x1, #2, #2
    cmp     x1, #2
    b.hi    park                    // EL3: no firmware below us, so no PSCI either
    b.lo    1f

    // No data is read before the byte order is known (SCTLR_ELx.EE). No instruction is fetched ahead by a
    // map that goes away (Falkor, erratum E1041).
    mov     x1, #(SCTLR_EL2_OFF & 0xffff)
    movk    x1, #(SCTLR_EL2_OFF >> 16), lsl #16
    isb
    msr     sctlr_el2, x1
    isb
    mov     x1, #(1 << 31)          // RW: EL1 is AArch64. E2H, TGE and all else off.
    msr     hcr_el2, x1
    isb
    settle  mmu
    mov     x20, #KIND_E2H          // the CPU has no E2H = 0 (FEAT_E2H0 absent)
    mrs     x1, hcr_el2
    tbnz    x1, #34, 2f             // E2H
    settle  rest
    mov     x20, #KIND_EL2
    b       2f

1:  mov     x1, #(SCTLR_EL1_OFF & 0xffff)
    movk    x1, #(SCTLR_EL1_OFF >> 16), lsl #16
    msr     sctlr_el1, x1
    isb
    mov     x20, #KIND_EL1
2:  msr     spsel, #1
    // What was fetched so far may be older than what lies in memory.
    ic      iallu
    dsb     nsh
    isb
    ret

// Maps [x0, x1) (physical, in the image) with attributes x2 into the image's level-3 table.
// Corrupts x0, x3, x4.
map_image:
    adrp    x3, boot_image_l3
    sub     x4, x0, x21             // offset in the image
    lsr     x4, x4, #12
    add     x3, x3, x4, lsl #3
1:  cmp     x0, x1
    b.hs    2f
    orr     x4, x0, x2
    str     x4, [x3], #8
    add     x0, x0, #4096
    b       1b
2:  ret

build_tables:
    mov     x5, x30
    adrp    x0, boot_tables
    adrp    x1, boot_tables_end
1:  .rept 8
    stp     xzr, xzr, [x0], #16
    .endr
    cmp     x0, x1
    b.lo    1b

    // Both roots -> level 1 of EL2's half -> the image.
    adrp    x0, boot_root
    adrp    x1, boot_flat_root
    adrp    x2, boot_l1
    add     x3, x2, #TABLE
    str     x3, [x0, #(256 * 8)]
    str     x3, [x1, #(256 * 8)]
    adrp    x3, boot_image_l2
    add     x4, x3, #TABLE
    str     x4, [x2]
    adrp    x4, boot_image_l3
    add     x4, x4, #TABLE
    str     x4, [x3]

    mov     x6, #(1 << 54)          // execute-never
    mov     x2, #PAGE_TEXT
    mov     x0, x21
    adrp    x1, text_end
    bl      map_image
    mov     x2, #PAGE_RODATA
    orr     x2, x2, x6
    adrp    x0, text_end
    adrp    x1, rodata_end
    bl      map_image
    mov     x2, #PAGE_DATA
    orr     x2, x2, x6
    adrp    x0, rodata_end
    adrp    x1, image_end
    bl      map_image

    // The flat page.
    ubfx    x0, x21, #39, #9
    adrp    x1, boot_flat_root
    adrp    x2, boot_flat_l1
    add     x3, x2, #TABLE
    str     x3, [x1, x0, lsl #3]
    ubfx    x0, x21, #30, #9
    adrp    x3, boot_flat_l2
    add     x4, x3, #TABLE
    str     x4, [x2, x0, lsl #3]
    ubfx    x0, x21, #21, #9
    adrp    x2, boot_flat_l3
    add     x4, x2, #TABLE
    str     x4, [x3, x0, lsl #3]
    ubfx    x0, x21, #12, #9
    mov     x4, #PAGE_TEXT
    orr     x4, x4, x21
    str     x4, [x2, x0, lsl #3]

    // Stores with the MMU off went to memory; drop lines that may shadow them for the walker.
    adrp    x0, boot_tables
    adrp    x1, boot_tables_end
    bl      clean_invalidate
    ret     x5

// Turns the MMU and the caches on over the flat root, then leaves x23 = final root.
enter_mmu:
    adrp    x1, boot_flat_root
    adrp    x23, boot_root
    ldr     x2, =MAIR_VALUE
    mrs     x3, id_aa64mmfr0_el1
    and     x3, x3, #0xf            // PARange
    cmp     x3, #5                  // at most 48 bits: no LPA2
    mov     x4, #5
    csel    x3, x4, x3, hi
    cmp     x20, #KIND_EL1
    b.eq    1f

    ldr     x4, =TCR_EL2_VALUE
    orr     x4, x4, x3, lsl #16     // PS
    ldr     x5, =TCR_EL1_VALUE
    orr     x5, x5, x3, lsl #32     // IPS
    cmp     x20, #KIND_E2H
    csel    x4, x5, x4, eq
    msr     mair_el2, x2
    msr     tcr_el2, x4
    msr     ttbr0_el2, x1
    isb
    tlbi    alle2
    dsb     nsh
    isb
    ldr     x4, =(SCTLR_EL2_OFF + SCTLR_ON)
    msr     sctlr_el2, x4
    isb
    ret

1:  ldr     x4, =TCR_EL1_VALUE
    orr     x4, x4, x3, lsl #32
    msr     mair_el1, x2
    msr     tcr_el1, x4
    msr     ttbr0_el1, x1
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    ldr     x4, =(SCTLR_EL1_OFF + SCTLR_ON)
    msr     sctlr_el1, x4
    isb
    ret

.ltorg
// From here on the code runs at its linked address.
.section .text.boot_high, "ax"

// Drops the flat page: both roots share everything else, so no entry of the TLB disagrees.
.macro drop_flat_page
    msr     ttbr0_el2, x23
    isb
    tlbi    alle2
    dsb     nsh
    isb
.endm

// Stack of CPU x22; leaves x1 = its slot (percpu.rs), which becomes TPIDR_EL2.
.macro set_stack
    adrp    x1, stacks_start
    add     x1, x1, x22, lsl #16
    add     x0, x1, #({MAIN_TOP} - 0x1000)
    add     x0, x0, #0x1000
    mov     sp, x0
.endm

boot_high:
    cmp     x20, #KIND_EL2
    b.ne    2f
    drop_flat_page
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el2, x0
    isb
2:  adrp    x0, bss_start
    add     x0, x0, :lo12:bss_start
    adrp    x1, bss_end
    add     x1, x1, :lo12:bss_end
    mrs     x2, dczid_el0
    and     x2, x2, #0x1f           // DZP, and log2 of the words that DC ZVA zeroes
    cmp     x2, #4
    b.ne    4f
3:  .rept 8
    dc      zva, x0
    add     x0, x0, #64
    .endr
    cmp     x0, x1
    b.lo    3b                      // the linker script rounds up to whole rounds
4:  cmp     x0, x1
    b.hs    6f
    stp     xzr, xzr, [x0], #16
    b       4b
6:  adrp    x0, data_start
    add     x0, x0, :lo12:data_start
    adrp    x1, data_end
    add     x1, x1, :lo12:data_end
    adrp    x2, data_image
    add     x2, x2, :lo12:data_image
7:  cmp     x0, x1                  // the linker script rounds up to whole steps
    b.hs    8f
    ldp     x3, x4, [x2], #16
    stp     x3, x4, [x0], #16
    b       7b
8:  set_stack
    cmp     x20, #KIND_EL1
    b.eq    5f
    msr     tpidr_el2, x1
5:  mov     x0, x19
    mov     x1, x21
    mov     x2, x20
    bl      {boot_main}
    b       park

secondary_high:
    drop_flat_page
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el2, x0
    isb
    set_stack
    msr     tpidr_el2, x1
    mov     x0, x22
    bl      {secondary_main}
    b       park

.section .boot_tables, "aw", %nobits
.balign 4096
boot_tables:
.global boot_root
boot_root:          .skip 4096
boot_l1:            .skip 4096
boot_image_l2:      .skip 4096
boot_image_l3:      .skip 4096
boot_flat_root:     .skip 4096
boot_flat_l1:       .skip 4096
boot_flat_l2:       .skip 4096
boot_flat_l3:       .skip 4096
boot_tables_end:
