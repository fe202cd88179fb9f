//! Power states, which change without a lock: here under one of the ghost check's.

use ::ghost::model::{Config, Start};
use ::ghost::{Difference, Power, Seen, Tally};
use hyp_core::psci;

use super::lock::Unfair;
use super::machine::seen;
use super::report;
use crate::guest::vcpu::GuestVm;

static POWER: Unfair<Option<Power>> = Unfair::new(None);

/// From here on the power states of the VM that `config` describes are watched.
pub(super) fn start(config: &Config) {
    *POWER.lock() = Some(Power::new(config));
}

/// What was compared.
pub(super) fn tally() -> Tally {
    POWER.lock().as_ref().map(|power| power.tally).unwrap_or_default()
}

/// Does `op`, which changes power states, and has the result judged by `judge`.
pub(super) fn change<T>(
    vm: &GuestVm,
    op: impl FnOnce() -> T,
    judge: impl FnOnce(&mut Power, &T, &Seen<'_>) -> Result<(), Difference>,
) -> T {
    let mut power = POWER.lock();
    let result = op();
    if let Some(power) = power.as_mut() {
        let verdict = judge(power, &result, &seen(vm).seen());
        report::check(verdict, power.tally);
    }
    result
}

/// EL2 starts the VM by `op`.
pub(in crate::guest) fn boot<T>(vm: &GuestVm, op: impl FnOnce() -> T) -> T {
    change(vm, op, |power, _, seen| power.boot(seen))
}

/// The vCPU looks by `op` whether it is to start.
pub(in crate::guest) fn wait(
    vm: &GuestVm,
    vcpu: usize,
    op: impl FnOnce() -> Option<psci::Start>,
) -> Option<psci::Start> {
    change(vm, op, |power, start, seen| {
        let start = start.map(|start| Start {
            entry: start.entry,
            context: start.context,
            is_big_endian: start.big_endian,
        });
        power.wait(vcpu, start, seen)
    })
}

/// The vCPU goes off by `op`.
pub(in crate::guest) fn off<T>(vm: &GuestVm, vcpu: usize, op: impl FnOnce() -> T) -> T {
    change(vm, op, |power, _, seen| power.off(vcpu, seen))
}
