//! A vCPU as a value.

mod el1;
mod frame;

pub use el1::{El1, El1State, Needs};
pub use frame::Frame;

use crate::inject::PstateFeatures;
use crate::psci::Start;
use crate::sysreg::{CpuView, DebugState};
use crate::vm::{Runaway, Vm};

/// One vCPU of a VM: its registers and what belongs to it.
#[derive(Debug)]
#[repr(C)]
pub struct Vcpu<'a, P> {
    /// Its registers. First: the entry code passes their address for the vCPU's.
    pub frame: Frame,
    /// Its registers of EL1 and EL0, while it is not loaded.
    pub el1: El1State,
    /// Its vector registers, while it is not loaded.
    pub vectors: VectorState,
    /// Its VM.
    pub vm: &'a Vm<P>,
    /// Its number in the VM.
    pub index: usize,
    /// Its system registers as it sees them.
    pub view: CpuView,
    /// Its self-hosted debug, beside the registers that the CPU holds for it.
    pub debug: DebugState,
    /// What is known of the CPU that it runs on.
    pub home: Home,
    /// What it does is traced.
    pub is_traced: bool,
    /// Whether it still gets anywhere.
    pub liveness: Liveness,
}

/// V0 to V31.
pub type Vectors = [u128; 32];

/// The floating-point and SIMD registers of a vCPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorState {
    /// V0 to V31.
    pub v: Vectors,
    /// FPCR.
    pub fpcr: u64,
    /// FPSR.
    pub fpsr: u64,
}

impl VectorState {
    /// What a vCPU starts with: zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { v: [0; 32], fpcr: 0, fpsr: 0 }
    }
}

impl Default for VectorState {
    fn default() -> Self {
        Self::new()
    }
}

/// PSTATE of a vCPU that starts: EL1h, all exceptions masked (DEN0022, 6.4).
const PSTATE_START: u64 = 0x3c5;
/// SCTLR_EL1.EE.
const SCTLR_EE: u64 = 1 << 25;

/// Facts of the CPU that a vCPU runs on.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    /// What decides about PSTATE at an exception to EL1.
    pub pstate: PstateFeatures,
    /// HPFAR_EL2 cannot be relied on (Cortex-A57 erratum 834220).
    pub erratum_834220: bool,
}

/// What is remembered to tell whether a vCPU gets anywhere; see [`crate::vm::Runaway`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Liveness {
    /// The exceptions that it took.
    pub runaway: Runaway,
    /// It has shown no sign of life since that was asked last.
    pub is_quiet: bool,
    /// When it is looked at again, by the physical counter.
    pub next_look: u64,
}

impl<'a, P> Vcpu<'a, P> {
    /// vCPU `index` of `vm`, which has not started yet.
    #[must_use]
    pub const fn new(
        vm: &'a Vm<P>,
        index: usize,
        view: CpuView,
        home: Home,
        is_traced: bool,
    ) -> Self {
        Self {
            frame: Frame::new(),
            el1: El1State::RESET,
            vectors: VectorState::new(),
            vm,
            index,
            view,
            debug: DebugState::new(),
            home,
            is_traced,
            liveness: Liveness { runaway: Runaway::new(), is_quiet: false, next_look: 0 },
        }
    }

    /// Puts its registers into the state in which it begins as `start` says (DEN0022, 6.4). It must not be
    /// loaded.
    pub fn reset(&mut self, start: &Start) {
        self.frame = Frame { pc: start.entry, pstate: PSTATE_START, ..Frame::new() };
        self.frame.set(0, start.context);
        self.el1 = El1State::RESET;
        if start.big_endian {
            self.el1.set(El1::Sctlr, self.el1.get(El1::Sctlr) | SCTLR_EE);
        }
        self.vectors = VectorState::new();
        self.debug = DebugState::new();
        self.liveness = Liveness::default();
    }

    /// Its number as an event holds it.
    #[must_use]
    pub fn number(&self) -> u8 {
        u8::try_from(self.index).unwrap_or(u8::MAX)
    }

    /// Notes a sign of life that is none of the exceptions which [`Runaway`] counts.
    #[inline]
    pub const fn note_life(&mut self) {
        self.liveness.is_quiet = false;
    }
}

#[cfg(test)]
mod tests;
