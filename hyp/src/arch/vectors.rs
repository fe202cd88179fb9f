//! The vector table; the assembly is in `vectors.s`.

/// Assembles the vectors, which call these functions.
macro_rules! table {
    (
        call = $call:path,
        interrupt = $interrupt:path,
        sync = $sync:path,
        serror = $serror:path,
        fatal = $fatal:path
    ) => {
        #[expect(unsafe_code, reason = "vectors are assembly")]
        mod vector_table {
            core::arch::global_asm!(
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/arch/vectors.s")),
                trap_call = sym $call,
                trap_interrupt = sym $interrupt,
                trap_sync = sym $sync,
                trap_serror = sym $serror,
                FRAME_STACK = const core::mem::offset_of!(hyp_core::vcpu::Frame, stack),
                FRAME_PC = const core::mem::offset_of!(hyp_core::vcpu::Frame, pc),
                SLOT_SIZE = const crate::arch::percpu::SLOT_SIZE,
                fatal_exception = sym $fatal,
            );
        }
    };
}
pub(crate) use table;

/// Takes an SError as the CPU would if one arrived here unmasked: ESR, ELR and SPSR are set, and it goes
/// on at the vector. For a test.
#[cfg(feature = "inject")]
#[expect(unsafe_code, reason = "what the hardware does at an exception")]
pub(crate) fn take_serror() -> ! {
    // SAFETY: the vector ends EL2 with a report and returns to nobody; the guest's exception registers
    // are lost with it. 0xbe000000: ESR_ELx of an SError with an unknown cause, IL set. 0x3c9: EL2h, all
    // masked, as it is here.
    unsafe {
        core::arch::asm!(
            "adr {pc}, .",
            "msr elr_el2, {pc}",
            "msr spsr_el2, {pstate}",
            "msr esr_el2, {esr}",
            "mrs {pc}, vbar_el2",
            "add {pc}, {pc}, #0x380",
            "isb",
            "br {pc}",
            pc = in(reg) 0_u64,
            pstate = in(reg) 0x3c9_u64,
            esr = in(reg) 0xbe00_0000_u64,
            options(noreturn),
        );
    }
}

/// Takes an SError as the CPU would if one were pending in `let_serror_in`, which comes back with its
/// syndrome, `esr`. For a test.
#[cfg(feature = "inject")]
#[expect(unsafe_code, reason = "what the hardware does at an exception")]
pub(crate) fn let_serror_in(esr: u64) -> u64 {
    let taken;
    // SAFETY: the vector returns behind the point where `let_serror_in` waits, and that to label 2.
    // ELR_EL2 and SPSR_EL2 are restored by the caller's caller. 0x3c9: EL2h, all masked, as it is here.
    unsafe {
        core::arch::asm!(
            "adr {pc}, let_serror_in_end",
            "msr elr_el2, {pc}",
            "msr spsr_el2, {pstate}",
            "msr esr_el2, {esr}",
            "adr x30, 2f",
            "mrs {pc}, vbar_el2",
            "add {pc}, {pc}, #0x380",
            "isb",
            "br {pc}",
            "2:",
            pc = out(reg) _,
            pstate = in(reg) 0x3c9_u64,
            esr = in(reg) esr,
            out("x0") taken,
            out("x30") _,
            options(nostack),
        );
    }
    taken
}
