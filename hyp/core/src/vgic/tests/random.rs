//! Random register writes, lines, acknowledges and ends, on the implementation with simulated
//! list registers and on the oracle; what either shows must be the same at every step.

use super::super::{SgiRegister, vmcr};
use super::fake::SPURIOUS;
use super::machine::{Machine, SGI_FRAME};
use super::oracle::Oracle;
use crate::esr::Width;
use hyp_abi::vplatform::SPIS;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[derive(Debug, Clone)]
enum Step {
    /// Register of the bit sets (offset bits 9:7), word, value.
    Bits(u64, usize, usize, u32),
    Priority(usize, u32, u8),
    Config(u32, bool),
    Route(u32, usize),
    Control(u32),
    Sgi(u64, u32, bool),
    Line(u32, bool),
    Timer(bool, bool),
    Mask(u8, bool, bool),
    Acknowledge,
    End,
}

fn any_step(vcpus: usize) -> impl Strategy<Value = Step> {
    // Few distinct interrupts and priorities, so that they meet.
    let intid = prop_oneof![0u32..3, 25u32..31, 32u32..40, 126u32..128];
    let spi = prop_oneof![32u32..40, 126u32..128];
    let value = prop_oneof![
        Just(!0u32),
        prop::collection::vec(intid.clone(), 1..5)
            .prop_map(|list| list.iter().fold(0, |bits, n| bits | 1 << (n & 31)))
    ];
    prop_oneof![
        4 => (1u64..8, 0usize..4, 0..vcpus, value).prop_map(|(a, b, c, d)| Step::Bits(a, b, c, d)),
        2 => (0..vcpus, intid, any::<u8>()).prop_map(|(a, b, c)| Step::Priority(a, b, c)),
        1 => (spi.clone(), any::<bool>()).prop_map(|(a, b)| Step::Config(a, b)),
        2 => (spi.clone(), 0..vcpus + 1).prop_map(|(a, b)| Step::Route(a, b)),
        1 => prop_oneof![3 => Just(3u32), 1 => 0u32..4].prop_map(Step::Control),
        3 => (0u64..256, 0u32..3, any::<bool>()).prop_map(|(a, b, c)| Step::Sgi(a, b, c)),
        4 => (spi, any::<bool>()).prop_map(|(a, b)| Step::Line(a, b)),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Step::Timer(a, b)),
        1 => (prop_oneof![Just(0xffu8), any::<u8>()], any::<bool>(), any::<bool>())
            .prop_map(|(a, b, c)| Step::Mask(a, b, c)),
        8 => Just(Step::Acknowledge),
        7 => Just(Step::End),
    ]
}

struct Pair {
    machine: Machine,
    oracle: Oracle,
    /// Software may make interrupts active: only where list registers do not run out, since
    /// deactivation then need not follow the priorities.
    free_activation: bool,
}

impl Pair {
    fn new(vcpus: usize, list_registers: usize) -> Self {
        let machine = Machine::started(vcpus, list_registers);
        let mut oracle = Oracle::new(vcpus, SPIS);
        oracle.group0_on = true;
        oracle.group1_on = true;
        for irq in oracle.private.iter_mut().flatten().chain(&mut oracle.spis) {
            irq.enabled = true;
            irq.group1 = true;
        }
        for cpu in &mut oracle.cpus {
            (cpu.pmr, cpu.group0, cpu.group1) = (0xff, true, true);
        }
        Self { machine, oracle, free_activation: list_registers == 16 }
    }

    /// Bits of `word` that some vCPU acknowledged and has not ended.
    fn in_service(&self, target: usize, word: usize) -> u32 {
        let stacks = self.oracle.cpus.iter().enumerate();
        stacks.fold(0, |bits, (vcpu, cpu)| {
            let mine = cpu.stack.iter().filter(|&&(intid, _)| {
                intid as usize / 32 == word && (word != 0 || vcpu == target)
            });
            mine.fold(bits, |bits, &(intid, _)| bits | 1 << (intid & 31))
        })
    }

    fn active(&self) -> u32 {
        let all = self.oracle.private.iter().flatten().chain(&self.oracle.spis);
        all.map(|irq| u32::from(irq.active)).sum()
    }

    fn write_bits(&mut self, vcpu: usize, kind: u64, word: usize, target: usize, value: u32) {
        let value = match kind {
            6 if !self.free_activation || self.active().saturating_add(value.count_ones()) > 12 => {
                return;
            }
            // Ending an interrupt that was deactivated behind its back is a guest's bug.
            7 => value & !self.in_service(target, word),
            _ => value,
        };
        if word == 0 {
            self.machine.redist_write(vcpu, target, SGI_FRAME + kind * 0x80, u64::from(value));
        } else {
            self.machine.dist_write(vcpu, kind * 0x80 + 4 * word as u64, u64::from(value));
        }
        let first = u32::try_from(32 * word).unwrap();
        for n in 0..32 {
            let is_set = value & 1 << n != 0;
            let irq = self.oracle.get(target, first + n);
            match kind {
                1 => irq.group1 = is_set,
                _ if !is_set => {}
                2 => irq.enabled = true,
                3 => irq.enabled = false,
                4 => irq.latch = true,
                5 => irq.latch = false,
                6 => irq.active = true,
                _ => irq.active = false,
            }
        }
    }

    fn apply(&mut self, vcpu: usize, step: &Step) {
        match *step {
            Step::Bits(kind, word, target, value) => {
                self.write_bits(vcpu, kind, word, target, value);
            }
            Step::Priority(target, intid, priority) => {
                if self.oracle.get(target, intid).active {
                    return;
                }
                let value = u64::from(priority);
                if intid < 32 {
                    let offset = SGI_FRAME + 0x400 + u64::from(intid);
                    self.machine.redist_write_as(vcpu, target, offset, Width::Byte, value);
                } else {
                    let offset = 0x400 + u64::from(intid);
                    self.machine.dist_write_as(vcpu, offset, Width::Byte, value);
                }
                self.oracle.get(target, intid).priority = priority & 0xf8;
            }
            Step::Config(intid, edge) => {
                // Anything else is unpredictable (IHI0069, GICD_ICFGR).
                let irq = self.oracle.get(0, intid);
                if irq.active || irq.latch || irq.line {
                    return;
                }
                irq.edge = edge;
                let offset = 0xc00 + u64::from(intid / 16) * 4;
                let old = self.machine.dist_read(vcpu, offset);
                let field = 2 << (2 * (intid % 16));
                let value = if edge { old | field } else { old & !field };
                self.machine.dist_write(vcpu, offset, value);
            }
            Step::Route(intid, target) => {
                let offset = 0x6000 + 8 * u64::from(intid);
                self.machine.dist_write_as(vcpu, offset, Width::Double, target as u64);
                let vcpus = self.oracle.cpus.len();
                self.oracle.get(0, intid).target = (target < vcpus).then_some(target);
            }
            Step::Control(value) => {
                self.machine.dist_write(vcpu, 0, u64::from(value));
                self.oracle.group0_on = value & 1 != 0;
                self.oracle.group1_on = value & 2 != 0;
            }
            Step::Sgi(targets, intid, group0_only) => {
                let register = if group0_only { SgiRegister::Sgi0 } else { SgiRegister::Sgi1 };
                self.machine.sgi(vcpu, register, u64::from(intid) << 24 | targets);
                for target in 0..self.oracle.cpus.len() {
                    let irq = self.oracle.get(target, intid);
                    irq.latch |= targets & 1 << target != 0 && !(group0_only && irq.group1);
                }
            }
            Step::Line(intid, level) => {
                self.machine.line(intid, level);
                self.oracle.set_line(0, intid, level);
            }
            Step::Timer(is_virtual, level) => {
                let intid = if is_virtual { 27 } else { 30 };
                let irq = self.oracle.get(vcpu, intid);
                irq.optional |= irq.line && !level && !irq.active;
                self.oracle.set_line(vcpu, intid, level);
                self.machine.timer(vcpu, intid, level);
            }
            Step::Mask(pmr, group0, group1) => {
                let cpu = &mut self.oracle.cpus[vcpu];
                (cpu.pmr, cpu.group0, cpu.group1) = (pmr, group0, group1);
                let fake = &mut self.machine.cpus[vcpu];
                fake.pmr = pmr;
                fake.vmcr =
                    if group0 { vmcr::VENG0 } else { 0 } | if group1 { vmcr::VENG1 } else { 0 };
                self.machine.settle();
            }
            Step::Acknowledge => {
                let got = self.machine.acknowledge(vcpu);
                let got = (got != SPURIOUS).then_some(got);
                if let Err(expected) = self.oracle.check_acknowledge(vcpu, got) {
                    panic!("vCPU {vcpu} took {got:?}, waiting were {expected:?}");
                }
                if let Some(intid) = got {
                    self.oracle.acknowledge(vcpu, intid);
                }
            }
            Step::End => {
                if let Some(intid) = self.oracle.end(vcpu) {
                    self.machine.end(vcpu, intid);
                }
            }
        }
    }

    /// Every register of one word, read by `reader`, against the oracle.
    fn compare(&mut self, reader: usize, target: usize, word: usize) {
        let mut read = |kind: u64| {
            let value = if word == 0 {
                self.machine.redist_read(reader, target, SGI_FRAME + kind * 0x80)
            } else {
                self.machine.dist_read(reader, kind * 0x80 + 4 * word as u64)
            };
            u32::try_from(value).unwrap()
        };
        let got: Vec<u32> = (1..8).map(&mut read).collect();
        let oracle = &self.oracle;
        assert_eq!(got[0], oracle.bits(target, word, |irq| irq.group1), "groups");
        let enabled = oracle.bits(target, word, |irq| irq.enabled);
        assert_eq!((got[1], got[2]), (enabled, enabled), "enables");
        let pending = oracle.bits(target, word, super::oracle::Interrupt::pending);
        let mut optional = oracle.bits(target, word, |irq| irq.optional);
        if reader != target && word == 0 {
            // Another CPU's timer lines cannot be sampled; what the model knows of them ends with
            // the acknowledgement.
            optional |= oracle.bits(target, word, |irq| irq.active) & (1 << 27 | 1 << 30);
        }
        assert_eq!(got[3] & !optional, pending & !optional, "pending of word {word}");
        assert_eq!(got[4] & !optional, pending & !optional);
        let active = oracle.bits(target, word, |irq| irq.active);
        assert_eq!((got[5], got[6]), (active, active), "active of word {word}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn behaves_like_the_plain_model(
        list_registers in prop_oneof![Just(1usize), Just(2), Just(4), Just(16)],
        steps in prop::collection::vec((0usize..3, any_step(3)), 1..120),
    ) {
        let mut pair = Pair::new(3, list_registers);
        for (n, (vcpu, step)) in steps.iter().enumerate() {
            pair.apply(*vcpu, step);
            if n % 4 == 3 {
                pair.compare((vcpu + n) % 3, *vcpu, n / 4 % 4);
            }
        }
        // Lines fall, and everything that still waits is delivered in the end.
        for intid in 32..128 {
            if pair.oracle.get(0, intid).line {
                pair.apply(0, &Step::Line(intid, false));
            }
        }
        for vcpu in 0..3 {
            pair.apply(vcpu, &Step::Timer(true, false));
            pair.apply(vcpu, &Step::Timer(false, false));
            pair.apply(vcpu, &Step::Mask(0xff, true, true));
            while !pair.oracle.cpus[vcpu].stack.is_empty() {
                pair.apply(vcpu, &Step::End);
            }
            while pair.machine.cpus[vcpu].has_interrupt() {
                pair.apply(vcpu, &Step::Acknowledge);
                pair.apply(vcpu, &Step::End);
            }
            pair.apply(vcpu, &Step::Acknowledge);
        }
    }
}
