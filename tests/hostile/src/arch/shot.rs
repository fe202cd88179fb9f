//! One shot at the hypervisor: registers and PSTATE, one instruction, what came of it.
#![expect(unsafe_code, reason = "assembly with its own calling convention")]

use core::arch::global_asm;

use hyp_abi::vplatform::MAX_VCPUS;
use spin::mutex::TicketMutex;

global_asm!(include_str!("../../../runtime/src/macros.S"), include_str!("shot.S"));

// SAFETY: `shot.S` has it, and it takes one pointer as the procedure call standard says.
unsafe extern "C" {
    fn shoot(shot: *mut Shot);
}

/// What is loaded before and stored after; laid out for shot.S.
#[repr(C, align(64))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shot {
    /// x0 to x30, before and after.
    pub(crate) x: [u64; 31],
    /// SP_EL0, before and after.
    pub(crate) sp_el0: u64,
    /// SP_EL1, before and after.
    pub(crate) sp_el1: u64,
    /// Where to go.
    pub(crate) pc: u64,
    /// In which PSTATE.
    pub(crate) pstate: u64,
    /// ESR_EL1 of the exception that ended it.
    pub(crate) esr: u64,
    /// FAR_EL1 of that exception.
    pub(crate) far: u64,
    /// ELR_EL1 of that exception.
    pub(crate) elr: u64,
    /// SPSR_EL1 of that exception.
    pub(crate) spsr: u64,
    /// Offset of the vector that it went to.
    pub(crate) vector: u64,
    host_sp: u64,
    regime: u64,
    alias: u64,
    sctlr: u64,
    tcr: u64,
    ttbr0: u64,
    /// Interrupts that were taken in all shots.
    pub(crate) irqs: u64,
    /// A bit for each interrupt below 64 that was taken.
    pub(crate) seen: u64,
    /// Interrupts that one shot may take before they are masked.
    pub(crate) budget: u64,
    gicc: u64,
}

/// The translation regime of a shot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regime {
    /// The usual tables.
    Usual,
    /// MMU off, with these other bits of SCTLR_EL1.
    Flat {
        /// SCTLR_EL1.
        sctlr: u64,
    },
    /// The code in the upper half, and a lower half that may lead anywhere.
    Upper {
        /// SCTLR_EL1.
        sctlr: u64,
        /// TCR_EL1.
        tcr: u64,
        /// TTBR0_EL1.
        ttbr0: u64,
    },
}

/// SCTLR_EL1 with the MMU off; SCTLR_OFF_LOW and SCTLR_HIGH of shot.S.
pub(crate) const SCTLR_OFF: u64 = 0x30d0_0800;
/// SCTLR_EL1 as usual; SCTLR_USUAL_LOW and SCTLR_HIGH of shot.S.
pub(crate) const SCTLR_USUAL: u64 = 0x30d0_1805;

/// EL1 with its own stack pointer, everything masked.
pub(crate) const EL1H: u64 = 0x3c5;
/// EL1 with SP_EL0, everything masked.
pub(crate) const EL1T: u64 = 0x3c4;
/// EL0, everything masked.
pub(crate) const EL0: u64 = 0x3c0;
/// PSTATE.I.
pub(crate) const MASK_IRQ: u64 = 1 << 7;
/// PSTATE.F.
pub(crate) const MASK_FIQ: u64 = 1 << 6;

impl Shot {
    const fn new() -> Self {
        Self {
            x: [0; 31],
            sp_el0: 0,
            sp_el1: 0,
            pc: 0,
            pstate: 0,
            esr: 0,
            far: 0,
            elr: 0,
            spsr: 0,
            vector: 0,
            host_sp: 0,
            regime: 0,
            alias: 0,
            sctlr: 0,
            tcr: 0,
            ttbr0: 0,
            irqs: 0,
            seen: 0,
            budget: 0,
            gicc: 0,
        }
    }

    /// Fires it in `regime`. With `Regime::Upper`, `pc` is an address of the upper half.
    ///
    /// The code at `pc` is one instruction of `code.rs` and the SVC behind it, and the registers
    /// are such that it changes no memory that Rust code uses: that is what the places in
    /// `layout.rs` are for.
    pub(crate) fn fire(&mut self, regime: Regime) {
        (self.regime, self.alias, self.sctlr, self.tcr, self.ttbr0) = match regime {
            Regime::Usual => (0, 0, 0, 0, 0),
            Regime::Flat { sctlr } => {
                let (tcr, ttbr0) = super::mmu::usual();
                (1, 0, sctlr & !1, tcr, ttbr0)
            }
            Regime::Upper { sctlr, tcr, ttbr0 } => (2, super::mmu::UPPER, sctlr | 1, tcr, ttbr0),
        };
        // SAFETY: `self` is laid out for shot.S, which keeps the registers that a function must
        // keep, and comes back by the exception at the end of every piece of code.
        unsafe { shoot(self) };
    }
}

static SHOTS: [TicketMutex<Option<&'static mut Shot>>; MAX_VCPUS] =
    [const { TicketMutex::new(None) }; MAX_VCPUS];

/// Makes a shot for each CPU; `gicc` is the CPU interface of a GICv2, or 0.
pub(crate) fn make(gicc: u64) {
    for place in &SHOTS {
        let shot = alloc::boxed::Box::new(Shot { gicc, ..Shot::new() });
        *place.lock() = Some(alloc::boxed::Box::leak(shot));
    }
}

/// Takes the shot of CPU `index`, which nobody has taken yet.
pub(crate) fn take(index: usize) -> Option<&'static mut Shot> {
    SHOTS.get(index)?.lock().take()
}
