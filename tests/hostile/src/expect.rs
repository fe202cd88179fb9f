//! What a shot must have come to.

use crate::arch::code::DONE;
use crate::arch::shot::{MASK_FIQ, MASK_IRQ};
use crate::cpu::{Cpu, Doing};

/// Exception classes (Arm ARM, ESR_ELx.EC).
pub(crate) mod class {
    /// Unknown reason: undefined instructions.
    pub(crate) const UNKNOWN: u64 = 0x00;
    /// A trapped WFI or WFE.
    pub(crate) const WAIT: u64 = 0x01;
    /// An illegal execution state.
    pub(crate) const ILLEGAL: u64 = 0x0e;
    /// SVC from AArch32.
    pub(crate) const SVC_A32: u64 = 0x11;
    /// SVC.
    pub(crate) const SVC: u64 = 0x15;
    /// A trapped system register.
    pub(crate) const REGISTER: u64 = 0x18;
    /// SVE, switched off by CPACR_EL1.
    pub(crate) const SVE: u64 = 0x19;
    /// SME, switched off by CPACR_EL1.
    pub(crate) const SME: u64 = 0x1d;
    /// A fetch, from EL0.
    pub(crate) const FETCH_EL0: u64 = 0x20;
    /// A fetch, from EL1.
    pub(crate) const FETCH: u64 = 0x21;
    /// A misaligned PC.
    pub(crate) const PC_ALIGNMENT: u64 = 0x22;
    /// A load or store, from EL0.
    pub(crate) const DATA_EL0: u64 = 0x24;
    /// A load or store, from EL1.
    pub(crate) const DATA: u64 = 0x25;
    /// A misaligned stack pointer.
    pub(crate) const SP_ALIGNMENT: u64 = 0x26;
    /// BRK.
    pub(crate) const BRK: u64 = 0x3c;
}

/// The whole ESR of an exception of class `class`, IL set.
pub(crate) const fn esr(class: u64, iss: u64) -> u64 {
    class << 26 | 1 << 25 | iss
}

impl Cpu {
    /// Whether the code went through to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.shot.esr == esr(class::SVC, DONE) && self.shot.elr == self.shot.pc.wrapping_add(8)
    }

    /// The exception's class.
    pub(crate) fn class(&self) -> u64 {
        self.shot.esr >> 26
    }

    /// General registers but those in `but`, bit by bit, and the stack pointers must be as they
    /// were.
    pub(crate) fn kept(&self, doing: &Doing<'_>, but: u32) {
        let (x, sp_el0, sp_el1) = &self.before;
        let mut changed = 0;
        for (n, (before, after)) in x.iter().zip(&self.shot.x).enumerate() {
            if before != after {
                changed |= 1_u32 << n;
            }
        }
        if changed & !but != 0 || *sp_el0 != self.shot.sp_el0 || *sp_el1 != self.shot.sp_el1 {
            self.fail(doing, format_args!("registers to be kept but those of {but:#x}"));
        }
    }

    /// The code must have gone through, registers kept but those in `but`.
    pub(crate) fn done(&self, doing: &Doing<'_>, but: u32) {
        if !self.is_done() {
            self.fail(doing, format_args!("no exception"));
        }
        self.kept(doing, but);
    }

    /// The first instruction must have taken a synchronous exception to the right vector, nothing
    /// being changed.
    pub(crate) fn caught(&self, doing: &Doing<'_>) {
        self.caught_at(doing, self.shot.pc);
    }

    /// As [`Self::caught`], at another instruction.
    pub(crate) fn caught_at(&self, doing: &Doing<'_>, pc: u64) {
        let vector = match self.shot.pstate & 0x1f {
            0b1_0000 => 0x600,
            0b0_0000 => 0x400,
            0b0_0100 => 0x000,
            _ => 0x200,
        };
        if self.shot.vector != vector || self.shot.elr != pc {
            self.fail(doing, format_args!("an exception of {pc:#x} at vector {vector:#x}"));
        }
        // An interrupt that came too often is masked by the handler.
        let masks = if self.shot.budget == 0 { MASK_IRQ | MASK_FIQ } else { MASK_FIQ };
        if (self.shot.spsr ^ self.shot.pstate) & !masks != 0 {
            self.fail(doing, format_args!("SPSR as PSTATE was"));
        }
        self.kept(doing, 0);
    }

    /// As [`Self::caught`], with this ESR.
    pub(crate) fn caught_with(&self, doing: &Doing<'_>, esr: u64) {
        if self.shot.esr != esr {
            self.fail(doing, format_args!("an exception with ESR {esr:#x}"));
        }
        self.caught(doing);
    }

    /// As [`Self::caught_with`], with this FAR.
    pub(crate) fn aborted(&self, doing: &Doing<'_>, esr: u64, far: u64) {
        if self.shot.esr != esr || self.shot.far != far {
            self.fail(doing, format_args!("an abort with ESR {esr:#x} FAR {far:#x}"));
        }
        self.caught(doing);
    }

    /// The instruction must have been undefined. IL is not looked at: hypervisors differ.
    pub(crate) fn undefined(&self, doing: &Doing<'_>) {
        if self.shot.esr & !(1 << 25) != class::UNKNOWN << 26 {
            self.fail(doing, format_args!("an undefined instruction"));
        }
        self.caught(doing);
    }
}
