//! Two kinds of CPUs in one machine.

use super::*;
use crate::calls::Mitigation;
use crate::esr::{Direction, SysReg, SysRegAccess};
use crate::features::{Dialect, FeatureOptions, Features};
use crate::sysreg::host::ID_REGISTERS;
use crate::sysreg::{Answer, CpuView, TrapControls};
use crate::vgic::GicVersion;
use IdRegister::Isar0;
use proptest::prelude::*;
use std::vec::Vec;

fn cpu(midr: u64, fields: &[(IdRegister, u64)]) -> HostId {
    let mut host =
        HostId { registers: [0; ID_REGISTERS], midr, revidr: 0, aidr: 0, pmcr: 0, mpamidr: 0 };
    for &(register, value) in fields {
        host.registers[register as usize] = value;
    }
    host
}

/// Cortex-A53 r0p4 and Cortex-A72 r0p3 (their technical reference manuals, chapter 4), which are built
/// into one machine: the physical addresses of the first have 40 bits, of the second 44.
fn little() -> HostId {
    a_cpu_with(0x410f_d034, 0x1122)
}

fn big() -> HostId {
    a_cpu_with(0x410f_d083, 0x1124)
}

fn a_cpu_with(midr: u64, mmfr0: u64) -> HostId {
    cpu(midr, &[(Pfr0, 0x0100_2222), (Dfr0, 0x1030_5106), (Isar0, 0x1_1120), (Mmfr0, mmfr0)])
}

fn together(one: &HostId, two: &HostId) -> HostId {
    let mut both = one.clone();
    both.restrict(two);
    both
}

/// One field of one register, on both CPUs.
fn field(register: IdRegister, shift: u32, one: u64, two: u64) -> u64 {
    let of = |value: u64| cpu(0, &[(register, value << shift)]);
    let both = together(&of(one), &of(two));
    assert_eq!(both, together(&of(two), &of(one)), "order does not matter");
    both.get(register) >> shift
}

#[test]
fn the_lower_value_is_safe_but_for_some() {
    // AES, physical address range.
    assert_eq!((field(Isar0, 4, 2, 0), field(Mmfr0, 0, 2, 4)), (0, 2));
    // Floating point: 0xf is none, 1 has half precision.
    for shift in [16, 20] {
        assert_eq!((field(Pfr0, shift, 0xf, 1), field(Pfr0, shift, 0, 1)), (0xf, 0));
    }
    // Granules of 64 and 4 KiB: 0xf is none. Of 16 KiB: 0 is none.
    assert_eq!((field(Mmfr0, 24, 0, 0xf), field(Mmfr0, 28, 0xf, 1)), (0xf, 0xf));
    assert_eq!(field(Mmfr0, 20, 0, 1), 0);
    // Pointer authentication by different algorithms is none.
    for (register, shift) in [(Isar1, 4), (Isar1, 8), (Isar2, 12)] {
        assert_eq!((field(register, shift, 5, 5), field(register, shift, 3, 5)), (5, 0));
    }
    // An SError that one CPU can have, a guest can meet.
    assert_eq!(field(Mmfr1, 24, 0, 1), 1);
    // A private performance monitor is none.
    assert_eq!(field(Dfr0, 8, 0xf, 6), 0xf);
}

#[test]
fn a_pair_that_is_built_differs_in_one_field() {
    let (little, big) = (little(), big());
    assert_eq!(little.differences(&big).collect::<Vec<_>>(), ["ID_AA64MMFR0"]);
    assert_eq!(little.differences(&little).count(), 0);
    let both = together(&big, &little);
    assert_eq!((both.pa_bits(), both.get(Mmfr0)), (40, 0x1122));
    assert_eq!(both.midr, big.midr);
    // One is in order and needs no workaround, the other does.
    let (safe, unsafe_one) = (Mitigations::from_id(&little), Mitigations::from_id(&big));
    assert_eq!((safe.one, unsafe_one.one), (Mitigation::Unaffected, Mitigation::Vulnerable));
    assert_eq!(safe.worst(unsafe_one), unsafe_one);
}

#[test]
fn the_worst_cpu_speaks_for_all() {
    let all = |state| Mitigations { one: state, two: state, three: state };
    let (bad, fixed, good) =
        (all(Mitigation::Vulnerable), all(Mitigation::Mitigated), all(Mitigation::Unaffected));
    assert_eq!(good.worst(fixed), fixed);
    assert_eq!(fixed.worst(bad), bad);
    assert_eq!(bad.worst(good), bad);
    assert_eq!(good.worst(good), good);
}

#[test]
fn what_one_cpu_lacks_is_hidden_and_trapped_on_the_other() {
    let keys = cpu(0, &[(Isar1, 0x10)]);
    let plain = cpu(0, &[]);
    let common = together(&keys, &plain);
    let features = Features::new(&FeatureOptions {
        is_protected: false,
        dialect: Dialect::Pkvm,
        with_guard: false,
        smc_is_undefined: false,
        has_entropy: true,
    });
    let view = CpuView::new(&common, features, 40, GicVersion::V3);
    assert_eq!(view.id(Isar1), 0);
    const API_APK: u64 = 0b11 << 40;
    assert_eq!(TrapControls::new(&keys, &keys, features).hcr & API_APK, API_APK);
    assert_eq!(TrapControls::new(&keys, &common, features).hcr & API_APK, 0);
    // What must be hidden on a CPU is asked of that CPU, whatever the others have.
    let monitors = cpu(0, &[(Dfr0, 6 << 8)]);
    let common = together(&monitors, &plain);
    let traps = TrapControls::new(&monitors, &common, features);
    assert_eq!(traps.mdcr, TrapControls::new(&monitors, &monitors, features).mdcr);
    assert_ne!(traps.mdcr, TrapControls::new(&plain, &common, features).mdcr);
}

#[test]
fn a_cpu_keeps_its_own_revision() {
    let mut rare = little();
    (rare.revidr, rare.aidr) = (0x80, 7);
    let features = Features::new(&FeatureOptions {
        is_protected: true,
        dialect: Dialect::Pkvm,
        with_guard: true,
        smc_is_undefined: false,
        has_entropy: true,
    });
    let view = CpuView::new(&together(&big(), &rare), features, 40, GicVersion::V2);
    let reads = |view: &CpuView, register| {
        view.answer(&SysRegAccess { register, direction: Direction::Read, rt: 0 })
    };
    let (revidr, aidr) = (SysReg::new(3, 0, 0, 0, 6), SysReg::new(3, 1, 0, 0, 7));
    assert_eq!((reads(&view, revidr), reads(&view, aidr)), (Answer::Value(0), Answer::Value(0)));
    let view = view.on(&rare);
    assert_eq!((reads(&view, revidr), reads(&view, aidr)), (Answer::Value(0x80), Answer::Value(7)));
    assert_eq!(view.id(Mmfr0) & 0xf, 2);
    assert_eq!(TrapControls::new(&rare, &big(), features).vpidr, rare.midr);
}

proptest! {
    /// Restricting is a meet: the order of CPUs does not matter, nor does asking one twice.
    #[test]
    fn order_does_not_matter(registers: [[u64; ID_REGISTERS]; 3]) {
        let [a, b, c] = registers.map(|registers| HostId { registers, ..cpu(0, &[]) });
        prop_assert_eq!(together(&a, &a), a.clone());
        prop_assert_eq!(together(&a, &b), together(&b, &a));
        let ab = together(&a, &b);
        prop_assert_eq!(together(&ab, &b), ab.clone());
        let left = together(&ab, &c);
        let right = together(&a, &together(&b, &c));
        prop_assert_eq!(left, right);
    }
}
