// EL2's exception vectors (Arm ARM, D1.3.2: 16 entries of 0x80 bytes).
//
// While a vCPU is loaded, SP_EL2 points to its register frame (hyp_core's `Frame`), so that an entry needs
// no scratch register. FRAME_STACK of it is the stack of the CPU that has it loaded, as `enter_vcpu` left
// it, and the word there points back to the frame. Nothing at EL2 unmasks interrupts and nothing nests.
//
// There are two entry paths. Calls and interrupts keep x19 to x28 in place: their handlers preserve them
// by the procedure call standard. Every other exception saves all.

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

.macro restore_callee_saved
    ldp     x19, x20, [sp, #(8 * 19)]
    ldp     x21, x22, [sp, #(8 * 21)]
    ldp     x23, x24, [sp, #(8 * 23)]
    ldp     x25, x26, [sp, #(8 * 25)]
    ldp     x27, x28, [sp, #(8 * 27)]
.endm

// Leaves x0 = frame and this CPU's stack in sp.
.macro to_stack
    mov     x0, sp
    ldr     x2, [sp, #{FRAME_STACK}]
    mov     sp, x2
.endm

// Leaves the frame in sp. x0 = what the handler says comes next.
.macro to_frame
    ldr     x1, [sp]
    mov     sp, x1
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

// x1 = ESR_EL2, x3 = handler: all registers are in the frame for it.
save_all:
    save_callee_saved
    to_stack
    blr     x3
    to_frame
    cbnz    x0, leave_vcpu
restore_all:
    restore_callee_saved
    b       restore

    fatal_entry 1

// Next enter_vcpu(Frame *x0): loads a vCPU and lets it run. Returns once a handler says so, with what it
// says; the vCPU's registers, PC and PSTATE are in the frame then.
.global enter_vcpu
enter_vcpu:
    stp     x29, x30, [sp, #-(8 * 12)]!
    stp     x19, x20, [sp, #(8 * 2)]
    stp     x21, x22, [sp, #(8 * 4)]
    stp     x23, x24, [sp, #(8 * 6)]
    stp     x25, x26, [sp, #(8 * 8)]
    stp     x27, x28, [sp, #(8 * 10)]
    str     x0, [sp, #-16]!
    mov     x1, sp
    str     x1, [x0, #{FRAME_STACK}]
    ldp     x1, x2, [x0, #{FRAME_PC}]
    msr     elr_el2, x1
    msr     spsr_el2, x2
    mov     sp, x0
    b       restore_all

    fatal_entry 2

leave_saving:
    save_callee_saved
// sp = frame, x0 = what comes next.
leave_vcpu:
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [sp, #{FRAME_PC}]
    ldr     x1, [sp, #{FRAME_STACK}]
    add     sp, x1, #16
    ldp     x19, x20, [sp, #(8 * 2)]
    ldp     x21, x22, [sp, #(8 * 4)]
    ldp     x23, x24, [sp, #(8 * 6)]
    ldp     x25, x26, [sp, #(8 * 8)]
    ldp     x27, x28, [sp, #(8 * 10)]
    ldp     x29, x30, [sp], #(8 * 12)
    ret

    fatal_entry 3

// After a handler of the short path.
resume:
    to_frame
    cbnz    x0, leave_saving
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

// Synchronous, from AArch64. HVC (EC 0x16) and SMC (0x17) take the short path.
    .balign 128
vectors_from_aarch64:
    save_caller_saved
    mrs     x1, esr_el2
    lsr     w2, w1, #27
    adr     x3, {trap_sync}
    cmp     w2, #0xb
    b.ne    save_all
    to_stack
    bl      {trap_call}
    b       resume

    .balign 128                     // IRQ
    save_caller_saved
    to_stack
    bl      {trap_interrupt}
    b       resume

    .balign 128                     // FIQ
    save_caller_saved
    to_stack
    bl      {trap_interrupt}
    b       resume

    .balign 128                     // SError
    save_caller_saved
    mrs     x1, esr_el2
    adr     x3, {trap_serror}
    b       save_all

// From an EL1 in AArch32 state, which HCR_EL2.RW rules out. An EL0 in AArch32 state below an EL1 in
// AArch64 state comes by the four above (Arm ARM, D1.3.1.5).
    fatal_entry 12
    fatal_entry 13
    fatal_entry 14
    fatal_entry 15
