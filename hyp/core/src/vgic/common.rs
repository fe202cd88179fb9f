//! The registers of a guest's CPU interface that both groups share and that hold no interrupt:
//! ICC_CTLR_EL1, ICC_PMR_EL1 and ICC_RPR_EL1 of a GICv3 (IHI0069, section 12.2). They trap only where
//! deactivations cannot be trapped alone ([`super::hcr::TC`]); then they are read from, and written to,
//! the state of the virtual CPU interface, where the hardware goes on with them.

use super::bits::low;
use super::lr::vmcr;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommonRegister {
    /// ICC_CTLR_EL1: how priorities are grouped and interrupts end.
    Ctlr,
    /// ICC_PMR_EL1: the priority mask.
    Pmr,
    /// ICC_RPR_EL1, read-only: the running priority.
    Rpr,
}

/// The state of one CPU's virtual CPU interface that they show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualCommon {
    /// ICH_VTR_EL2: what the hardware can do.
    pub vtr: u64,
    /// ICH_VMCR_EL2: what the guest has set.
    pub vmcr: u64,
    /// A bit for each preemption level that is active in either group, lowest bit of the first word
    /// first: the union of `ICH_AP0R<n>_EL2` and `ICH_AP1R<n>_EL2`.
    pub active: [u32; 4],
}

/// Fields that ICC_CTLR_EL1 takes over from ICH_VTR_EL2, as first bit there, width, first bit here:
/// PRIbits, IDbits, SEIS, A3V.
const OF_VTR: [(u32, u32, u32); 4] = [(29, 3, 8), (23, 3, 11), (22, 1, 14), (21, 1, 15)];
/// Fields that a guest may write, as bit of ICH_VMCR_EL2, bit of ICC_CTLR_EL1: CBPR, EOImode.
const OF_VMCR: [(u32, u32); 2] =
    [(vmcr::VCBPR.trailing_zeros(), 0), (vmcr::VEOIM.trailing_zeros(), 1)];
/// The running priority while nothing is active.
const IDLE: u64 = 0xff;

const fn field(value: u64, first: u32, width: u32) -> u64 {
    value.wrapping_shr(first) & 1u64.wrapping_shl(width).wrapping_sub(1)
}

impl VirtualCommon {
    /// What the guest reads from `register`.
    #[must_use]
    pub fn read(&self, register: CommonRegister) -> u64 {
        match register {
            CommonRegister::Ctlr => {
                let fixed = OF_VTR.iter().fold(0, |value, &(from, width, to)| {
                    value | field(self.vtr, from, width).wrapping_shl(to)
                });
                OF_VMCR.iter().fold(fixed, |value, &(from, to)| {
                    value | field(self.vmcr, from, 1).wrapping_shl(to)
                })
            }
            CommonRegister::Pmr => field(self.vmcr, vmcr::VPMR_SHIFT, 8),
            CommonRegister::Rpr => self.running_priority(),
        }
    }

    /// ICH_VMCR_EL2 once the guest has written `value` to `register`: what is read-only stays.
    #[must_use]
    pub fn written(&self, register: CommonRegister, value: u64) -> u64 {
        match register {
            CommonRegister::Ctlr => OF_VMCR.iter().fold(self.vmcr, |vmcr, &(to, from)| {
                vmcr & !1u64.wrapping_shl(to) | field(value, from, 1).wrapping_shl(to)
            }),
            CommonRegister::Pmr => {
                // PRIbits: the upper ones are there, 5 to 8.
                let missing = low(7u64.wrapping_sub(field(self.vtr, 29, 3)));
                let mask = 0xffu64.wrapping_shl(missing) & 0xff;
                self.vmcr & !0xffu64.wrapping_shl(vmcr::VPMR_SHIFT)
                    | (value & mask).wrapping_shl(vmcr::VPMR_SHIFT)
            }
            CommonRegister::Rpr => self.vmcr,
        }
    }

    /// The highest priority that is active (IHI0069, ICV_RPR_EL1 and `ICH_AP0R<n>_EL2`): each bit stands for
    /// one level of preemption, of which there are 2 to the power of PREbits + 1.
    fn running_priority(&self) -> u64 {
        let mut words = self.active.iter().zip([0u64, 32, 64, 96]);
        let level = words
            .find(|(word, _)| **word != 0)
            .map(|(word, first)| first.wrapping_add(u64::from(word.trailing_zeros())));
        let unused = low(7u64.wrapping_sub(field(self.vtr, 26, 3)));
        level.map_or(IDLE, |level| level.wrapping_shl(unused) & 0xff)
    }
}
