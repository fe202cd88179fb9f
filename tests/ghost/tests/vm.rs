//! `hyp-core` on a machine made of host memory, under the eyes of the ghost: threads in the place of
//! CPUs, and damage that has to be seen.

#![cfg(test)]

#[path = "vm/machine.rs"]
mod machine;

use std::thread;

use ghost::model::{Access, Kind};

use machine::{Cpu, Machine};

const RAM: u64 = machine::RAM;
const PAGE: u64 = 4096;
const MAP: u64 = 0xc600_0007;
const UNMAP: u64 = 0xc600_0008;
const SHARE: u64 = 0xc600_0003;
const UNSHARE: u64 = 0xc600_0004;
const ENROLL: u64 = 0xc600_0006;
const RELINQUISH: u64 = 0xc600_0009;
const RANGE_MAP: u64 = 0xc600_000a;
const RANGE_UNMAP: u64 = 0xc600_000b;

/// xorshift64*: the same histories each time, but for how threads meet.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn of(&mut self, list: &[u64]) -> u64 {
        let index = self.below(list.len() as u64);
        *list.iter().cycle().nth(index.try_into().unwrap()).unwrap()
    }
}

fn load(ipa: u64) -> Access {
    Access { kind: Kind::Load, ipa, bytes: 4, is_described: true, from_user: false }
}

/// A few pages again and again, so that vCPUs meet.
fn something(cpu: &Cpu<'_>, random: &mut Random) {
    let memory = [RAM, RAM + PAGE, RAM + 5 * PAGE, RAM + (2 << 20), machine::HIGH];
    let devices = [
        machine::CONSOLE,
        machine::GIC,
        machine::GIC + PAGE,
        machine::DEVICE,
        machine::DEVICE + PAGE,
        0xb00_0000,
        0xb00_1000,
        0xc000_0000,
        machine::PRE_GUARDED,
    ];
    match random.below(16) {
        0..=3 => cpu.call([MAP, random.of(&devices), 0, 0]),
        4..=5 => cpu.call([UNMAP, random.of(&devices), 0, 0]),
        6 => cpu.call([RANGE_MAP, random.of(&devices), random.below(70), 0]),
        7 => cpu.call([RANGE_UNMAP, random.of(&devices), random.below(70), 0]),
        8..=9 => cpu.call([SHARE, random.of(&memory), 0, 0]),
        10 => cpu.call([UNSHARE, random.of(&memory), 0, 0]),
        11 => cpu.call([RELINQUISH, random.of(&memory), 0, 0]),
        12 => {
            cpu.call([random.of(&[ENROLL, MAP, SHARE, 0x8600_0000]), random.below(1 << 33), 0, 0])
        }
        13 => cpu.touch(load(random.of(&memory))),
        _ => cpu.touch(load(random.of(&devices) + random.below(3) * 0x7ff)),
    }
}

fn race(is_protected: bool, vcpus: usize, steps: u64) {
    let machine = Machine::new(is_protected, vcpus);
    thread::scope(|scope| {
        for vcpu in 0..vcpus {
            let machine = &machine;
            scope.spawn(move || {
                let cpu = Cpu { machine, vcpu };
                let mut random = Random(vcpu as u64 * 77 + 5);
                (0..steps).for_each(|_| something(&cpu, &mut random));
            });
        }
    });
    let tally = machine.finish();
    println!("{vcpus} vCPUs: {tally:?}");
    assert!(tally.transitions > steps / 4, "{tally:?}");
    assert!(tally.comparisons > 20 * tally.transitions, "{tally:?}");
}

#[test]
fn what_threads_do_at_once_is_explained() {
    race(true, 3, 400);
    race(false, 4, 400);
}

#[test]
fn one_vcpu_is_explained_to_the_byte() {
    race(true, 1, 1000);
    race(false, 1, 1000);
}

#[test]
fn a_reset_is_explained() {
    let machine = Machine::new(true, 1);
    let cpu = Cpu { machine: &machine, vcpu: 0 };
    let mut random = Random(9);
    for _ in 0..3 {
        (0..100).for_each(|_| something(&cpu, &mut random));
        machine.reset();
    }
    machine.finish();
}

/// What another vCPU wrote to memory that has just come is nobody's fault, also if that vCPU is off by the
/// time it is looked at.
#[test]
fn memory_is_looked_at_only_where_nobody_wrote_to_it() {
    let machine = Machine::new(true, 1);
    let cpu = Cpu { machine: &machine, vcpu: 0 };
    machine.disturb();
    cpu.touch(load(RAM));
    machine.finish();
}

/// A VM in which there is one of everything: what is found after `damage`.
fn damaged(damage: impl Fn(u64) -> Option<u64>) -> String {
    let machine = Machine::new(true, 1);
    let cpu = Cpu { machine: &machine, vcpu: 0 };
    cpu.touch(load(RAM));
    cpu.call([SHARE, RAM + PAGE, 0, 0]);
    cpu.call([MAP, machine::CONSOLE, 0, 0]);
    cpu.call([MAP, machine::DEVICE, 0, 0]);
    machine.finish();
    machine.damage(damage);
    machine.try_finish().expect_err("the damage is not seen").to_string()
}

#[test]
fn damage_is_seen_and_named() {
    let memory = |raw: u64| raw & 0xfff == 0x7ff && raw >> 55 == 0;
    let device = |raw: u64| raw >> 55 == 4;
    let seen = |damage: &dyn Fn(u64) -> Option<u64>, text: &str| {
        let found = damaged(damage);
        assert!(found.contains(text), "{text}: {found}");
    };
    seen(&|raw| (raw == 4).then_some(0), "the model says guarded, the machine nothing");
    seen(&|raw| memory(raw).then_some(0), "says memory, owned, the machine nothing");
    seen(&|raw| memory(raw).then_some(raw | 1 << 55), "memory, owned, the machine memory, shared");
    seen(
        &|raw| (raw >> 55 == 1).then_some(raw & !(1 << 55)),
        "memory, shared, the machine memory, owned",
    );
    // Its neighbour's memory; write-through; read-only; not executable; contiguous.
    for bit in [1 << 12, 1 << 3, 1 << 7, 1 << 54, 1 << 52] {
        seen(&|raw| memory(raw).then_some(raw ^ bit), "an entry that nothing explains");
    }
    seen(
        &|raw| device(raw).then_some(raw ^ 7 << 55),
        "the machine a device, mapped and not guarded",
    );
    seen(&|raw| device(raw).then_some(raw & !(1 << 54)), "an entry that nothing explains");
    // A mark that says something else.
    seen(&|raw| (raw == 4).then_some(12), "an entry that nothing explains");
}

#[test]
fn a_wrong_answer_is_seen() {
    let machine = Machine::new(true, 1);
    let cpu = Cpu { machine: &machine, vcpu: 0 };
    let error = cpu.lie([MAP, machine::CONSOLE, 0, 0], [0, 1, 0, 0]).unwrap_err().to_string();
    assert!(error.contains("MMIO_GUARD_MAP(0x9000000, 0x0, 0x0)"), "{error}");
    assert!(
        error.contains(
            "the model says x0 to x3 = 0x0, 0x0, 0x0, 0x0, the machine x0 to x3 = 0x0, 0x1"
        )
    );
    // Refused without a reason, and success where nothing came of it.
    let machine = Machine::new(true, 1);
    let cpu = Cpu { machine: &machine, vcpu: 0 };
    let refused = [(-3i64).cast_unsigned(), 0, 0, 0];
    assert!(cpu.lie([MAP, machine::CONSOLE, 0, 0], refused).is_err());
    let machine = Machine::new(true, 1);
    let cpu = Cpu { machine: &machine, vcpu: 0 };
    assert!(cpu.lie([MAP, RAM, 0, 0], [0; 4]).is_err());
}
