//! From the end of boot on: each CPU runs its vCPU.
//!
//! Boot's own code is not mapped any more, so nothing here, nor anything that this leads to, may
//! call it. `cargo xtask build` checks that (`linker/hyp.ld`, `.boot`).

use alloc::boxed::Box;
use core::cell::Cell;
use core::ops::Range;

use hyp_core::sysreg::{DebugState, TrapControls};
use hyp_core::vgic::GicVersion;
use hyp_core::vm::Runaway;

use super::vcpu::{State, Vcpu};
use super::{events, instance, power, traps};
use crate::arch::stage2::{self, Regime};
use crate::arch::{cpu, ident, percpu};
use crate::drivers::gic;
use crate::mm::{el2_map, leftover, provoke};
use crate::{console, injection, machine, smp, trace};

/// Ends boot, whose code lies at `boot`, and runs the VM, for ever. `crash` is an address of boot's
/// that is to be run after that, for a test.
#[inline(never)]
pub(super) fn begin(boot: Range<usize>, has_interrupt: bool, crash: Option<usize>) -> ! {
    if cfg!(feature = "inject") {
        leftover::check(&boot);
        leftover::check_secrets();
    }
    // The ghost check's image is not laid out so that nothing needs boot's code any more.
    if !cfg!(feature = "ghost") {
        el2_map::forget_boot(boot);
    }
    if let Some(address) = crash {
        provoke::run(address);
    }
    console::go_live(has_interrupt);
    smp::release(run_cpu);
    run_cpu(percpu::index())
}

/// What a CPU does for the rest of its life.
fn run_cpu(index: usize) -> ! {
    let (Some(instance), Some(facts)) = (instance::get(), machine::facts()) else { cpu::park() };
    if index >= instance.description.vcpus {
        cpu::park();
    }
    let own = ident::host_id();
    let space = &instance.vm.space;
    prepare_cpu(&Regime {
        vttbr: space.vttbr(),
        vtcr: space.vtcr(facts.host.pa_bits()),
        traps: TrapControls::new(&own, &facts.host, instance.features),
    });
    let state = State {
        index,
        vm: &instance.vm,
        view: Box::leak(Box::new(instance.view.on(&own))),
        debug: DebugState::new(),
        short_interrupts: gic::version() == GicVersion::V3 && !trace::is_on(),
        long_road: machine::has_erratum_834220(index) || events::is_watched(),
        erratum_834220: machine::has_erratum_834220(index),
        pstate_features: facts.pstate,
        is_traced: trace::is_on(),
        runaway: Cell::new(Runaway::new()),
        quiet: Cell::new(false),
        next_look: Cell::new(0),
    };
    // Decided here and not at each call.
    let call = if state.is_traced { traps::traced_call } else { traps::trap_call };
    power::run(Box::leak(Box::new(Vcpu::new(state, call))))
}

/// Makes this CPU ready for vCPUs of `regime`.
fn prepare_cpu(regime: &Regime) {
    stage2::install(regime);
    injection::raise_line();
    gic::ppis().into_iter().for_each(gic::enable_ppi);
}
