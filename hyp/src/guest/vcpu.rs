//! A vCPU: its registers and what belongs to them.

use core::cell::Cell;

use hyp_core::inject::PstateFeatures;
use hyp_core::sysreg::{CpuView, DebugState};
use hyp_core::vm::{Runaway, Vm};

use crate::arch::context::Framed;
use crate::mm::ports::Hardware;

/// A VM on the real machine.
pub(crate) type GuestVm = Vm<Hardware>;

/// A vCPU as the vectors hand it over.
pub(crate) type Vcpu = Framed<State>;

/// What belongs to a vCPU beside its registers.
#[derive(Debug)]
pub(crate) struct State {
    /// Its number, also that of its CPU.
    pub(crate) index: usize,
    /// Its VM.
    pub(crate) vm: &'static GuestVm,
    /// Its system registers as it sees them.
    pub(crate) view: &'static CpuView,
    /// Its self-hosted debug, beside the registers that the CPU holds for it.
    pub(crate) debug: DebugState,
    /// Accesses are not answered on the short road: HPFAR_EL2 cannot be relied on, or they are
    /// watched.
    pub(crate) long_road: bool,
    /// Interrupts are taken from a GICv3, and nobody counts them: those that come often have a
    /// short way.
    pub(crate) short_interrupts: bool,
    /// HPFAR_EL2 cannot be relied on (Cortex-A57 erratum 834220).
    pub(crate) erratum_834220: bool,
    /// What decides about PSTATE at an exception to EL1 on this machine.
    pub(crate) pstate_features: PstateFeatures,
    /// What it does is traced.
    pub(crate) is_traced: bool,
    /// Whether it still gets anywhere.
    pub(crate) runaway: Cell<Runaway>,
    /// It has shown no sign of life since `runaway` was asked last; see [`State::note_life`].
    pub(crate) quiet: Cell<bool>,
    /// When that is asked again, by the physical counter.
    pub(crate) next_look: Cell<u64>,
}

impl State {
    /// The vCPU got something done that is none of the exceptions that `runaway` counts. One store.
    #[inline(always)]
    pub(crate) fn note_life(&self) {
        self.quiet.set(false);
    }
}
