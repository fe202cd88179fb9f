//! Exceptions that EL2 makes the guest take, and the step past an instruction.
//!
//! A pure function from the guest's state at the trap to the state at its own vector, after the
//! pseudocode `AArch64.TakeException` (Arm ARM, DDI 0487) for a target of EL1. The syndromes of
//! external aborts are promised to the bit: firmware for protected VMs compares `ESR_EL1` with
//! [`hyp_abi::esr::SEA_DATA_EL1`] to recognise an MMIO guard abort, so WnR stays 0 for stores.

use hyp_abi::esr;

use crate::addr::Va;

bitflags::bitflags! {
    /// Processor features that decide what happens to PSTATE when EL1 takes an exception.
    ///
    /// From the machine's ID registers, not from the VM's view of them: hardware behaves the
    /// same whether or not the guest can see the feature.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct PstateFeatures: u8 {
        /// `FEAT_PAN`.
        const PAN = 1 << 0;
        /// `FEAT_SSBS`.
        const SSBS = 1 << 1;
        /// `FEAT_MTE2`: PSTATE.TCO exists.
        const MTE = 1 << 2;
        /// `FEAT_NMI`: PSTATE.ALLINT exists.
        const NMI = 1 << 3;
    }
}

/// What an abort is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortCause {
    /// The bus answered the access itself with an error: an external abort.
    Access,
    /// The bus answered the walk of the guest's own tables with an error.
    Walk {
        /// Level of the table that the descriptor is in, -1 to 3.
        level: i8,
    },
    /// An exclusive or atomic access to what does not support it.
    Unsupported,
}

impl AbortCause {
    /// The fault status code (Arm ARM, `ESR_EL1`, DFSC and IFSC).
    #[inline(always)]
    const fn status(self) -> u64 {
        match self {
            Self::Access => esr::FSC_EXTERNAL,
            // 0x13 for level -1, 0x14 to 0x17 for 0 to 3.
            Self::Walk { level } => {
                esr::FSC_EXTERNAL_ON_WALK.wrapping_add_signed(level as i64) & 0x3f
            }
            Self::Unsupported => esr::FSC_UNSUPPORTED_ATOMIC,
        }
    }
}

/// What to make the guest take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// Synchronous abort on a load or store, or on its table walk, at `address`.
    DataAbort {
        /// The whole faulting virtual address, FAR_EL2.
        address: Va,
        /// What for.
        cause: AbortCause,
    },
    /// Synchronous abort on the instruction fetch, or on its table walk, at `address`.
    FetchAbort {
        /// The whole faulting virtual address, FAR_EL2.
        address: Va,
        /// What for.
        cause: AbortCause,
    },
    /// The instruction is undefined.
    Undefined,
}

/// The guest's state at the trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestState {
    /// ELR_EL2: the instruction that trapped.
    pub pc: u64,
    /// SPSR_EL2: PSTATE at the trap.
    pub pstate: u64,
    /// VBAR_EL1.
    pub vbar_el1: u64,
    /// SCTLR_EL1.
    pub sctlr_el1: u64,
}

impl Exception {
    /// The external abort on a load or store at `address`.
    #[inline(always)]
    #[must_use]
    pub const fn data_abort(address: Va) -> Self {
        Self::DataAbort { address, cause: AbortCause::Access }
    }

    /// The same abort for `cause`. What is no abort stays as it is.
    #[must_use]
    pub const fn because(self, cause: AbortCause) -> Self {
        match self {
            Self::DataAbort { address, .. } => Self::DataAbort { address, cause },
            Self::FetchAbort { address, .. } => Self::FetchAbort { address, cause },
            Self::Undefined => self,
        }
    }
}

/// What to write so that the guest finds itself at its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// ESR_EL1.
    pub esr_el1: u64,
    /// FAR_EL1; `None` leaves it alone.
    pub far_el1: Option<u64>,
    /// ELR_EL1.
    pub elr_el1: u64,
    /// SPSR_EL1.
    pub spsr_el1: u64,
    /// ELR_EL2: the vector.
    pub pc: u64,
    /// SPSR_EL2: PSTATE at the vector.
    pub pstate: u64,
}

/// SPSR bits (Arm ARM, `SPSR_EL2` for an exception from AArch64 state).
mod spsr {
    pub(super) const AARCH32: u64 = 1 << 4;
    /// AArch32: T32 and not A32 is executed.
    pub(super) const T: u64 = 1 << 5;
    /// AArch32: data is big-endian.
    pub(super) const E: u64 = 1 << 9;
    /// AArch32: IT\[7:2\] in 15:10, IT\[1:0\] in 26:25.
    pub(super) const IT: u64 = 0x3f << 10 | 3 << 25;
    pub(super) const MODE: u64 = 0x1f;
    pub(super) const EL: u64 = 3 << 2;
    pub(super) const SP_ELX: u64 = 1;
    pub(super) const EL1H: u64 = 0b0101;
    pub(super) const DAIF: u64 = 0xf << 6;
    pub(super) const BTYPE: u64 = 3 << 10;
    pub(super) const SSBS: u64 = 1 << 12;
    pub(super) const ALLINT: u64 = 1 << 13;
    pub(super) const SS: u64 = 1 << 21;
    pub(super) const PAN: u64 = 1 << 22;
    pub(super) const UAO: u64 = 1 << 23;
    pub(super) const TCO: u64 = 1 << 25;
    /// N, Z, C, V and DIT survive an exception from AArch64 to AArch64.
    pub(super) const KEPT: u64 = 0xf << 28 | 1 << 24;
}

/// SCTLR_EL1 bits.
mod sctlr {
    pub(super) const E0E: u64 = 1 << 24;
    pub(super) const EE: u64 = 1 << 25;
    pub(super) const SPAN: u64 = 1 << 23;
    pub(super) const DSSBS: u64 = 1 << 44;
    pub(super) const SPINTMASK: u64 = 1 << 62;
}

/// Whether the guest ran at EL0.
#[inline(always)]
#[must_use]
pub const fn is_from_el0(pstate: u64) -> bool {
    // AArch32 user mode has a mode field of 0, too.
    pstate & (spsr::MODE & !spsr::AARCH32) == 0
}

/// Whether the guest ran at EL1 on its own stack pointer.
#[must_use]
pub const fn is_on_sp_el1(pstate: u64) -> bool {
    pstate & spsr::MODE == spsr::EL1H
}

/// Whether the guest ran in AArch32 state.
#[inline(always)]
#[must_use]
pub const fn is_aarch32(pstate: u64) -> bool {
    pstate & spsr::AARCH32 != 0
}

/// Whether a data access at the trap is big-endian (`BigEndian()`; SCTLR_EL1.EE and E0E, and
/// PSTATE.E in AArch32 state).
#[inline(always)]
#[must_use]
pub const fn is_big_endian(pstate: u64, sctlr_el1: u64) -> bool {
    if is_aarch32(pstate) {
        return pstate & spsr::E != 0;
    }
    let selector = if is_from_el0(pstate) { sctlr::E0E } else { sctlr::EE };
    sctlr_el1 & selector != 0
}

/// Whether the guest's CPACR_EL1 lets it use vector registers where it is (FPEN, bits 21:20). Without
/// floating point it reads as zero.
#[must_use]
pub const fn has_vectors(pstate: u64, cpacr_el1: u64) -> bool {
    match (cpacr_el1 >> 20) & 3 {
        0b11 => true,
        0b01 => !is_from_el0(pstate),
        _ => false,
    }
}

/// Says for whom the guest's stage 1 checks an access to data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// EL0.
    User,
    /// EL1.
    Kernel,
    /// EL1, which may not use what EL0 may (PSTATE.PAN).
    KernelAlone,
}

impl Rights {
    /// Those of an access at a trap with `pstate`. `is_unprivileged` for LDTR, STTR and their kin,
    /// which are EL0's unless PSTATE.UAO is set (Arm ARM, C6.2, LDTR; D8.4.3, "UAO").
    #[must_use]
    pub const fn new(pstate: u64, is_unprivileged: bool) -> Self {
        if is_from_el0(pstate) || (is_unprivileged && pstate & spsr::UAO == 0) {
            Self::User
        } else if pstate & spsr::PAN != 0 {
            Self::KernelAlone
        } else {
            Self::Kernel
        }
    }
}

/// The state in which the guest takes `exception`.
#[inline(always)]
#[must_use]
pub const fn take(exception: Exception, guest: &GuestState, features: PstateFeatures) -> Injection {
    let from_el0 = is_from_el0(guest.pstate);
    let (esr_el1, far_el1) = match exception {
        Exception::DataAbort { address, cause } => {
            let class = if from_el0 { esr::DATA_EL0 } else { esr::DATA_EL1 };
            (class | cause.status(), Some(address.get()))
        }
        Exception::FetchAbort { address, cause } => {
            let class = if from_el0 { esr::FETCH_EL0 } else { esr::FETCH_EL1 };
            (class | cause.status(), Some(address.get()))
        }
        Exception::Undefined => (esr::UNDEFINED, None),
    };
    Injection {
        esr_el1,
        far_el1,
        elr_el1: guest.pc,
        spsr_el1: guest.pstate,
        pc: vector(guest.vbar_el1, guest.pstate),
        pstate: pstate_at_vector(guest, features),
    }
}

/// The vector that a synchronous exception goes to which is taken to EL1 with this PSTATE.
#[inline(always)]
#[must_use]
pub const fn vector(vbar_el1: u64, pstate: u64) -> u64 {
    (vbar_el1 & !0x7ff).wrapping_add(vector_offset(pstate))
}

/// Where the exception came from that led the guest to `pc`, if `pc` is where a vector begins for what
/// SPSR_EL1 says: what ELR_EL1 holds. `None` also where the exception came out of the vectors themselves.
#[must_use]
pub const fn came_to_vector(pc: u64, vbar_el1: u64, elr_el1: u64, spsr_el1: u64) -> Option<u64> {
    /// The other kinds of exceptions: IRQ, FIQ, SError.
    const KINDS: u64 = 0x180;
    const TABLE: u64 = 0x800;
    let distance = pc.wrapping_sub(vector(vbar_el1, spsr_el1));
    let is_vector = distance & !KINDS == 0;
    let is_from_vectors = elr_el1.wrapping_sub(vbar_el1 & !(TABLE - 1)) < TABLE;
    if is_vector && !is_from_vectors { Some(elr_el1) } else { None }
}

/// Offset of the synchronous vector in EL1's table (Arm ARM, D1.3.1.5, "Exception vectors").
#[inline(always)]
const fn vector_offset(pstate: u64) -> u64 {
    if is_aarch32(pstate) {
        0x600
    } else if pstate & spsr::EL == 0 {
        0x400
    } else if pstate & spsr::SP_ELX != 0 {
        0x200
    } else {
        0
    }
}

/// PSTATE after `AArch64.TakeException` to EL1, as an SPSR value.
#[inline(always)]
const fn pstate_at_vector(guest: &GuestState, features: PstateFeatures) -> u64 {
    // IL, SS, UAO and BTYPE are cleared by not being kept.
    let mut pstate = (guest.pstate & spsr::KEPT) | spsr::DAIF | spsr::EL1H;
    if features.is_empty() {
        return pstate;
    }
    if features.contains(PstateFeatures::PAN) {
        pstate |= guest.pstate & spsr::PAN;
        if guest.sctlr_el1 & sctlr::SPAN == 0 {
            pstate |= spsr::PAN;
        }
    }
    if features.contains(PstateFeatures::SSBS) && guest.sctlr_el1 & sctlr::DSSBS != 0 {
        pstate |= spsr::SSBS;
    }
    if features.contains(PstateFeatures::MTE) {
        pstate |= spsr::TCO;
    }
    if features.contains(PstateFeatures::NMI) && guest.sctlr_el1 & sctlr::SPINTMASK == 0 {
        pstate |= spsr::ALLINT;
    }
    pstate
}

/// What [`advance`] clears in the PSTATE of AArch64 state.
pub const COMPLETED: u64 = spsr::SS | spsr::BTYPE;

/// The PC and PSTATE behind the A64 instruction at `pc`, which EL2 has carried out or skips.
///
/// A completed instruction leaves PSTATE.BTYPE at 0; clearing PSTATE.SS makes a software step
/// that the guest armed complete (Arm ARM, D2.11, "Software Step exceptions").
#[must_use]
pub const fn advance(pc: u64, pstate: u64) -> (u64, u64) {
    (pc.wrapping_add(4), pstate & !COMPLETED)
}

/// The PC and PSTATE at which an HVC, behind which `pc` is, is executed once more.
///
/// It has completed a software step (`SSAdvance`), which must be armed again. Where none is, PSTATE.SS
/// of an SPSR has no effect (`DebugExceptionReturnSS`).
#[must_use]
pub const fn back_to_call(pc: u64, pstate: u64) -> (u64, u64) {
    (pc.wrapping_sub(4), pstate | spsr::SS)
}

/// [`advance`] in AArch32 state, behind an instruction of two or else four bytes (ESR_EL2.IL of its
/// trap says which).
///
/// In an IT block the next condition comes up (`AArch32.ITAdvance`).
#[must_use]
pub const fn advance_aarch32(pc: u64, pstate: u64, is_16bit: bool) -> (u64, u64) {
    let length = if is_16bit && pstate & spsr::T != 0 { 2 } else { 4 };
    let it = (pstate >> 10 & 0x3f) << 2 | pstate >> 25 & 3;
    let it = if it & 7 == 0 { 0 } else { it & 0xe0 | (it << 1) & 0x1f };
    let pstate = pstate & !(spsr::SS | spsr::IT) | (it >> 2) << 10 | (it & 3) << 25;
    // There is no address above 4 GiB in AArch32 state.
    (pc.wrapping_add(length) & 0xffff_ffff, pstate)
}

/// The guest's endianness setting, as a vCPU hands it to one that it starts (DEN0022, 6.4.1).
#[must_use]
pub const fn starts_big_endian(sctlr_el1: u64) -> bool {
    sctlr_el1 & sctlr::EE != 0
}

#[cfg(test)]
#[path = "inject_tests.rs"]
mod tests;
