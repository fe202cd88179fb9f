//! The ghost check: beside the VM runs the model of it, one step for each step, and what tables,
//! answers and power states say is held against what the model says. Only in an image with feature
//! `ghost`, where the doors of EL2 and the loop of a CPU call it.
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

use ::ghost::model::{Access, Answer, Conduit, Event, Kind};
use ::ghost::{Cause, Deed, Section, Space, is_psci};
use alloc::vec::Vec;
use hyp_core::addr::Ipa;
use hyp_core::bundle::VmDescription;
use hyp_core::bus::Register;
use hyp_core::calls::Outcome;
use hyp_core::esr;
use hyp_core::fault::{self, Fault, Verdict};
use hyp_core::inject::{self, GuestState};
use hyp_core::memory::SpaceLayout;
use hyp_core::trap::is_smc;
use hyp_core::tree::machine::Machine;
use hyp_core::vcpu::El1;

use crate::arch::{el1, percpu};
use crate::mm::ports::{self, Watcher};
use crate::trap::Vcpu;
use crate::vm::GuestVm;
use crate::vm::system::Instance;
use lock::Unfair;
use machine::Eyes;
pub(crate) use power::{boot, off, wait};

static SPACE: Unfair<Option<Space>> = Unfair::new(None);

/// SCTLR_EL1.EE.
const EE: u64 = 1 << 25;

/// A VM is about to be made.
pub(crate) fn made(description: &VmDescription<'_>, layout: &SpaceLayout) {
    place::note(description, layout);
}

/// From here on the VM is watched. A boot argument may name damage to be done, for a test.
pub(crate) fn start(instance: &'static Instance, machine: &Machine<'_>) {
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

/// A call of the vCPU, whose syndrome is `esr`, is answered by `op`.
pub(crate) fn call(vcpu: &Vcpu, esr: u64, op: impl FnOnce() -> Outcome) -> Outcome {
    let (vm, index) = (vcpu.vm, vcpu.index);
    let (is_smc, immediate) = (is_smc(esr), (esr & 0xffff) as u16);
    let [x0, x1, x2, x3, ..] = vcpu.frame.x;
    let x = [x0, x1, x2, x3];
    let conduit = if is_smc { Conduit::Smc } else { Conduit::Hvc };
    let event = Event::Call { vcpu: index, conduit, immediate, x };
    if events::is_unknown(x0) {
        return op();
    }
    if is_psci(x0) {
        let is_big_endian = el1::read(El1::Sctlr) & EE != 0;
        return power::watch(vm, index, Deed::Call(event, is_big_endian), op, events::told);
    }
    begin(index, Cause::Event(event));
    let outcome = op();
    judge(vm, index, &events::told(&outcome));
    end(index);
    outcome
}

/// Whether the model has a say about `fault`.
const fn is_modelled(fault: &Fault) -> bool {
    matches!(
        fault.cause,
        esr::Cause::Translation { .. } | esr::Cause::AddressSize | esr::Cause::Permission
    )
}

/// `fault`, in the model's words.
fn access_of(fault: &Fault) -> Access {
    let (kind, bytes, is_described) = match fault.kind {
        _ if fault.is_fetch => (Kind::Fetch, 1, true),
        fault::Kind::Fetch => (Kind::Fetch, 1, true),
        fault::Kind::Walk(_) => (Kind::Walk, 1, true),
        fault::Kind::Maintenance => (Kind::Maintenance, 1, true),
        fault::Kind::Data { direction, access: Some(access) } => {
            (events::kind(direction), access.width().bytes(), true)
        }
        fault::Kind::Data { direction, access: None } => (events::kind(direction), 1, false),
    };
    Access { kind, ipa: fault.ipa.get(), bytes, is_described, from_user: events::is_user() }
}

/// A `fault` of the vCPU is about to be answered.
pub(crate) fn faults(vcpu: &Vcpu, fault: &Fault) {
    if is_modelled(fault) {
        let event = Event::Access { vcpu: vcpu.index, access: access_of(fault) };
        begin(vcpu.index, Cause::Event(event));
    }
}

/// The `fault`, of a guest whose PSTATE was `pstate`, has been answered as `verdict` says.
pub(crate) fn answered(vcpu: &Vcpu, fault: &Fault, pstate: u64, verdict: Verdict<Register>) {
    if !is_modelled(fault) {
        return;
    }
    let (vm, index) = (vcpu.vm, vcpu.index);
    let answer = match verdict {
        Verdict::Retry => {
            with(|space| space.again(index));
            if vm.space.is_memory(fault.ipa) { Answer::Memory(0) } else { Answer::Device }
        }
        Verdict::Populate => Answer::Memory(0),
        Verdict::MapDevice | Verdict::Emulate { .. } => Answer::Device,
        Verdict::Skip => Answer::Skips,
        Verdict::Decode => Answer::Undescribed,
        Verdict::Abort { exception, .. } => Answer::Aborts(esr_of(vcpu, pstate, exception)),
        Verdict::InvalidateTlb => return end(index),
    };
    // Maintenance of what is mapped by now is made again, too.
    let is_maintenance = matches!(fault.kind, fault::Kind::Maintenance) && !fault.is_fetch;
    if !(verdict == Verdict::Retry && is_maintenance) {
        judge(vm, index, &answer);
    }
    end(index);
}

/// ESR_EL1 with which the guest takes `exception`.
fn esr_of(vcpu: &Vcpu, pstate: u64, exception: inject::Exception) -> u64 {
    let guest = GuestState { pc: 0, pstate, vbar_el1: 0, sctlr_el1: 0 };
    inject::take(exception, &guest, vcpu.home.pstate).esr_el1
}

/// No table frame was left for what this CPU's vCPU asked for.
pub(crate) fn out_of_tables() {
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
pub(crate) fn load<T>(op: impl FnOnce() -> T) -> T {
    during(Cause::Load, op)
}

/// EL2 resets the VM by `op`.
pub(crate) fn reset<T>(vm: &GuestVm, op: impl FnOnce() -> T) -> T {
    let op = || during(Cause::Reset, op);
    power::watch(vm, percpu::index(), Deed::Reset, op, |_| Answer::Nothing)
}

/// The VM has stopped: compares everything and says how much was compared.
pub(crate) fn stopped() {
    let Some(eyes) = Eyes::open() else { return };
    let mut tally = power::tally();
    if let Some(space) = SPACE.lock().as_mut() {
        let result = space.compare_all(&eyes);
        report::check(result, space.tally);
        tally.add(space.tally);
    }
    report::tell(tally, 0);
}
