//! Random register writes, SGIs, lines, acknowledges and ends on the GICv2 model with simulated list
//! registers and on the oracle; what either shows must be the same at every step.

use super::fake::SPURIOUS;
use super::machine::Machine;
use super::oracle::Oracle;
use crate::esr::Width;
use crate::vgic::vmcr;
use hyp_abi::vplatform::SPIS;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[derive(Debug, Clone)]
enum Step {
    /// Register of the bit sets (offset bits 9:7), word, value.
    Bits(u64, usize, u32),
    Priority(u32, u8),
    Config(u32, bool),
    /// GICD_ITARGETSR of an SPI.
    Targets(u32, u8),
    Control(u32),
    /// GICD_SGIR.
    Sgir(u32),
    /// GICD_SPENDSGIR or GICD_CPENDSGIR of an SGI.
    Senders(bool, u32, u8),
    Line(u32, bool),
    Timer(bool, bool),
    Mask(u8, bool, bool),
    Acknowledge,
    End,
}

fn any_step() -> impl Strategy<Value = Step> {
    // Few distinct interrupts and priorities, so that they meet.
    let intid = prop_oneof![0u32..3, 25u32..31, 32u32..40, 126u32..128];
    let spi = prop_oneof![32u32..40, 126u32..128];
    let value = prop_oneof![
        Just(!0u32),
        prop::collection::vec(intid.clone(), 1..5)
            .prop_map(|list| list.iter().fold(0, |bits, n| bits | 1 << (n & 31)))
    ];
    prop_oneof![
        4 => (1u64..8, 0usize..4, value).prop_map(|(a, b, c)| Step::Bits(a, b, c)),
        2 => (intid, any::<u8>()).prop_map(|(a, b)| Step::Priority(a, b)),
        1 => (spi.clone(), any::<bool>()).prop_map(|(a, b)| Step::Config(a, b)),
        2 => (spi.clone(), 0u8..16).prop_map(|(a, b)| Step::Targets(a, b)),
        1 => prop_oneof![3 => Just(3u32), 1 => 0u32..4].prop_map(Step::Control),
        6 => (0u32..4, 0u32..16, 0u32..3).prop_map(|(a, b, c)| Step::Sgir(a << 24 | b << 16 | c)),
        2 => (any::<bool>(), 0u32..3, 0u8..16).prop_map(|(a, b, c)| Step::Senders(a, b, c)),
        3 => (spi, any::<bool>()).prop_map(|(a, b)| Step::Line(a, b)),
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
    /// What IAR said of the interrupts that each vCPU acknowledged and has not ended.
    taken: Vec<Vec<u32>>,
    /// Software may make interrupts active: only where list registers do not run out, since
    /// deactivation then need not follow the priorities.
    free_activation: bool,
}

impl Pair {
    fn new(vcpus: usize, list_registers: usize) -> Self {
        let machine = Machine::started_v2(vcpus, list_registers);
        let mut oracle = Oracle::new(vcpus, SPIS);
        oracle.group0_on = true;
        oracle.group1_on = true;
        for irq in oracle.private.iter_mut().flatten().chain(&mut oracle.spis) {
            irq.enabled = true;
        }
        for cpu in &mut oracle.cpus {
            (cpu.pmr, cpu.group0, cpu.group1) = (0xff, true, true);
        }
        let free_activation = list_registers == 16;
        Self { machine, oracle, taken: vec![Vec::new(); vcpus], free_activation }
    }

    /// Bits of `word` as `vcpu` sees it that some vCPU acknowledged and has not ended.
    fn in_service(&self, vcpu: usize, word: usize) -> u32 {
        let stacks = self.oracle.cpus.iter().enumerate();
        stacks.fold(0, |bits, (owner, cpu)| {
            let mine = cpu
                .stack
                .iter()
                .filter(|&&(intid, _)| intid as usize / 32 == word && (word != 0 || owner == vcpu));
            mine.fold(bits, |bits, &(intid, _)| bits | 1 << (intid & 31))
        })
    }

    fn active(&self) -> u32 {
        let all = self.oracle.private.iter().flatten().chain(&self.oracle.spis);
        all.map(|irq| u32::from(irq.active)).sum()
    }

    fn write_bits(&mut self, vcpu: usize, kind: u64, word: usize, value: u32) {
        let value = match kind {
            6 if !self.free_activation || self.active().saturating_add(value.count_ones()) > 12 => {
                return;
            }
            // Ending an interrupt that was deactivated behind its back is a guest's bug.
            7 => value & !self.in_service(vcpu, word),
            _ => value,
        };
        self.machine.v2_write(vcpu, kind * 0x80 + 4 * word as u64, value);
        let first = u32::try_from(32 * word).unwrap();
        for n in 0..32 {
            let is_set = value & 1 << n != 0;
            let is_sgi = first + n < 16;
            let irq = self.oracle.get(vcpu, first + n);
            match kind {
                1 => irq.group1 = is_set,
                _ if !is_set => {}
                2 => irq.enabled = true,
                3 => irq.enabled = is_sgi,
                4 | 5 if is_sgi => {}
                4 => irq.latch = true,
                5 => irq.latch = false,
                6 => irq.active = true,
                _ => irq.active = false,
            }
        }
    }

    fn apply(&mut self, vcpu: usize, step: &Step) {
        let vcpus = self.oracle.cpus.len();
        match *step {
            Step::Bits(kind, word, value) => self.write_bits(vcpu, kind, word, value),
            Step::Priority(intid, priority) => {
                if self.oracle.get(vcpu, intid).active {
                    return;
                }
                let (offset, value) = (0x400 + u64::from(intid), u64::from(priority));
                self.machine.v2_write_as(vcpu, offset, Width::Byte, value);
                self.oracle.get(vcpu, intid).priority = priority & 0xf8;
            }
            Step::Config(intid, edge) => {
                // Anything else is unpredictable (IHI0048B, 4.3.13).
                let irq = self.oracle.get(0, intid);
                if irq.active || irq.latch || irq.line {
                    return;
                }
                irq.edge = edge;
                let offset = 0xc00 + u64::from(intid / 16) * 4;
                let old = self.machine.v2_read(vcpu, offset);
                let field = 2 << (2 * (intid % 16));
                self.machine.v2_write(vcpu, offset, if edge { old | field } else { old & !field });
            }
            Step::Targets(intid, targets) => {
                let offset = 0x800 + u64::from(intid);
                self.machine.v2_write_as(vcpu, offset, Width::Byte, u64::from(targets));
                let target = (0..vcpus).find(|n| targets & 1 << n != 0);
                self.oracle.get(0, intid).target = target;
                let got = self.machine.v2_read_as(vcpu, offset, Width::Byte);
                assert_eq!(got, u64::from(targets) & ((1 << vcpus) - 1));
            }
            Step::Control(value) => {
                self.machine.v2_write(vcpu, 0, value);
                self.oracle.group0_on = value & 1 != 0;
                self.oracle.group1_on = value & 2 != 0;
            }
            Step::Sgir(value) => {
                self.machine.v2_write(vcpu, 0xf00, value);
                for target in 0..vcpus {
                    let reached = match value >> 24 {
                        0 => value & 0x1_0000 << target != 0,
                        1 => target != vcpu,
                        2 => target == vcpu,
                        _ => false,
                    };
                    if reached {
                        self.oracle.get(target, value & 0xf).senders |= 1 << vcpu;
                    }
                }
            }
            Step::Senders(set, intid, senders) => {
                let offset = if set { 0xf20 } else { 0xf10 } + u64::from(intid);
                self.machine.v2_write_as(vcpu, offset, Width::Byte, u64::from(senders));
                let irq = self.oracle.get(vcpu, intid);
                let senders = senders & ((1 << vcpus) - 1);
                irq.senders = if set { irq.senders | senders } else { irq.senders & !senders };
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
            Step::Acknowledge => self.acknowledge(vcpu),
            Step::End => {
                if self.oracle.end(vcpu).is_some() {
                    let iar = self.taken[vcpu].pop().unwrap();
                    self.machine.end(vcpu, iar);
                }
            }
        }
    }

    fn acknowledge(&mut self, vcpu: usize) {
        let iar = self.machine.acknowledge(vcpu);
        let got = (iar != SPURIOUS).then_some(iar & 0x3ff);
        if let Err(expected) = self.oracle.check_acknowledge(vcpu, got) {
            panic!("vCPU {vcpu} took {got:?}, waiting were {expected:?}");
        }
        match got {
            Some(intid @ 0..16) => self.oracle.acknowledge_sgi(vcpu, intid, iar >> 10),
            Some(intid) => {
                assert_eq!(iar, intid, "only SGIs have a sender");
                self.oracle.acknowledge(vcpu, intid);
            }
            None => return,
        }
        self.taken[vcpu].push(iar);
    }

    /// Every register of one word, as `vcpu` reads it, against the oracle.
    fn compare(&mut self, vcpu: usize, word: usize) {
        let mut read = |kind: u64| self.machine.v2_read(vcpu, kind * 0x80 + 4 * word as u64);
        let got: Vec<u32> = (1..8).map(&mut read).collect();
        let oracle = &self.oracle;
        assert_eq!(got[0], oracle.bits(vcpu, word, |irq| irq.group1), "groups");
        let enabled = oracle.bits(vcpu, word, |irq| irq.enabled);
        assert_eq!((got[1], got[2]), (enabled, enabled), "enables");
        let pending = oracle.bits(vcpu, word, super::oracle::Interrupt::pending);
        let optional = oracle.bits(vcpu, word, |irq| irq.optional);
        assert_eq!(got[3] & !optional, pending & !optional, "pending of word {word}");
        assert_eq!(got[4] & !optional, pending & !optional);
        let active = oracle.bits(vcpu, word, |irq| irq.active);
        assert_eq!((got[5], got[6]), (active, active), "active of word {word}");
        let senders = [0, 1, 2, 3].map(|n| oracle.private[vcpu][n].senders);
        for base in [0xf10, 0xf20] {
            assert_eq!(self.machine.v2_read(vcpu, base), u32::from_le_bytes(senders), "senders");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn behaves_like_the_plain_model(
        list_registers in prop_oneof![Just(1usize), Just(2), Just(4), Just(16)],
        steps in prop::collection::vec((0usize..3, any_step()), 1..120),
    ) {
        let mut pair = Pair::new(3, list_registers);
        for (n, (vcpu, step)) in steps.iter().enumerate() {
            pair.apply(*vcpu, step);
            if n % 4 == 3 {
                pair.compare(*vcpu, n / 4 % 4);
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
