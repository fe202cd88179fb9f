//! The VM that is judged: `hyp-core` on a machine made of host memory, with this file in the place
//! of the shell.

use std::cell::Cell;

use hyp_core::addr::{Ipa, Pa, Va};
use hyp_core::calls::{Mitigation, Outcome, Workaround, answer};
use hyp_core::esr::{self, Cause, Direction, Width};
use hyp_core::fault::{Fault, Kind as FaultKind, Use, Verdict, judge};
use hyp_core::inject::{GuestState, PstateFeatures, take};
use hyp_core::memory::{AddressSpace, Populated};
use hyp_core::psci::Start as CoreStart;
use hyp_core::stage2::{Leaf, Mapping};
use hyp_core::testing::FakeMachine;
use hyp_core::vgic::{GicVersion, Kicks};
use hyp_core::vm::{Caller, Left, Shell, Stop, Vm};
use model::{Access, Answer, Choice, Conduit, Event, Kind, PAGE, Start};

use super::place::Options;

/// The CPU that a vCPU calls from.
#[derive(Default)]
struct Cpu {
    sctlr: Cell<u64>,
    is_interrupted: Cell<bool>,
    is_out_of_tables: Cell<bool>,
    kicked: Cell<Kicks>,
}

impl Shell for Cpu {
    fn sctlr_el1(&self) -> u64 {
        self.sctlr.get()
    }
    fn mair_el1(&self) -> u64 {
        0x000c_0804_00ff
    }
    fn is_interrupt_pending(&self) -> bool {
        self.is_interrupted.get()
    }
    fn kick(&self, cpu: usize) {
        self.kicked.set(Kicks::NONE.with(cpu));
    }
    fn mitigation(&self, _: Workaround) -> Mitigation {
        Mitigation::Unaffected
    }
    fn mitigate(&self, _: Workaround) {}
    fn entropy(&self) -> Option<[u64; 3]> {
        None
    }
    fn send(&self, _: u8, _: impl FnMut() -> Option<u8>) {}
    fn receive_again(&self) {}
    fn time_out_soon(&self) {}
    fn guard_quota_exceeded(&self, _: u8, _: usize, _: Ipa) {
        self.is_out_of_tables.set(true);
    }
}

/// SCTLR_EL1.EE.
const EE: u64 = 1 << 25;

/// One VM and its CPUs.
pub(crate) struct Subject<'m> {
    pub(crate) machine: &'m FakeMachine,
    pub(crate) vm: Vm<&'m FakeMachine>,
    pub(crate) vcpus: usize,
    big_endian: Vec<bool>,
}

impl<'m> Subject<'m> {
    /// A VM with tables in `machine`, which watches over them if it is to.
    pub(crate) fn new(machine: &'m FakeMachine, options: &Options, is_watched: bool) -> Self {
        let layout = options.layout();
        let (vmid, bits) = (layout.vmid, layout.vm_type.ipa_bits());
        let space = AddressSpace::new(machine, layout, machine.frames()).unwrap();
        if is_watched {
            // Up to 16 tables lie side by side: 34 bits in those of level 2, more in those of 1.
            let start = if bits <= 34 { 2 } else { 1 };
            machine.watch(machine.frames().base(), bits, start, vmid);
        }
        let boot = options.config().boot;
        let boot =
            CoreStart { entry: boot.entry, context: boot.context, big_endian: boot.is_big_endian };
        let vm = Vm::new(space, options.features(), options.vcpus, GicVersion::V3, 5, boot);
        vm.start();
        Self { machine, vm, vcpus: options.vcpus, big_endian: vec![false; options.vcpus] }
    }

    /// Lets `event` happen; `interrupted` where an interrupt waits meanwhile.
    pub(crate) fn apply(&mut self, event: &Event, interrupted: bool) -> (Answer, Choice) {
        let none = Choice::default();
        match *event {
            Event::Wait { vcpu } => (self.wait(vcpu), none),
            Event::Endianness { vcpu, is_big } => {
                self.big_endian[vcpu] = is_big;
                (Answer::Nothing, none)
            }
            Event::Access { access, .. } => (self.access(&access, interrupted), none),
            Event::Call { vcpu, conduit, immediate, x } => {
                self.call(vcpu, conduit == Conduit::Smc, immediate, x, interrupted)
            }
        }
    }

    fn wait(&mut self, vcpu: usize) -> Answer {
        let Some(start) = self.vm.power.take_start(vcpu) else { return Answer::Nothing };
        assert!(self.vm.life.enter(), "no stop is under way");
        self.big_endian[vcpu] = start.big_endian;
        let CoreStart { entry, context, big_endian: is_big_endian } = start;
        Answer::Starts(Start { entry, context, is_big_endian })
    }

    fn call(
        &mut self,
        vcpu: usize,
        is_smc: bool,
        immediate: u16,
        x: [u64; 4],
        interrupted: bool,
    ) -> (Answer, Choice) {
        let cpu = Cpu::default();
        cpu.sctlr.set(if self.big_endian[vcpu] { EE } else { 0 });
        cpu.is_interrupted.set(interrupted);
        let caller = Caller { vcpu: 0, vm: &self.vm, shell: &cpu };
        let outcome = answer(&caller, is_smc, immediate, x);
        let mut choice = Choice::default();
        let answer = match outcome {
            Outcome::Done(answered) => {
                let [x0, x1, ..] = answered;
                let is_error = x0.cast_signed() < 0;
                let is_relinquish = x[0] & 0xffff_ffff == 0xc600_0009;
                choice.refuse = is_error && (cpu.is_out_of_tables.get() || is_relinquish);
                choice.granules = x1;
                if matches!(x[0] & 0xbfff_ffff, 0x8400_0003) && x0 == 0 {
                    let target = (x[1] & 0xff) as usize;
                    assert!(cpu.kicked.get().contains(target), "a started vCPU is woken");
                }
                Answer::Returns(answered)
            }
            Outcome::Suspend => Answer::Suspends,
            Outcome::CpuOff => {
                self.vm.power.turn_off(vcpu);
                assert!(!matches!(self.vm.life.leave(), Left::Last(_)));
                Answer::TurnsOff
            }
            Outcome::SystemOff => {
                self.stop(Stop::Off);
                Answer::PowersOff
            }
            Outcome::SystemReset => {
                self.stop(Stop::Reset);
                self.vm.reset(&Cpu::default()).unwrap();
                self.vm.start();
                self.vm.life.restart();
                self.big_endian.fill(false);
                Answer::Resets
            }
            Outcome::Undefined => Answer::Undefined,
            Outcome::Replay => {
                choice.replay = true;
                Answer::Replays
            }
        };
        (answer, choice)
    }

    /// All vCPUs that run leave; the last one is told why.
    fn stop(&self, reason: Stop) {
        assert!(self.vm.life.request(reason));
        let running = (0..self.vcpus).filter(|vcpu| self.vm.power.is_on(*vcpu)).count();
        for left in (0..running).rev() {
            let expected = if left == 0 { Left::Last(reason) } else { Left::OthersRun };
            assert_eq!(self.vm.life.leave(), expected);
        }
    }

    fn is_mapped(&self, ipa: u64) -> bool {
        matches!(self.vm.space.lookup(Ipa(ipa)), Leaf::Valid(_))
    }

    /// Lets `access` fault until it is answered. One that crosses a page's end faults on the first
    /// of its pages that is not mapped, and on none where both are.
    fn access(&self, access: &Access, interrupted: bool) -> Answer {
        let last = access.ipa.saturating_add(access.bytes - 1) / PAGE * PAGE;
        let is_memory = self.vm.space.is_memory(Ipa(access.ipa));
        let crosses = last > access.ipa && access.is_described && !is_memory;
        for _ in 0..3 {
            let is_mapped = self.is_mapped(access.ipa);
            let is_plain = matches!(access.kind, Kind::Load | Kind::Store(_));
            let ipa = if is_plain && is_mapped && crosses { last } else { access.ipa };
            if is_plain && !self.vm.space.is_memory(Ipa(ipa)) && self.is_mapped(ipa) {
                return Answer::Device;
            }
            let access = Access { ipa, ..*access };
            if let Some(answer) = self.fault(&access, is_mapped, interrupted) {
                return answer;
            }
        }
        panic!("it faults again and again");
    }

    /// What comes of one fault; `None` where the instruction is to be executed again.
    fn fault(&self, access: &Access, is_mapped: bool, interrupted: bool) -> Option<Answer> {
        let ipa = Ipa(access.ipa);
        Some(match judge(&self.vm, &fault(access, is_mapped)) {
            Verdict::Retry if self.vm.space.is_memory(ipa) => self.memory(access, interrupted),
            Verdict::Populate => self.memory(access, interrupted),
            // What is mapped does not fault: the machine maintains its caches by itself.
            Verdict::Retry if access.kind == Kind::Maintenance => Answer::Skips,
            Verdict::Retry => return None,
            Verdict::MapDevice => {
                self.vm.space.map_device(ipa).unwrap();
                return None;
            }
            Verdict::Emulate { .. } => Answer::Device,
            Verdict::Skip => Answer::Skips,
            Verdict::Decode => Answer::Undescribed,
            Verdict::Abort { exception, .. } => {
                let pstate = if access.from_user { 0 } else { 0b0101 };
                let guest = GuestState { pc: 0, pstate, vbar_el1: 0, sctlr_el1: 0 };
                Answer::Aborts(take(exception, &guest, PstateFeatures::default()).esr_el1)
            }
            Verdict::InvalidateTlb => panic!("no such fault was made"),
        })
    }

    /// An access to memory, again and again until it is there.
    fn memory(&self, access: &Access, mut interrupted: bool) -> Answer {
        let ipa = Ipa(access.ipa);
        let mut rounds = 0;
        while self.vm.space.populate(ipa, || interrupted).unwrap() != Populated::Mapped {
            interrupted = rounds % 3 == 0;
            rounds += 1;
            assert!(rounds < 100, "populating comes to no end");
        }
        let Leaf::Valid(Mapping { pa, .. }) = self.vm.space.lookup(ipa) else {
            panic!("{ipa} was populated and is not mapped");
        };
        let page = Pa(pa.0 / PAGE * PAGE);
        if let Kind::Store(value) = access.kind {
            self.machine.poke(page, value);
        }
        Answer::Memory(self.machine.peek(page))
    }
}

/// What the hardware reports of `access`. A walk through a page that is mapped faults only because
/// HCR_EL2.PTW forbids walks in device memory.
fn fault(access: &Access, mapped: bool) -> Fault {
    let direction =
        if matches!(access.kind, Kind::Store(_)) { Direction::Write } else { Direction::Read };
    let width = match access.bytes {
        1 => Width::Byte,
        2 => Width::Half,
        4 => Width::Word,
        _ => Width::Double,
    };
    let described = esr::Access::new(direction, width, 1, false, true);
    let is_walk = access.kind == Kind::Walk;
    Fault {
        ipa: Ipa(access.ipa),
        va: Va(access.ipa),
        cause: if mapped && is_walk { Cause::Permission } else { Cause::Translation { level: 3 } },
        kind: match access.kind {
            Kind::Fetch => FaultKind::Fetch,
            Kind::Walk => FaultKind::Walk(Use::Read),
            Kind::Maintenance => FaultKind::Maintenance,
            Kind::Load | Kind::Store(_) => {
                FaultKind::Data { direction, access: access.is_described.then_some(described) }
            }
        },
        is_fetch: access.kind == Kind::Fetch,
    }
}
