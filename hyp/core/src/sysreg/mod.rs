//! Trapped system registers: what a guest reads, what its writes do.
//!
//! Three parts, all plain data: [`HostId`], the machine's ID registers as the shell read them;
//! [`TrapControls`], the EL2 registers that decide what traps; [`CpuView`], the answers. The
//! first feeds the other two, so that what is hidden from the view is also trapped.

mod common;
mod debug;
mod entry;
mod host;
mod limits;
mod trap;

pub use debug::{DebugRegister, DebugState, DebugUnit, Point, clear_debug};
pub use host::{HostId, ID_REGISTERS, IdRegister, Mitigations};
pub use trap::TrapControls;

use debug::Found;

use crate::esr::{Direction, SysReg, SysRegAccess};
use crate::features::Features;
use crate::vgic::{CommonRegister, GicVersion, SgiRegister};

/// What becomes of a trapped MRS, MSR or system instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Put the value into the general register and step on.
    Value(u64),
    /// Step on; a write is lost.
    Ignored,
    /// Make the guest take an undefined-instruction exception.
    Undefined,
    /// A software-generated interrupt: hand the value written to the virtual GIC and step on.
    Sgi(SgiRegister),
    /// ICC_DIR_EL1: hand the interrupt's number, bits 23:0 of the value written, to the virtual
    /// GIC and step on.
    Deactivate,
    /// Another register of the GIC's CPU interface: read it from, or write it to, the virtual one.
    Common(CommonRegister),
    /// A register of self-hosted debug: ask [`DebugState`] for it, or write it there.
    Debug(DebugRegister),
}

/// The system registers as one VM's vCPUs see them.
#[derive(Debug, Clone)]
pub struct CpuView {
    /// Op0 = 3, Op1 = 0, CRn = 0, CRm = 4 to 7, in the order of CRm and Op2.
    id: [u64; ID_REGISTERS],
    revidr: u64,
    aidr: u64,
    is_protected: bool,
    has_ras: bool,
    /// The CPU interface of the guest's GIC is made of system registers.
    has_gic: bool,
}

/// ICC_SRE_EL1 of a GIC that can do nothing but system registers: SRE, DFB, DIB.
const ICC_SRE_FIXED: u64 = 7;

/// Op1, CRn, CRm, Op2 of the registers with Op0 = 3 that are answered one by one.
mod named {
    use crate::esr::SysReg;

    pub(super) const REVIDR_EL1: SysReg = SysReg::new(3, 0, 0, 0, 6);
    pub(super) const AIDR_EL1: SysReg = SysReg::new(3, 1, 0, 0, 7);
    pub(super) const ACTLR_EL1: SysReg = SysReg::new(3, 0, 1, 0, 1);
    pub(super) const ICC_PMR_EL1: SysReg = SysReg::new(3, 0, 4, 6, 0);
    pub(super) const ICC_DIR_EL1: SysReg = SysReg::new(3, 0, 12, 11, 1);
    pub(super) const ICC_RPR_EL1: SysReg = SysReg::new(3, 0, 12, 11, 3);
    pub(super) const ICC_SGI1R_EL1: SysReg = SysReg::new(3, 0, 12, 11, 5);
    pub(super) const ICC_ASGI1R_EL1: SysReg = SysReg::new(3, 0, 12, 11, 6);
    pub(super) const ICC_SGI0R_EL1: SysReg = SysReg::new(3, 0, 12, 11, 7);
    pub(super) const ICC_CTLR_EL1: SysReg = SysReg::new(3, 0, 12, 12, 4);
    pub(super) const ICC_SRE_EL1: SysReg = SysReg::new(3, 0, 12, 12, 5);

    /// Whether `register` is one of the ICC_* above.
    pub(super) const fn is_gic(register: SysReg) -> bool {
        matches!(
            register,
            ICC_PMR_EL1
                | ICC_DIR_EL1
                | ICC_RPR_EL1
                | ICC_SGI1R_EL1
                | ICC_ASGI1R_EL1
                | ICC_SGI0R_EL1
                | ICC_CTLR_EL1
                | ICC_SRE_EL1
        )
    }

    pub(super) const OSDLR_EL1: SysReg = SysReg::new(2, 0, 1, 3, 4);
    pub(super) const DBGBVR0_EL1: SysReg = SysReg::new(2, 0, 0, 0, 4);
    pub(super) const DBGBCR0_EL1: SysReg = SysReg::new(2, 0, 0, 0, 5);
    pub(super) const DBGWVR0_EL1: SysReg = SysReg::new(2, 0, 0, 0, 6);
    pub(super) const DBGWCR0_EL1: SysReg = SysReg::new(2, 0, 0, 0, 7);
}

impl CpuView {
    /// The view of a VM with `features`, an IPA size of `ipa_bits` and a GIC of version `gic` on
    /// this machine, whose CPUs have `host` in common.
    #[must_use]
    pub fn new(host: &HostId, features: Features, ipa_bits: u32, gic: GicVersion) -> Self {
        Self {
            id: limits::id_view(host, features, ipa_bits, gic),
            has_gic: gic == GicVersion::V3,
            revidr: host.revidr,
            aidr: host.aidr,
            is_protected: features.contains(Features::PROTECTED),
            has_ras: host.has_ras(),
        }
    }

    /// The same view on the CPU `host`, whose revision is its own.
    #[must_use]
    pub fn on(&self, host: &HostId) -> Self {
        Self { revidr: host.revidr, aidr: host.aidr, ..self.clone() }
    }

    /// The value of one of the AArch64 ID registers, CRm 4 to 7.
    #[must_use]
    pub fn id(&self, register: IdRegister) -> u64 {
        self.id.get(register as usize).copied().unwrap_or(0)
    }

    /// What `access` reads from one of the AArch64 ID registers; `None` if it is another register or a write.
    #[inline]
    #[must_use]
    pub fn identification(&self, access: &SysRegAccess) -> Option<u64> {
        match access.direction {
            Direction::Read => access.register.id_register().and_then(|n| self.id.get(n)).copied(),
            Direction::Write => None,
        }
    }

    /// What becomes of `access`.
    #[must_use]
    pub fn answer(&self, access: &SysRegAccess) -> Answer {
        let register = access.register;
        if let Some(value) = self.identification(access) {
            return Answer::Value(value);
        }
        match (register, access.direction) {
            (register, _) if !self.has_gic && named::is_gic(register) => Answer::Undefined,
            (named::ICC_SGI1R_EL1, Direction::Write) => Answer::Sgi(SgiRegister::Sgi1),
            (named::ICC_SGI0R_EL1, Direction::Write) => Answer::Sgi(SgiRegister::Sgi0),
            (named::ICC_ASGI1R_EL1, Direction::Write) => Answer::Sgi(SgiRegister::Asgi1),
            (named::ICC_DIR_EL1, Direction::Write) => Answer::Deactivate,
            (named::ICC_CTLR_EL1, _) => Answer::Common(CommonRegister::Ctlr),
            (named::ICC_PMR_EL1, _) => Answer::Common(CommonRegister::Pmr),
            (named::ICC_RPR_EL1, Direction::Read) => Answer::Common(CommonRegister::Rpr),
            (named::ICC_SRE_EL1, Direction::Read) => Answer::Value(ICC_SRE_FIXED),
            (named::ICC_SRE_EL1, Direction::Write) => Answer::Ignored,
            (named::REVIDR_EL1, Direction::Read) => Answer::Value(self.revidr),
            (named::AIDR_EL1, Direction::Read) => Answer::Value(self.aidr),
            // Implementation-defined control; the guest has nothing to control.
            (named::ACTLR_EL1, direction) => zero(direction),
            (_, direction) => self.answer_group(register, direction),
        }
    }

    /// Registers that are answered by group.
    fn answer_group(&self, register: SysReg, direction: Direction) -> Answer {
        match (register.op0(), register.op1(), register.crn(), register.crm()) {
            // The AArch32 ID registers (CRm 1 to 3) are zero: no AArch32.
            (3, 0, 0, 1..=7) if direction == Direction::Read => Answer::Value(0),
            // Error records: the guest may see RAS, and there are none.
            (3, 0, 5, 3..=5) if self.has_ras => zero(direction),
            // Performance monitors.
            (3, 3, 9, 12..=15) | (3, 3, 14, 8..=15) | (3, 0, 9, 14) if !self.is_protected => {
                zero(direction)
            }
            // Debug and trace.
            (2, ..) if self.is_protected => debug_of_protected(register, direction),
            (2, ..) => match debug::find(register, direction, self.id(IdRegister::Dfr0)) {
                Found::Register(which) => Answer::Debug(which),
                Found::Nothing => Answer::Undefined,
                Found::Other => zero(direction),
            },
            // Set and way maintenance, should it trap: of no use to anybody below EL2.
            (1, 0, 7, 6 | 10 | 14)
                if register.op2() == 2 && direction == Direction::Write && !self.is_protected =>
            {
                Answer::Ignored
            }
            _ => Answer::Undefined,
        }
    }
}

/// Debug registers of a protected VM: undefined, but for what every Linux kernel does at boot
/// without looking at ID_AA64DFR0_EL1. It clears MDSCR, both OS locks and the one breakpoint and
/// watchpoint that a field value of 0 stands for (`arch/arm64/kernel/debug-monitors.c` and
/// `hw_breakpoint.c`); Android's pKVM lets the same registers pass.
fn debug_of_protected(register: SysReg, direction: Direction) -> Answer {
    match (register, direction) {
        (debug::MDSCR_EL1 | debug::OSLAR_EL1 | debug::OSLSR_EL1 | named::OSDLR_EL1, direction) => {
            zero(direction)
        }
        (
            named::DBGBVR0_EL1 | named::DBGBCR0_EL1 | named::DBGWVR0_EL1 | named::DBGWCR0_EL1,
            Direction::Write,
        ) => Answer::Ignored,
        _ => Answer::Undefined,
    }
}

/// Reads as zero, ignores writes.
const fn zero(direction: Direction) -> Answer {
    match direction {
        Direction::Read => Answer::Value(0),
        Direction::Write => Answer::Ignored,
    }
}

#[cfg(test)]
mod tests;
