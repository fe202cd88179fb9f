//! Power states, which change without a lock: each change is told before and after.

use ::ghost::model::{Answer, Config, Start};
use ::ghost::{Deed, Power, Tally};
use hyp_core::psci;

use super::lock::Unfair;
use super::machine::seen;
use super::report;
use crate::arch::percpu;
use crate::vm::GuestVm;

static POWER: Unfair<Option<Power>> = Unfair::new(None);

/// From here on the power states of the VM that `config` describes are watched.
pub(super) fn start(config: &Config) {
    *POWER.lock() = Some(Power::new(config));
}

/// What was compared.
pub(super) fn tally() -> Tally {
    POWER.lock().as_ref().map(|power| power.tally).unwrap_or_default()
}

/// CPU `cpu` does `deed` by `op`, and what `answer` makes of the result is judged. Only the telling is
/// under a lock: `op` meets those of other CPUs as it does in any image.
pub(super) fn watch<T>(
    vm: &GuestVm,
    cpu: usize,
    deed: Deed,
    op: impl FnOnce() -> T,
    answer: impl FnOnce(&T) -> Answer,
) -> T {
    if let Some(power) = POWER.lock().as_mut() {
        power.begin(cpu, deed);
    }
    let result = op();
    if let Some(power) = POWER.lock().as_mut() {
        let verdict = power.finish(cpu, &answer(&result), &seen(vm).seen());
        report::check(verdict, power.tally);
    }
    result
}

/// EL2 starts the VM by `op`.
pub(crate) fn boot<T>(vm: &GuestVm, op: impl FnOnce() -> T) -> T {
    watch(vm, percpu::index(), Deed::Boot, op, |_| Answer::Nothing)
}

/// The vCPU looks by `op` whether it is to start.
pub(crate) fn wait(
    vm: &GuestVm,
    vcpu: usize,
    op: impl FnOnce() -> Option<psci::Start>,
) -> Option<psci::Start> {
    watch(vm, vcpu, Deed::Wait(vcpu), op, |start| match start {
        Some(start) => Answer::Starts(Start {
            entry: start.entry,
            context: start.context,
            is_big_endian: start.big_endian,
        }),
        None => Answer::Nothing,
    })
}

/// The vCPU goes off by `op`.
pub(crate) fn off<T>(vm: &GuestVm, vcpu: usize, op: impl FnOnce() -> T) -> T {
    watch(vm, vcpu, Deed::Off(vcpu), op, |_| Answer::Nothing)
}
