//! Kicks, timers and maintenance interrupts that arrive late and in any order: no edge may get
//! lost or come twice, and everything that can be delivered is in the end.

use super::super::{Kicks, Read, RegisterFile, SgiRegister};
use super::fake::SPURIOUS;
use super::machine::{Machine, SGI_FRAME};
use crate::esr::Width;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const VCPUS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// An edge on SPI 32 + n, unless the one before is still on its way.
    Pulse(u32),
    /// SGI n from the acting vCPU to another, under the same condition.
    Sgi(u32, usize),
    Route(u32, usize),
    Enable(u32, bool),
    Group(bool),
    Read(u64),
    /// The acting vCPU takes its kick.
    Kick,
    Maintenance,
    Acknowledge,
    End,
}

fn any_step() -> impl Strategy<Value = Step> {
    let n = 0u32..6;
    prop_oneof![
        4 => n.clone().prop_map(Step::Pulse),
        3 => (n.clone(), 0..VCPUS).prop_map(|(a, b)| Step::Sgi(a, b)),
        3 => (n.clone(), 0..VCPUS).prop_map(|(a, b)| Step::Route(a, b)),
        2 => (n, any::<bool>()).prop_map(|(a, b)| Step::Enable(a, b)),
        1 => any::<bool>().prop_map(Step::Group),
        2 => (4u64..8).prop_map(Step::Read),
        4 => Just(Step::Kick),
        3 => Just(Step::Maintenance),
        6 => Just(Step::Acknowledge),
        6 => Just(Step::End),
    ]
}

struct Late {
    machine: Machine,
    /// Sent and not acknowledged, by target (SPIs: none) and INTID.
    under_way: BTreeMap<(Option<usize>, u32), bool>,
    stacks: Vec<Vec<u32>>,
}

impl Late {
    fn key(vcpu: usize, intid: u32) -> (Option<usize>, u32) {
        ((intid < 32).then_some(vcpu), intid)
    }

    fn start(&mut self, target: usize, intid: u32) -> bool {
        !self.under_way.insert(Self::key(target, intid), true).unwrap_or(false)
    }

    fn apply(&mut self, vcpu: usize, step: &Step) {
        let waits = match *step {
            Step::Pulse(n) => !self.start(vcpu, 32 + n),
            Step::Sgi(n, target) => !self.start(target, n),
            _ => false,
        };
        if waits {
            return;
        }
        let m = &mut self.machine;
        let cpu = &mut m.cpus[vcpu];
        let kicks = match *step {
            Step::Pulse(n) => m.vgic.pulse_spi(32 + n),
            Step::Sgi(n, target) => {
                let value = u64::from(n) << 24 | 1 << target;
                m.vgic.sgi(vcpu, SgiRegister::Sgi1, value, cpu)
            }
            Step::Route(n, target) => {
                let offset = 0x6100 + 8 * u64::from(n);
                m.vgic.write(
                    vcpu,
                    RegisterFile::Distributor,
                    offset,
                    Width::Double,
                    target as u64,
                    cpu,
                )
            }
            Step::Enable(n, on) => {
                let offset = if on { 0x104 } else { 0x184 };
                m.vgic.write(vcpu, RegisterFile::Distributor, offset, Width::Word, 1 << n, cpu)
            }
            Step::Group(on) => m.vgic.write(
                vcpu,
                RegisterFile::Distributor,
                0,
                Width::Word,
                if on { 3 } else { 1 },
                cpu,
            ),
            Step::Read(kind) => match m.vgic.read(
                vcpu,
                RegisterFile::Distributor,
                kind * 0x80 + 4,
                Width::Word,
                cpu,
            ) {
                Read::Again(kicks) => kicks,
                Read::Value(_) => Kicks::NONE,
            },
            Step::Kick if m.kicked.contains(vcpu) => {
                m.kicked = m.kicked.without(vcpu);
                m.vgic.sync(vcpu, cpu)
            }
            Step::Maintenance if cpu.has_maintenance() => m.vgic.maintenance(vcpu, cpu),
            Step::Kick | Step::Maintenance => Kicks::NONE,
            Step::Acknowledge => {
                let intid = cpu.acknowledge();
                if intid != SPURIOUS {
                    let was = self.under_way.insert(Self::key(vcpu, intid), false);
                    assert_eq!(was, Some(true), "{intid} on vCPU {vcpu} came twice");
                    self.stacks[vcpu].push(intid);
                }
                return;
            }
            Step::End => {
                if let Some(intid) = self.stacks[vcpu].pop() {
                    cpu.end(intid);
                }
                return;
            }
        };
        m.kicked |= kicks;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_or_doubled_however_late_kicks_are(
        list_registers in prop_oneof![Just(1usize), Just(2), Just(4), Just(16)],
        steps in prop::collection::vec((0..VCPUS, any_step()), 1..200),
    ) {
        let mut machine = Machine::started(VCPUS, list_registers);
        machine.dist_write(0, 0xc08, !0);
        machine.redist_write(0, 0, SGI_FRAME + 0x100, !0);
        let mut late = Late { machine, under_way: BTreeMap::new(), stacks: vec![vec![]; VCPUS] };
        for (vcpu, step) in &steps {
            late.apply(*vcpu, step);
        }
        // The guest turns everything on again; whatever is on its way arrives.
        late.machine.dist_write(0, 0x104, !0);
        late.machine.dist_write(0, 0, 3);
        for _ in 0..40 {
            for vcpu in 0..VCPUS {
                while !late.stacks[vcpu].is_empty() {
                    late.apply(vcpu, &Step::End);
                    late.machine.settle();
                }
                late.apply(vcpu, &Step::Acknowledge);
                late.machine.settle();
            }
        }
        let lost: Vec<_> = late.under_way.iter().filter(|(_, under_way)| **under_way).collect();
        prop_assert!(lost.is_empty(), "lost: {:?}", lost);
    }
}
