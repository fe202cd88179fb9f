//! Why the guest trapped: the syndrome register taken apart.
//!
//! Every 64-bit value decodes to something: what Postern does not know is an [`Exit::Unknown`],
//! which the shell answers with an undefined-instruction exception in the guest. Field positions
//! are those of the Arm ARM (DDI 0487), `ESR_EL2`.

/// Exception classes that a lower exception level can raise at EL2 (Arm ARM, `ESR_EL2.EC`).
mod class {
    pub(super) const WFX: u64 = 0x01;
    pub(super) const CP15_32: u64 = 0x03;
    pub(super) const CP15_64: u64 = 0x04;
    pub(super) const CP14_32: u64 = 0x05;
    pub(super) const CP14_LDC: u64 = 0x06;
    pub(super) const CP10_ID: u64 = 0x08;
    pub(super) const CP14_64: u64 = 0x0c;
    pub(super) const SVC32: u64 = 0x11;
    pub(super) const HVC32: u64 = 0x12;
    pub(super) const SMC32: u64 = 0x13;
    pub(super) const HVC64: u64 = 0x16;
    pub(super) const SMC64: u64 = 0x17;
    pub(super) const SYSTEM_REGISTER: u64 = 0x18;
    pub(super) const INSTRUCTION_ABORT: u64 = 0x20;
    pub(super) const DATA_ABORT: u64 = 0x24;
}

/// What made the guest leave, from an ESR_EL2 value of an exception from a lower level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// `HVC #imm` in AArch64 state; ELR_EL2 is already behind it.
    Hvc {
        /// The immediate; SMCCC uses 0 only.
        imm: u16,
    },
    /// `SMC #imm` in AArch64 state; ELR_EL2 is at it.
    Smc {
        /// The immediate; SMCCC uses 0 only.
        imm: u16,
    },
    /// A load, store or cache maintenance operation that stage 2 refused.
    DataAbort(DataAbort),
    /// An instruction fetch that stage 2 refused.
    FetchAbort(FetchAbort),
    /// An MSR, MRS or system instruction.
    SystemRegister(SysRegAccess),
    /// WFI, WFE, WFIT or WFET. Not trapped by Postern's settings.
    Wait,
    /// An exception that only AArch32 state raises.
    AArch32 {
        /// The exception class.
        class: u8,
    },
    /// Anything else: a feature that is hidden from the guest, or a class of a later
    /// architecture.
    Unknown {
        /// The exception class.
        class: u8,
    },
}

impl Exit {
    /// Decodes `esr`, the value of ESR_EL2 at a synchronous exception from a lower level.
    #[inline]
    #[must_use]
    pub const fn from_esr(esr: u64) -> Self {
        match (esr >> 26) & 0x3f {
            class::HVC64 => Self::Hvc { imm: immediate(esr) },
            class::SMC64 => Self::Smc { imm: immediate(esr) },
            class::DATA_ABORT => Self::DataAbort(DataAbort::from_iss(esr)),
            class::INSTRUCTION_ABORT => Self::FetchAbort(FetchAbort::from_iss(esr)),
            class::SYSTEM_REGISTER => Self::SystemRegister(SysRegAccess::from_iss(esr)),
            class::WFX => Self::Wait,
            other => {
                let class = (other & 0x3f) as u8;
                match other {
                    class::CP15_32
                    | class::CP15_64
                    | class::CP14_32
                    | class::CP14_LDC
                    | class::CP10_ID
                    | class::CP14_64
                    | class::SVC32
                    | class::HVC32
                    | class::SMC32 => Self::AArch32 { class },
                    _ => Self::Unknown { class },
                }
            }
        }
    }
}

/// Class of a data abort from a lower level.
pub const DATA_ABORT: u64 = class::DATA_ABORT;
/// Class of a trapped MSR, MRS or system instruction of AArch64 state.
pub const SYSTEM_REGISTER: u64 = class::SYSTEM_REGISTER;

/// The exception class of `esr`, 0 to 0x3f.
#[inline]
#[must_use]
pub const fn class(esr: u64) -> u64 {
    esr >> 26 & 0x3f
}

/// Whether `esr` is that of an abort of an instruction fetch or of data, of classes 0x20 and 0x24.
#[inline]
#[must_use]
pub const fn is_fetch(esr: u64) -> bool {
    !bit(esr, 28)
}

/// Whether `esr` is that of an abort.
#[must_use]
pub const fn is_abort(esr: u64) -> bool {
    matches!(Exit::from_esr(esr), Exit::DataAbort(_) | Exit::FetchAbort(_))
}

/// ISS\[15:0\] of an HVC or SMC.
const fn immediate(esr: u64) -> u16 {
    (esr & 0xffff) as u16
}

/// Bit `n` of `value`.
const fn bit(value: u64, n: u32) -> bool {
    (value >> n) & 1 != 0
}

/// Why stage 2 refused (Arm ARM, `ESR_EL2` ISS encodings for aborts, DFSC and IFSC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No valid descriptor at `level` (-1 to 3).
    Translation {
        /// Table level of the walk.
        level: i8,
    },
    /// An address beyond the configured size.
    AddressSize,
    /// The access flag is clear. Postern's tables always set it.
    AccessFlag,
    /// A valid descriptor that does not allow this access.
    Permission,
    /// The bus answered the access, or a table walk of it, with an error.
    External,
    /// Two TLB entries match: the guest broke the break-before-make rule in its own tables.
    TlbConflict,
    /// An exclusive or atomic access to what does not support it (`0b110101`).
    Unsupported,
    /// Anything else: alignment, parity, what is implementation-defined.
    Other {
        /// The fault status code, 0 to 0x3f.
        status: u8,
    },
}

impl Cause {
    /// Decodes the low six bits of an abort's ISS.
    #[inline]
    #[must_use]
    pub const fn from_status(iss: u64) -> Self {
        let status = (iss & 0x3f) as u8;
        match status {
            0x00..=0x03 | 0x29 => Self::AddressSize,
            0x04..=0x07 => Self::Translation { level: (status & 3).cast_signed() },
            0x2b => Self::Translation { level: -1 },
            0x08..=0x0b => Self::AccessFlag,
            0x0c..=0x0f => Self::Permission,
            // 0x10 on the access, 0x13 to 0x17 on a walk; 0x18, 0x1b to 0x1f are the same with
            // a parity or ECC error.
            0x10 | 0x13..=0x18 | 0x1b..=0x1f => Self::External,
            0x30 => Self::TlbConflict,
            0x35 => Self::Unsupported,
            _ => Self::Other { status },
        }
    }
}

/// Bytes that one register access moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte = 0,
    /// Two bytes.
    Half = 1,
    /// Four bytes.
    Word = 2,
    /// Eight bytes.
    Double = 3,
}

impl Width {
    /// The width whose binary logarithm is the low two bits of `sas` (`ISS.SAS`, or the size
    /// field of a load or store).
    #[inline(always)]
    #[must_use]
    pub const fn from_log2(sas: u64) -> Self {
        match sas & 3 {
            0 => Self::Byte,
            1 => Self::Half,
            2 => Self::Word,
            _ => Self::Double,
        }
    }

    /// 1, 2, 4 or 8.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1u64.wrapping_shl(self as u32)
    }

    /// All-ones in the bits that the access moves.
    #[inline]
    #[must_use]
    pub const fn mask(self) -> u64 {
        // 56, 48, 32 or 0 bits are not moved.
        u64::MAX.wrapping_shr(64u32.wrapping_sub(8u32.wrapping_shl(self as u32)))
    }
}

/// Whether an access reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Memory or a system register is read.
    Read,
    /// Memory or a system register is written.
    Write,
}

/// One load or store of one general register: what emulation needs to know.
///
/// Its fields lie as in the ISS of a data abort, so that a trap need not move them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u32);

impl Access {
    const WNR: u32 = 6;
    const SF: u32 = 15;
    const SRT: u32 = 16;
    const SSE: u32 = 21;
    const SAS: u32 = 22;
    const FIELDS: u64 =
        1 << Self::WNR | 1 << Self::SF | 0x1f << Self::SRT | 1 << Self::SSE | 3 << Self::SAS;

    /// A load or store of `width` with register number `register`, 0 to 31; 31 is the zero register.
    /// `sign_extend` for a load that extends the sign, `is_64bit` if the register is X and not W: then a load
    /// fills 64 bits.
    #[must_use]
    pub const fn new(
        direction: Direction,
        width: Width,
        register: u8,
        sign_extend: bool,
        is_64bit: bool,
    ) -> Self {
        let is_store = matches!(direction, Direction::Write);
        Self(
            (is_store as u32) << Self::WNR
                | (is_64bit as u32) << Self::SF
                | ((register & 0x1f) as u32) << Self::SRT
                | (sign_extend as u32) << Self::SSE
                | (width as u32) << Self::SAS,
        )
    }

    /// Decodes the ISS of a data abort whose ISV bit is set.
    #[inline]
    const fn from_iss(iss: u64) -> Self {
        Self((iss & Self::FIELDS) as u32)
    }

    /// Load or store.
    #[inline]
    #[must_use]
    pub const fn direction(self) -> Direction {
        if bit(self.0 as u64, Self::WNR) { Direction::Write } else { Direction::Read }
    }

    /// Bytes moved.
    #[inline]
    #[must_use]
    pub const fn width(self) -> Width {
        Width::from_log2((self.0 >> Self::SAS) as u64)
    }

    /// The register, 0 to 31; 31 is the zero register.
    #[inline]
    #[must_use]
    pub const fn register(self) -> u8 {
        (self.0 >> Self::SRT & 0x1f) as u8
    }

    /// A load extends the sign.
    #[inline]
    #[must_use]
    pub const fn sign_extend(self) -> bool {
        bit(self.0 as u64, Self::SSE)
    }

    /// The register is X and not W: a load fills 64 bits.
    #[inline]
    #[must_use]
    pub const fn is_64bit(self) -> bool {
        bit(self.0 as u64, Self::SF)
    }
}

/// A data abort from a lower exception level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataAbort {
    /// Why it was refused.
    pub cause: Cause,
    /// Load or store. Meaningless for cache maintenance, which always says store.
    pub direction: Direction,
    /// The access, if the hardware describes it (`ISV`).
    pub access: Option<Access>,
    /// The fault is on the guest's own translation table walk.
    pub on_walk: bool,
    /// The instruction is cache maintenance or address translation.
    pub is_maintenance: bool,
    /// FAR_EL2 does not hold the address (`FnV`; only with [`Cause::External`]).
    pub address_unknown: bool,
}

impl DataAbort {
    /// Decodes the ISS of a data abort; bits above 24 are ignored.
    #[inline]
    #[must_use]
    pub const fn from_iss(iss: u64) -> Self {
        let direction = if bit(iss, 6) { Direction::Write } else { Direction::Read };
        let access = if bit(iss, 24) { Some(Access::from_iss(iss)) } else { None };
        Self {
            cause: Cause::from_status(iss),
            direction,
            access,
            on_walk: bit(iss, 7),
            is_maintenance: bit(iss, 8),
            address_unknown: bit(iss, 10),
        }
    }
}

/// An instruction abort from a lower exception level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchAbort {
    /// Why it was refused.
    pub cause: Cause,
    /// The fault is on the guest's own translation table walk.
    pub on_walk: bool,
    /// FAR_EL2 does not hold the address (`FnV`; only with [`Cause::External`]).
    pub address_unknown: bool,
}

impl FetchAbort {
    /// Decodes the ISS of an instruction abort; bits above 24 are ignored.
    #[must_use]
    pub const fn from_iss(iss: u64) -> Self {
        Self { cause: Cause::from_status(iss), on_walk: bit(iss, 7), address_unknown: bit(iss, 10) }
    }
}

/// A system register or system instruction by its encoding.
///
/// Its fields lie as in the ISS of exception class 0x18, so that a trap need not move them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysReg(u32);

impl SysReg {
    const OP0: u32 = 20;
    const OP2: u32 = 17;
    const OP1: u32 = 14;
    const CRN: u32 = 10;
    const CRM: u32 = 1;
    /// The register `S<op0>_<op1>_C<crn>_C<crm>_<op2>`; each number is cut to its field.
    #[must_use]
    pub const fn new(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> Self {
        Self(
            ((op0 & 3) as u32) << Self::OP0
                | ((op1 & 7) as u32) << Self::OP1
                | ((crn & 15) as u32) << Self::CRN
                | ((crm & 15) as u32) << Self::CRM
                | ((op2 & 7) as u32) << Self::OP2,
        )
    }

    #[inline]
    const fn from_iss(iss: u64) -> Self {
        Self((iss & 0x003f_fc1e) as u32)
    }

    /// For Op0 = 3, Op1 = 0, CRn = 0, CRm = 4 to 7, the AArch64 ID registers: their number in the
    /// order of CRm and Op2, 0 to 31.
    #[inline]
    #[must_use]
    pub const fn id_register(self) -> Option<usize> {
        /// All but CRm bits 1:0 and Op2.
        const CLASS: u32 = SysReg::new(3, 7, 15, 12, 0).0;
        if self.0 & CLASS != Self::new(3, 0, 0, 4, 0).0 {
            return None;
        }
        Some(((self.crm() & 3) << 3 | self.op2()) as usize)
    }

    /// Op0, 0 to 3.
    #[inline]
    #[must_use]
    pub const fn op0(self) -> u16 {
        ((self.0 >> Self::OP0) & 3) as u16
    }

    /// Op1, 0 to 7.
    #[inline]
    #[must_use]
    pub const fn op1(self) -> u16 {
        ((self.0 >> Self::OP1) & 7) as u16
    }

    /// CRn, 0 to 15.
    #[inline]
    #[must_use]
    pub const fn crn(self) -> u16 {
        ((self.0 >> Self::CRN) & 15) as u16
    }

    /// CRm, 0 to 15.
    #[inline]
    #[must_use]
    pub const fn crm(self) -> u16 {
        ((self.0 >> Self::CRM) & 15) as u16
    }

    /// Op2, 0 to 7.
    #[inline]
    #[must_use]
    pub const fn op2(self) -> u16 {
        ((self.0 >> Self::OP2) & 7) as u16
    }
}

impl core::fmt::Debug for SysReg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (op0, op1, op2) = (self.op0(), self.op1(), self.op2());
        write!(f, "S{op0}_{op1}_C{}_C{}_{op2}", self.crn(), self.crm())
    }
}

/// A data abort of the commonest kind, by its ISS: a translation fault of a load or store that the hardware
/// describes. HPFAR_EL2 then holds the page.
#[inline]
#[must_use]
pub const fn described_translation_fault(iss: u64) -> Option<Access> {
    /// ISV, FnV, CM, S1PTW and the kind of fault, without its level.
    const FIELDS: u64 = 1 << 24 | 1 << 10 | 1 << 8 | 1 << 7 | 0x3c;
    if iss & FIELDS == 1 << 24 | 0x04 { Some(Access::from_iss(iss)) } else { None }
}

/// A trapped MRS, MSR or system instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SysRegAccess {
    /// Which one.
    pub register: SysReg,
    /// MRS reads, MSR writes.
    pub direction: Direction,
    /// The general register, 0 to 31; 31 is the zero register.
    pub rt: u8,
}

impl SysRegAccess {
    /// Decodes the ISS of exception class 0x18; bits above 24 are ignored.
    #[inline]
    #[must_use]
    pub const fn from_iss(iss: u64) -> Self {
        Self {
            register: SysReg::from_iss(iss),
            direction: if bit(iss, 0) { Direction::Read } else { Direction::Write },
            rt: ((iss >> 5) & 0x1f) as u8,
        }
    }
}

#[cfg(test)]
#[path = "esr_tests.rs"]
mod tests;
