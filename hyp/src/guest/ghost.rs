//! The ghost check: beside the VM runs the model of it, one step for each step, and what tables,
//! answers and power states say is held against what the model says. Only in an image with feature
//! `ghost`; the functions of `ghost_off.rs` stand here otherwise.
//!
//! Who judges is the package `ghost`. Tables are judged under the writer lock of the address space,
//! so that no other vCPU's doing is mixed in and no order of the vCPUs is hidden. What a vCPU was told
//! without a lock must have been right at some moment of its trap; and power states, which change
//! without one, must be explained by some order of what vCPUs do at the same time.

mod events;
mod lock;
mod machine;
mod place;
mod power;
mod provoke;
mod report;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use ::ghost::model::{Access, Answer, Conduit, Event, Kind};
use ::ghost::{Cause, Deed, Section, Space, is_psci};
use hyp_core::addr::Ipa;
use hyp_core::bundle::VmDescription;
use hyp_core::bus::Register;
use hyp_core::calls::Outcome;
use hyp_core::esr::{self, PlainAccess};
use hyp_core::fault::{self, Fault, Verdict};
use hyp_core::inject::{self, GuestState};
use hyp_core::memory::SpaceLayout;
use hyp_core::tree::machine::Machine;

use super::instance::Instance;
use super::vcpu::{GuestVm, Vcpu};
use crate::arch::{percpu, sysreg};
use crate::mm::ports::{self, Watcher};
use lock::Unfair;
use machine::Eyes;
pub(super) use power::{boot, off, wait};

static SPACE: Unfair<Option<Space>> = Unfair::new(None);
/// ESR_EL1 of the exception that the guest of each CPU was made to take last.
static TAKEN: [AtomicU64; percpu::MAX_CPUS] = [const { AtomicU64::new(0) }; percpu::MAX_CPUS];

/// SCTLR_EL1.EE.
const EE: u64 = 1 << 25;

/// A VM is about to be made.
pub(super) fn made(description: &VmDescription<'_>, layout: &SpaceLayout) {
    place::note(description, layout);
}

/// From here on the VM is watched. A boot argument may name damage to be done, for a test.
pub(super) fn start(instance: &'static Instance, machine: &Machine<'_>) {
    let Some(place) = place::take(instance) else { return };
    let vcpus = instance.description.vcpus;
    power::start(&place.config);
    *SPACE.lock() = Some(Space::new(place, vcpus));
    ports::watch(Watcher { opened, settled });
    if let Some(argument) = machine.boot_argument("ghost") {
        provoke::arm(argument);
    }
    // Everything is compared once.
    instance.vm.space.table_use();
}

/// The writer lock of the address space was taken.
fn opened() {
    let Some(eyes) = Eyes::open() else { return };
    let is_alone = eyes.vm.power.alive() <= 1;
    if let Some(space) = SPACE.lock().as_mut()
        && let Err(difference) = space.open(percpu::index(), &eyes, is_alone)
    {
        report::stop(&difference, space.tally);
    }
}

/// The writer lock of the address space is about to be given back.
fn settled(used: (u64, u64), claims: &[Ipa]) {
    let Some(eyes) = Eyes::open() else { return };
    let claims: Vec<u64> = claims.iter().map(|ipa| ipa.get()).collect();
    let cpu = percpu::index();
    let mut space = SPACE.lock();
    let Some(space) = space.as_mut() else { return };
    let section = Section { used, claims: &claims };
    if let Err(difference) = space.section(cpu, &eyes, &section) {
        report::stop(&difference, space.tally);
    }
    provoke::now(&eyes);
}

/// Does something with the judge of the address space.
fn with<T>(f: impl FnOnce(&mut Space) -> T) -> Option<T> {
    SPACE.lock().as_mut().map(f)
}

fn begin(vcpu: usize, cause: Cause) {
    with(|space| space.begin(vcpu, cause));
}

/// Judges what the vCPU is told. Somebody may be in the middle of the change that explains it: so
/// it is asked again once nobody is.
fn judge(vm: &GuestVm, vcpu: usize, answer: &Answer) {
    if with(|space| space.finish(vcpu, answer)).is_some_and(|result| result.is_err()) {
        vm.space.table_use();
        let again = with(|space| space.finish(vcpu, answer).map_err(|error| (error, space.tally)));
        if let Some(Err((difference, tally))) = again {
            report::stop(&difference, tally);
        }
    }
}

fn end(vcpu: usize) {
    with(|space| space.abandon(vcpu));
}

/// A call of the vCPU is answered by `op`.
pub(super) fn call(
    vcpu: &Vcpu,
    is_smc: bool,
    immediate: u16,
    x: [u64; 4],
    op: impl FnOnce() -> Outcome,
) -> Outcome {
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    let [x0, ..] = x;
    let conduit = if is_smc { Conduit::Smc } else { Conduit::Hvc };
    let event = Event::Call { vcpu: index, conduit, immediate, x };
    if events::is_unknown(x0) {
        return op();
    }
    if is_psci(x0) {
        let is_big_endian = sysreg::sctlr_el1() & EE != 0;
        return power::watch(vm, index, Deed::Call(event, is_big_endian), op, events::told);
    }
    begin(index, Cause::Event(event));
    let outcome = op();
    judge(vm, index, &events::told(&outcome));
    end(index);
    outcome
}

/// A described access is about to be answered on the short road.
pub(super) fn described(vcpu: &Vcpu, ipa: Ipa, access: PlainAccess) {
    let access = access.access();
    let access = Access {
        kind: events::kind(access.direction),
        ipa: ipa.get(),
        bytes: access.width.bytes(),
        is_described: true,
        from_user: events::is_user(),
    };
    let index = vcpu.state.index;
    begin(index, Cause::Event(Event::Access { vcpu: index, access }));
}

/// It reaches a device.
pub(super) fn reaches(vcpu: &Vcpu) {
    judge(vcpu.state.vm, vcpu.state.index, &Answer::Device);
    end(vcpu.state.index);
}

/// The guest has been made to take an abort for it.
pub(super) fn refused(vcpu: &Vcpu) {
    let esr = TAKEN.get(vcpu.state.index).map_or(0, |taken| taken.load(Ordering::Relaxed));
    judge(vcpu.state.vm, vcpu.state.index, &Answer::Aborts(esr));
    end(vcpu.state.index);
}

/// A fault is judged by `op`.
pub(super) fn fault(
    vcpu: &Vcpu,
    fault: &Fault,
    op: impl FnOnce() -> Verdict<Register>,
) -> Verdict<Register> {
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    if !matches!(
        fault.cause,
        esr::Cause::Translation { .. } | esr::Cause::AddressSize | esr::Cause::Permission
    ) {
        return op();
    }
    let (kind, bytes, is_described) = match fault.kind {
        _ if fault.is_fetch => (Kind::Fetch, 1, true),
        fault::Kind::Fetch => (Kind::Fetch, 1, true),
        fault::Kind::Walk(_) => (Kind::Walk, 1, true),
        fault::Kind::Maintenance => (Kind::Maintenance, 1, true),
        fault::Kind::Data { direction, access: Some(access) } => {
            (events::kind(direction), access.width.bytes(), true)
        }
        fault::Kind::Data { direction, access: None } => (events::kind(direction), 1, false),
    };
    let access =
        Access { kind, ipa: fault.ipa.get(), bytes, is_described, from_user: events::is_user() };
    begin(index, Cause::Event(Event::Access { vcpu: index, access }));
    let verdict = op();
    let answer = match verdict {
        Verdict::Retry => {
            with(|space| space.again(index));
            if vm.space.is_memory(fault.ipa) { Answer::Memory(0) } else { Answer::Device }
        }
        Verdict::Populate => Answer::Memory(0),
        Verdict::MapDevice | Verdict::Emulate { .. } => Answer::Device,
        Verdict::Skip => Answer::Skips,
        Verdict::Decode => Answer::Undescribed,
        Verdict::Abort { exception, .. } => Answer::Aborts(esr_of(vcpu, exception)),
        Verdict::InvalidateTlb => return verdict,
    };
    // Maintenance of what is mapped by now is made again, too.
    if !(verdict == Verdict::Retry && kind == Kind::Maintenance) {
        judge(vm, index, &answer);
    }
    verdict
}

/// ESR_EL1 with which the guest takes `exception`.
fn esr_of(vcpu: &Vcpu, exception: inject::Exception) -> u64 {
    let guest = GuestState { pc: 0, pstate: sysreg::spsr_el2(), vbar_el1: 0, sctlr_el1: 0 };
    inject::take(exception, &guest, vcpu.state.pstate_features).esr_el1
}

/// What the verdict asks for has been done.
pub(super) fn done(vcpu: usize) {
    end(vcpu);
}

/// The guest is made to take an exception with this ESR_EL1.
pub(super) fn takes(esr: u64) {
    if let Some(taken) = TAKEN.get(percpu::index()) {
        taken.store(esr, Ordering::Relaxed);
    }
}

/// No table frame was left for what this CPU's vCPU asked for.
pub(super) fn out_of_tables() {
    with(|space| space.refused(percpu::index()));
}

/// EL2 does `op` for `cause`.
fn during<T>(cause: Cause, op: impl FnOnce() -> T) -> T {
    let cpu = percpu::index();
    begin(cpu, cause);
    let result = op();
    end(cpu);
    result
}

/// EL2 loads the VM's memory by `op`.
pub(super) fn load<T>(op: impl FnOnce() -> T) -> T {
    during(Cause::Load, op)
}

/// EL2 resets the VM by `op`.
pub(super) fn reset<T>(vm: &GuestVm, op: impl FnOnce() -> T) -> T {
    let op = || during(Cause::Reset, op);
    power::watch(vm, percpu::index(), Deed::Reset, op, |_| Answer::Nothing)
}

/// The VM has stopped: compares everything and says how much was compared.
pub(super) fn stopped() {
    let Some(eyes) = Eyes::open() else { return };
    let mut tally = power::tally();
    if let Some(space) = SPACE.lock().as_mut() {
        let result = space.compare_all(&eyes);
        report::check(result, space.tally);
        tally.add(space.tally);
    }
    report::tell(tally, 0);
}
