//! From the end of boot on: each CPU runs its vCPU.
//!
//! Boot's own code is not mapped any more, so nothing here, nor anything that this leads to, may
//! call it. `cargo xtask build` checks that (`linker/hyp.ld`, `.boot`).

use alloc::boxed::Box;
use core::ops::Range;

use hyp_core::sysreg::TrapControls;
use hyp_core::vcpu::Home;

use crate::arch::stage2::{self, Regime};
use crate::arch::{cpu, ident, percpu};
use crate::drivers::gic;
use crate::mm::{el2_map, leftover, provoke};
use crate::trap::Vcpu;
use crate::vm::system;
use crate::{console, machine, smp, trace};

/// Ends boot, whose code lies at `boot`, and runs the VMs, for ever. `crash` is an address of boot's
/// that is to be run after that, for a test.
#[inline(never)]
pub(crate) fn begin(boot: Range<usize>, has_interrupt: bool, crash: Option<usize>) -> ! {
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
    let (Some((instance, vcpu)), Some(facts)) = (system::on(index), machine::facts()) else {
        cpu::park()
    };
    let own = ident::host_id();
    let space = &instance.vm.space;
    prepare_cpu(&Regime {
        vttbr: space.vttbr(),
        vtcr: space.vtcr(facts.host.pa_bits()),
        traps: TrapControls::new(&own, &facts.host, instance.features),
    });
    let home = Home { pstate: facts.pstate, erratum_834220: machine::has_erratum_834220(index) };
    let view = instance.view.on(&own);
    let vcpu = Vcpu::new(&instance.vm, vcpu, view, home, trace::is_on());
    super::run(Box::leak(Box::new(vcpu)))
}

/// Makes this CPU ready for vCPUs of `regime`.
fn prepare_cpu(regime: &Regime) {
    stage2::install(regime);
    injected!(raise_line());
    gic::ppis().into_iter().for_each(gic::enable_ppi);
}
