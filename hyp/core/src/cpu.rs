//! The CPU that a trap happened on: what the decisions in [`crate::trap`] need of it.
//!
//! The EL2 image implements [`Cpu`] with the registers, a test with plain data.

use core::fmt;

use crate::addr::{Ipa, Va};
use crate::esr::Access;
use crate::events::Event;
use crate::fault::Fault;
use crate::guard::DeviceError;
use crate::inject::Rights;
use crate::memory::MemoryError;
use crate::ports::Ports;
use crate::sysreg::DebugUnit;
use crate::vcpu::{El1, Vcpu, Vectors};
use crate::vgic::{CpuInterface, VirtualCommon};
use crate::vm::Shell;

/// The CPU that a trap happened on, with the vCPU that trapped loaded.
///
/// A handle, so that a CPU that is there anyway costs nothing to pass on.
pub trait Cpu: Shell + DebugUnit + Copy {
    /// Its virtual CPU interface.
    type Interface: CpuInterface;

    /// Reads a register of the guest.
    fn el1(&self, register: El1) -> u64;
    /// Writes a register of the guest.
    fn set_el1(&self, register: El1, value: u64);
    /// Where the abort was that trapped.
    fn fault_address(&self) -> FaultAddress;
    /// Where the guest goes on, ELR_EL2: at the instruction that trapped, or behind an HVC.
    fn pc(&self) -> u64;
    /// Has the guest go on at `pc`.
    fn set_pc(&self, pc: u64);
    /// The guest's PSTATE, SPSR_EL2.
    fn pstate(&self) -> u64;
    /// Has the guest go on with `pstate`, which is of a mode below EL2.
    fn set_pstate(&self, pstate: u64);
    /// PAR_EL1 as the guest's stage 1 leaves it for an access to `va` with `rights`. The guest's own
    /// PAR_EL1 stays as it is.
    fn translate(&self, va: Va, is_write: bool, rights: Rights) -> u64;
    /// The guest's vector registers.
    fn vectors(&self) -> Vectors;
    /// Writes the guest's vector registers.
    fn set_vectors(&self, vectors: &Vectors);
    /// The virtual CPU interface of this CPU.
    fn interface(&self) -> Self::Interface;
    /// What ICC_CTLR_EL1, ICC_PMR_EL1 and ICC_RPR_EL1 are made of, on a GICv3.
    fn virtual_common(&self) -> VirtualCommon;
    /// Writes ICH_VMCR_EL2.
    fn set_virtual_control(&self, vmcr: u64);
    /// Drops what this CPU has cached of guests' translations.
    fn invalidate_tlb(&self);
    /// Makes the guest take an SError once it unmasks it (HCR_EL2.VSE).
    fn pend_serror(&self);
    /// Ticks of the physical counter.
    fn now(&self) -> u64;
    /// Ticks in a second.
    fn frequency(&self) -> u64;
    /// Lets EL2's timer fire at `deadline` ticks, if it does not fire earlier anyway.
    fn fire_by(&self, deadline: u64);
    /// Says that this CPU waits for another one: YIELD.
    fn give_way(&self);
    /// Records that `event` happened, for whoever reads the log.
    fn record(&self, event: Event);
    /// Says why the VM of `vcpu` ends.
    fn crashed<P: Ports>(&self, vcpu: &Vcpu<'_, P>, why: &Crash);
    /// Traces what `vcpu` does. Only for a vCPU that is traced.
    fn trace<P: Ports>(&self, vcpu: &Vcpu<'_, P>, seen: &Seen<'_>);
}

/// Where an abort was, as the CPU tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAddress {
    /// FAR_EL2.
    pub far: u64,
    /// HPFAR_EL2.
    pub hpfar: u64,
}

/// What a traced vCPU does.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// Its memory was backed.
    Populated(&'a Fault),
    /// The page of an assigned device was mapped.
    DeviceMapped(&'a Fault),
    /// It is about to use an emulated register.
    Access {
        /// Where.
        ipa: Ipa,
        /// How.
        access: Access,
        /// What a store writes.
        value: u64,
    },
    /// It broke a rule, which has been recorded, and takes an abort.
    Refused,
    /// It takes an undefined-instruction exception.
    Undefined,
    /// It used a system register that traps, that of an SGI or another.
    Register {
        /// Whether it sent an SGI.
        is_sgi: bool,
    },
}

/// Why a VM cannot go on.
#[derive(Debug, Clone, Copy)]
pub enum Crash {
    /// Its memory cannot be backed.
    Memory(Ipa, MemoryError),
    /// An assigned device cannot be mapped.
    Device(Ipa, DeviceError),
    /// A protected VM is in AArch32 state.
    AArch32,
    /// A vCPU takes the same exception for ever.
    SameException,
    /// The exception vector at this VBAR_EL1 leads to itself.
    Vector(u64),
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(ipa, error) => write!(f, "memory at IPA {ipa} cannot be backed: {error}"),
            Self::Device(ipa, error) => {
                write!(f, "the device at IPA {ipa} cannot be mapped: {error}")
            }
            Self::AArch32 => f.write_str("AArch32 state in a protected VM"),
            Self::SameException => f.write_str("it takes the same exception again and again"),
            Self::Vector(vbar) => {
                write!(f, "its exception vector only leads to exceptions (VBAR_EL1 {vbar:#x})")
            }
        }
    }
}
