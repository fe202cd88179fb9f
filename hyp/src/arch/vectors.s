// EL2's exception vectors (Arm ARM, D1.3.2: 16 entries of 0x80 bytes).
//
// While a guest runs, SP_EL2 points to its vCPU's register frame (context.rs: x0 to x30, then the
// top of this CPU's stack), and the word at that top points back to the frame.
// So an entry needs no scratch register. Nothing at EL2 unmasks interrupts and nothing nests.
//
// The short lane keeps x19 to x28 in place: the handlers preserve them by the procedure call
// standard. The medium lane does so unless the trapped instruction moves one of them.

.macro save_caller_saved
    stp     x0, x1, [sp, #(8 * 0)]
    stp     x2, x3, [sp, #(8 * 2)]
    stp     x4, x5, [sp, #(8 * 4)]
    stp     x6, x7, [sp, #(8 * 6)]
    stp     x8, x9, [sp, #(8 * 8)]
    stp     x10, x11, [sp, #(8 * 10)]
    stp     x12, x13, [sp, #(8 * 12)]
    stp     x14, x15, [sp, #(8 * 14)]
    stp     x16, x17, [sp, #(8 * 16)]
    str     x18, [sp, #(8 * 18)]
    stp     x29, x30, [sp, #(8 * 29)]
.endm

.macro save_callee_saved
    stp     x19, x20, [sp, #(8 * 19)]
    stp     x21, x22, [sp, #(8 * 21)]
    stp     x23, x24, [sp, #(8 * 23)]
    stp     x25, x26, [sp, #(8 * 25)]
    stp     x27, x28, [sp, #(8 * 27)]
.endm

// Leaves x0 = frame and this CPU's stack in sp.
.macro to_stack
    mov     x0, sp
    ldr     x2, [sp, #(8 * 31)]
    mov     sp, x2
.endm

.section .text.vectors, "ax"
.balign 2048
.global vectors
vectors:
// From EL2 itself, or what cannot be: always fatal. x0 is stashed in SP_EL0, which is lost with the guest.
.macro fatal_entry kind
    .balign 128
    msr     sp_el0, x0
    mov     x0, #\kind
    b       fatal
.endm
// Behind each is room for 29 instructions, which is where the rest of all entries is.
    fatal_entry 0

// x1 = ESR_EL2. An access that the hardware describes, of a load, a store or a system register,
// needs one register of the guest: the medium lane saves x19 to x28 only if it is among them. Its
// handlers return nonzero, with nothing done, for what needs more.
other_sync:
    lsr     w2, w1, #24             // EC, IL and, of a data abort, ISV
    adr     x3, {trap_access}
    ubfx    w4, w1, #16, #5
    cmp     w2, #(0x24 << 2 | 3)
    b.eq    medium_lane
    adr     x3, {trap_register}
    ubfx    w4, w1, #5, #5
    cmp     w2, #(0x18 << 2 | 2)
    b.eq    medium_lane
    adr     x3, {trap_sync}
    b       long_lane
medium_lane:                        // w4 = the register
    sub     w4, w4, #19
    cmp     w4, #(28 - 19)
    b.ls    medium_lane_saving
    to_stack
    blr     x3
    ldr     x1, [sp]
    mov     sp, x1
    cbz     x0, restore
start_over:
    mrs     x1, esr_el2
    adr     x3, {trap_sync}
    b       long_lane

    fatal_entry 1

medium_lane_saving:
    save_callee_saved
    to_stack
    blr     x3
    ldr     x1, [sp]
    mov     sp, x1
    cbz     x0, enter_frame
    b       start_over

    fatal_entry 2

// x1 = ESR_EL2, x3 = handler.
long_lane:
    save_callee_saved
    to_stack
    blr     x3
    ldr     x0, [sp]
    mov     sp, x0
// sp = frame.
.global enter_frame
enter_frame:
    ldp     x19, x20, [sp, #(8 * 19)]
    ldp     x21, x22, [sp, #(8 * 21)]
    ldp     x23, x24, [sp, #(8 * 23)]
    ldp     x25, x26, [sp, #(8 * 25)]
    ldp     x27, x28, [sp, #(8 * 27)]
    b       restore

    fatal_entry 3

leave:
    ldr     x0, [sp]
    mov     sp, x0
restore:
    ldp     x2, x3, [sp, #(8 * 2)]
    ldp     x4, x5, [sp, #(8 * 4)]
    ldp     x6, x7, [sp, #(8 * 6)]
    ldp     x8, x9, [sp, #(8 * 8)]
    ldp     x10, x11, [sp, #(8 * 10)]
    ldp     x12, x13, [sp, #(8 * 12)]
    ldp     x14, x15, [sp, #(8 * 14)]
    ldp     x16, x17, [sp, #(8 * 16)]
    ldr     x18, [sp, #(8 * 18)]
    ldp     x29, x30, [sp, #(8 * 29)]
    ldp     x0, x1, [sp, #(8 * 0)]
    eret
    // Nothing may be executed speculatively past the return.
    dsb     nsh
    isb

    fatal_entry 4

// x0 = vector number, SP_EL0 = the x0 of the crash. Its stack may be gone, so the registers go
// to the top of this CPU's emergency stack (percpu.rs) in the order of `CrashRegisters`.
fatal:
    msr     tpidr_el0, x1           // also the guest's, also lost
    mrs     x1, tpidr_el2
    add     x1, x1, #{SLOT_SIZE}
    sub     x1, x1, #(8 * 34)
    str     x0, [x1, #(8 * 32)]
    mrs     x0, sp_el0
    str     x0, [x1]
    mrs     x0, tpidr_el0
    str     x0, [x1, #8]
    stp     x2, x3, [x1, #(8 * 2)]
    stp     x4, x5, [x1, #(8 * 4)]
    stp     x6, x7, [x1, #(8 * 6)]
    stp     x8, x9, [x1, #(8 * 8)]
    stp     x10, x11, [x1, #(8 * 10)]
    stp     x12, x13, [x1, #(8 * 12)]
    b       fatal_rest

    fatal_entry 5

fatal_rest:
    stp     x14, x15, [x1, #(8 * 14)]
    stp     x16, x17, [x1, #(8 * 16)]
    stp     x18, x19, [x1, #(8 * 18)]
    stp     x20, x21, [x1, #(8 * 20)]
    stp     x22, x23, [x1, #(8 * 22)]
    stp     x24, x25, [x1, #(8 * 24)]
    stp     x26, x27, [x1, #(8 * 26)]
    stp     x28, x29, [x1, #(8 * 28)]
    mov     x0, sp
    stp     x30, x0, [x1, #(8 * 30)]
    mov     sp, x1
    mov     x0, x1
    bl      {fatal_exception}
    b       park

    fatal_entry 6

// SError. One that `let_serror_in` asked for is answered with its syndrome in x0.
    .balign 128
    msr     sp_el0, x0              // of a guest that has gone, or is lost
    msr     tpidr_el0, x1
    mrs     x0, elr_el2
    adr     x1, let_serror_in_end
    sub     x1, x1, x0
    cmp     x1, #4
    mrs     x1, tpidr_el0
    b.hi    fatal_serror
    mrs     x0, esr_el2
    eret
    dsb     nsh
    isb
fatal_serror:
    mov     x0, #7
    b       fatal
// Takes an SError that is pending: x0 = ESR_EL2, or 0 if there was none.
.global let_serror_in
let_serror_in:
    mov     x0, #0
    msr     daifclr, #4
    isb
.global let_serror_in_end
let_serror_in_end:
    msr     daifset, #4
    ret

// Synchronous, from AArch64. HVC (EC 0x16) and SMC (0x17) take the short lane.
    .balign 128
vectors_from_aarch64:
    save_caller_saved
    mrs     x1, esr_el2
    lsr     w2, w1, #27
    cmp     w2, #0xb
    b.ne    other_sync
    // As to_stack; each vCPU has its own handler for these.
    mov     x0, sp
    ldp     x2, x3, [sp, #(8 * 31)]
    mov     sp, x2
    blr     x3
    b       leave

    .balign 128
    save_caller_saved
    to_stack
    bl      {trap_irq}
    b       leave

    .balign 128                     // FIQ
    save_caller_saved
    to_stack
    bl      {trap_irq}
    b       leave

    .balign 128                     // SError
    save_caller_saved
    mrs     x1, esr_el2
    adr     x3, {trap_serror}
    b       long_lane

// From an EL1 in AArch32 state, which HCR_EL2.RW rules out. An EL0 in AArch32 state below an EL1 in
// AArch64 state comes by the four above (Arm ARM, D1.3.1.5).
    fatal_entry 12
    fatal_entry 13
    fatal_entry 14
    fatal_entry 15
