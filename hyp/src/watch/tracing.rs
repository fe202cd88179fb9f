//! What a traced VM does, for the trace. Nothing here is called for a VM that is not traced, but for
//! what happens once in a VM's life.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hyp_abi::psci;
use hyp_abi::smccc::{FunctionId, owner};
use hyp_abi::trace::{Kind, Range};
use hyp_abi::vendor::{list_2021, pkvm};
use hyp_core::addr::Ipa;
use hyp_core::bundle::{Dialect, VmDescription};
use hyp_core::calls;
use hyp_core::cpu::Seen;
use hyp_core::esr::{Access, Direction};
use hyp_core::events::Event;
use hyp_core::events::trace::{Groups, SeenPages};
use hyp_core::fault::ipa_from_par;
use hyp_core::features::Features;
use hyp_core::insn::is_call;
use hyp_core::memory::SpaceLayout;
use hyp_core::ports::Ports;
use hyp_core::vcpu::{El1, Vcpu};

use crate::arch::{cpu, el1, percpu, sysreg, timer};
use crate::drivers::gic;
use crate::trace;
use crate::vm::system::{self, Instance};

/// Calls after which a page may not be guarded any more, in either dialect.
const UNGUARDS: [FunctionId; 3] =
    [pkvm::MMIO_GUARD_UNMAP, pkvm::MMIO_RGUARD_UNMAP, list_2021::MMIO_GUARD_UNMAP];
/// Calls that do not return unless they are refused.
const FINAL: [FunctionId; 5] = [
    psci::CPU_OFF,
    psci::SYSTEM_OFF,
    psci::SYSTEM_RESET,
    psci::SYSTEM_RESET2_32,
    psci::SYSTEM_RESET2_64,
];
static CPUS: [PerCpu; percpu::MAX_CPUS] = [const { PerCpu::new() }; percpu::MAX_CPUS];

/// What is remembered about a CPU between records.
struct PerCpu {
    vectors: AtomicU64,
    /// When it was counted last.
    counted: AtomicU64,
    counts: [AtomicU32; 8],
}

impl PerCpu {
    const fn new() -> Self {
        Self {
            vectors: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            counts: [const { AtomicU32::new(0) }; 8],
        }
    }
}

/// What is counted, in the order of [`Kind::Counts`].
#[derive(Debug, Clone, Copy)]
enum Counted {
    Call = 0,
    Access = 1,
    Sgi = 2,
    Register = 3,
    Timer = 4,
    Kick = 5,
    Maintenance = 6,
    Other = 7,
}

#[inline(never)]
fn count(what: Counted) {
    let cpu = CPUS.get(percpu::index());
    if let Some(count) = cpu.and_then(|cpu| cpu.counts.get(what as usize)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes a record about an instruction of the guest, after one about its vectors if they moved.
fn write(kind: Kind, pc: u64, arguments: [u64; 5]) {
    let vectors = el1::read(El1::Vbar);
    let known = CPUS.get(percpu::index()).map(|cpu| cpu.vectors.swap(vectors, Ordering::Relaxed));
    if known != Some(vectors) {
        trace::write(Kind::Vectors, 0, [vectors, 0, 0, 0, 0]);
    }
    // SPSR_EL2.M[3:0] is 0 for EL0 in either execution state.
    let is_el0 = sysreg::spsr_el2() & 0xf == 0;
    trace::write_at(kind, pc, is_el0, arguments);
}

/// A VM was made.
#[inline(never)]
pub(crate) fn made(
    vm: u8,
    description: &VmDescription<'_>,
    features: Features,
    layout: &SpaceLayout,
) {
    if !trace::is_on() {
        return;
    }
    let mut name = [0; 5];
    for (word, bytes) in name.iter_mut().zip(description.name.as_bytes().chunks(8)) {
        let mut padded = [0; 8];
        for (to, from) in padded.iter_mut().zip(bytes) {
            *to = *from;
        }
        *word = u64::from_le_bytes(padded);
    }
    trace::of_vm(vm, Kind::VmName, name);
    let dialect = u64::from(description.dialect == Dialect::List2021);
    let guard = u64::from(features.contains(Features::GUARD));
    let shape = description.vcpus as u64 & 0xff | dialect << 8 | guard << 9;
    let entry = description.entry.get();
    let type_word = layout.vm_type.word();
    trace::of_vm(vm, Kind::VmMade, [entry, description.x0(), shape, type_word, 0]);
    for memory in &description.memory {
        range(vm, memory.base(), memory.size(), Range::Memory);
    }
    for image in description.images.iter().chain([&description.tree.image]) {
        range(vm, image.ipa, image.data.len() as u64, Range::Loaded);
    }
    for entry in &layout.bus {
        range(vm, entry.ipa.base(), entry.ipa.size(), Range::Emulated);
    }
    for device in &layout.devices {
        range(vm, device.ipa.base(), device.ipa.size(), Range::Assigned);
    }
    for guarded in &layout.guarded {
        range(vm, guarded.base(), guarded.size(), Range::Guarded);
    }
}

fn range(vm: u8, base: Ipa, bytes: u64, range: Range) {
    trace::of_vm(vm, Kind::VmRange, [base.get(), bytes, range as u64, 0, 0]);
}

/// A VM starts over for the `count`th time.
pub(crate) fn reset(instance: &Instance, count: u64) {
    if trace::is_on() {
        instance.past.used.forget();
        trace::of_vm(instance.vm.number(), Kind::VmReset, [count, 0, 0, 0, 0]);
    }
}

/// A call that is being answered.
pub(crate) struct Call {
    id: FunctionId,
    arguments: [u64; 3],
    pc: u64,
    /// Where the guest goes on if the call is answered.
    next: u64,
    groups: Groups,
}

impl Call {
    /// Notes what `vcpu` calls for. A call that does not return is recorded at once.
    pub(crate) fn note<P: Ports>(vcpu: &Vcpu<'_, P>, is_smc: bool) -> Self {
        count(Counted::Call);
        let [function, a, b, c, ..] = vcpu.frame.x;
        let id = FunctionId::from_x0(function);
        let is_guard = id.owner() == owner::VENDOR_HYP
            && (pkvm::HYP_MEMINFO.function()..=pkvm::MMIO_RGUARD_UNMAP.function())
                .contains(&id.function());
        let groups = if is_guard { Groups::CALLS | Groups::GUARD } else { Groups::CALLS };
        // ELR_EL2 is behind an HVC and at an SMC.
        let pc = sysreg::elr_el2().wrapping_sub(if is_smc { 0 } else { 4 });
        let is_list_2021 = vcpu.vm.features().contains(Features::LIST_2021);
        let arguments = calls::public_arguments(id, is_list_2021, [a, b, c]);
        let call = Self { id, arguments, pc, next: pc.wrapping_add(4), groups };
        if FINAL.contains(&id) {
            call.write(vcpu, 0, 0);
        }
        call
    }

    /// The call has returned to `vcpu`, or is undefined or to be made again: then there is no answer.
    pub(crate) fn answered<P: Ports>(self, vcpu: &Vcpu<'_, P>) {
        if sysreg::elr_el2() == self.next && !FINAL.contains(&self.id) {
            let [x0, x1, ..] = vcpu.frame.x;
            self.write(vcpu, x0, x1);
        }
    }

    fn write<P: Ports>(&self, vcpu: &Vcpu<'_, P>, x0: u64, x1: u64) {
        if !trace::has(self.groups) {
            return;
        }
        let [a, b, c] = self.arguments;
        let x1 = calls::public_answer(self.id, x1);
        write(Kind::Call, self.pc, [u64::from(self.id.0) | x1 << 32, a, b, c, x0]);
        if self.groups.contains(Groups::GUARD) {
            tell_callers_of(vcpu, self.pc);
            if UNGUARDS.contains(&self.id) {
                // The next use of that page is a first one.
                used(vcpu).inspect(|used| used.forget());
            }
        }
    }
}

/// Records what the traced `vcpu` does.
pub(crate) fn seen<P: Ports>(vcpu: &Vcpu<'_, P>, seen: &Seen<'_>) {
    let pc = sysreg::elr_el2();
    match *seen {
        Seen::Populated(fault) if trace::has(Groups::MEMORY) => {
            write(Kind::Populated, pc, [fault.ipa.get(), fault.va.get(), 0, 0, 0]);
        }
        Seen::DeviceMapped(fault) if trace::has(Groups::DEVICES) => {
            write(Kind::DeviceMapped, pc, [fault.ipa.get(), 0, 0, 0, 0]);
        }
        Seen::Undefined if trace::has(Groups::FAULTS) => {
            write(Kind::Undefined, pc, [sysreg::esr_el2(), 0, 0, 0, 0]);
        }
        Seen::Populated(_) | Seen::DeviceMapped(_) | Seen::Undefined => {}
        Seen::Access { ipa, access, value } => {
            if first_use(vcpu, ipa, access, value) {
                tell_callers_of(vcpu, pc);
            }
        }
        // The record about the instruction is made with the event.
        Seen::Refused => tell_callers_of(vcpu, pc),
        Seen::Register { is_sgi } => count(if is_sgi { Counted::Sgi } else { Counted::Register }),
    }
}

/// Tells x30 and the return addresses on the guest's stack, as far as frames are chained by x29
/// (AAPCS64, 6.4.6): the caller's frame, then the return address. Everything there is an allegation: a word
/// that does not stand behind a call is no return address, and stays in the VM.
fn tell_callers_of<P: Ports>(vcpu: &Vcpu<'_, P>, pc: u64) {
    let [.., mut frame, link] = vcpu.frame.x;
    let mut callers = [0; 10];
    let mut places = callers.iter_mut();
    if is_behind_call(vcpu, link) {
        places.next().into_iter().for_each(|place| *place = link);
    }
    for place in places {
        let Some([caller, address]) = frame_at(vcpu, frame) else { break };
        if !is_behind_call(vcpu, address) {
            break;
        }
        *place = address;
        if caller <= frame {
            break;
        }
        frame = caller;
    }
    let [a, b, c, d, e, more @ ..] = callers;
    trace::write(Kind::Callers, pc, [a, b, c, d, e]);
    if more.iter().any(|address| *address != 0) {
        trace::write(Kind::Callers, pc, more);
    }
}

/// Whether the guest has a call in front of `address`.
fn is_behind_call<P: Ports>(vcpu: &Vcpu<'_, P>, address: u64) -> bool {
    let call = address.wrapping_sub(4);
    call.is_multiple_of(4) && read(vcpu, call).is_some_and(|word| is_call(u32::from_le_bytes(word)))
}

/// The two words at `va` of the guest; `None` where it has no memory there.
fn frame_at<P: Ports>(vcpu: &Vcpu<'_, P>, va: u64) -> Option<[u64; 2]> {
    if va == 0 || !va.is_multiple_of(16) {
        return None;
    }
    let bytes: [u8; 16] = read(vcpu, va)?;
    let word = |at: usize| bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word));
    Some([word(0)?, word(8)?])
}

/// Bytes at `va` of the guest, a multiple of their number; `None` where it has no memory there.
#[inline(never)]
fn read_into<P: Ports>(vcpu: &Vcpu<'_, P>, va: u64, bytes: &mut [u8]) -> Option<()> {
    let ipa = ipa_from_par(cpu::translate_el1(va, false), va)?;
    vcpu.vm.space.read(ipa, bytes).ok()
}

/// See [`read_into`].
fn read<const N: usize, P: Ports>(vcpu: &Vcpu<'_, P>, va: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read_into(vcpu, va, &mut bytes).map(|()| bytes)
}

/// A check failed.
pub(crate) fn refused(event: &Event) {
    if trace::has(Groups::FAULTS) {
        let Event { reason, touch, bytes, pc, va, ipa, .. } = *event;
        let kind = u64::from_le_bytes([reason as u8, touch as u8, bytes, 0, 0, 0, 0, 0]);
        write(Kind::Refused, pc, [ipa.get(), va.get(), kind, sysreg::esr_el2(), 0]);
    }
}

/// Pages of emulated devices that the VM has used.
fn used<P: Ports>(vcpu: &Vcpu<'_, P>) -> Option<&'static SeenPages> {
    system::nth(vcpu.vm.number()).map(|instance| &instance.past.used)
}

/// `access` to an emulated register at `ipa` is about to be done; a store writes `value`. Whether there is a
/// record about it.
fn first_use<P: Ports>(vcpu: &Vcpu<'_, P>, ipa: Ipa, access: Access, value: u64) -> bool {
    count(Counted::Access);
    let is_first = || used(vcpu).is_some_and(|used| used.is_first(ipa));
    if !trace::has(Groups::DEVICES) || !is_first() {
        return false;
    }
    let is_store = u64::from(access.direction() == Direction::Write);
    let is_guarded = u64::from(vcpu.vm.space.is_guarded(ipa));
    let arguments = [ipa.get(), is_store, access.width().bytes(), value, is_guarded];
    write(Kind::DeviceUsed, sysreg::elr_el2(), arguments);
    true
}

/// A physical interrupt.
#[cold]
#[inline(never)]
pub(crate) fn interrupt(intid: u32) {
    count(match intid {
        intid if gic::guest_timer(intid).is_some() => Counted::Timer,
        gic::KICK_SGI => Counted::Kick,
        intid if intid == gic::maintenance_intid() => Counted::Maintenance,
        _ => Counted::Other,
    });
}

/// Tells what this CPU has counted since the last time.
pub(crate) fn tell_counts() {
    let Some(cpu) = CPUS.get(percpu::index()) else { return };
    if !trace::has(Groups::COUNTS) {
        return;
    }
    let now = timer::now();
    let ticks = now.wrapping_sub(cpu.counted.swap(now, Ordering::Relaxed));
    let [a, b, c, d, e, f, g, h] =
        cpu.counts.each_ref().map(|count| u64::from(count.swap(0, Ordering::Relaxed)));
    let ticks = ticks.min(u64::from(u32::MAX));
    trace::write(Kind::Counts, 0, [a | b << 32, c | d << 32, e | f << 32, g | h << 32, ticks]);
}
