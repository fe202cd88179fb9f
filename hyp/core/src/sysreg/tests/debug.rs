//! Self-hosted debug of normal VMs.

use super::*;
use crate::esr::SysRegAccess;
use crate::features::{Dialect, FeatureOptions, Features};
use crate::sysreg::host::{HostId, ID_REGISTERS, IdRegister};
use crate::sysreg::{Answer, CpuView, TrapControls};
use crate::vgic::GicVersion;
use std::vec::Vec;

/// A CPU of which nothing is known but how many breakpoints and watchpoints it has.
struct Unit {
    control: u64,
    points: [u64; 64],
}

impl Unit {
    const JUNK: u64 = 0xdead_beef_0bad_f00d;
    const LEFT_BEHIND: Self = Self { control: Self::JUNK, points: [Self::JUNK; 64] };
}

impl DebugUnit for Unit {
    fn set_control(&mut self, value: u64) {
        self.control = value;
    }

    fn set_point(&mut self, point: Point, value: u64) {
        self.points[point.index()] = value;
    }
}

/// A vCPU on a CPU with `breakpoints` and `watchpoints`, as it starts.
fn start(breakpoints: u64, watchpoints: u64) -> (DebugState, Unit) {
    let mut unit = Unit::LEFT_BEHIND;
    clear_debug(&mut unit, dfr0(breakpoints, watchpoints));
    let state = DebugState::new();
    state.load(&mut unit);
    (state, unit)
}

/// ID_AA64DFR0_EL1 of a CPU with so many, each 1 to 16 (Arm ARM: BRPs 15:12, WRPs 23:20, less one).
fn dfr0(breakpoints: u64, watchpoints: u64) -> u64 {
    6 | (breakpoints - 1) << 12 | (watchpoints - 1) << 20
}

fn features(is_protected: bool) -> Features {
    Features::new(&FeatureOptions {
        is_protected,
        dialect: Dialect::Pkvm,
        with_guard: false,
        smc_is_undefined: false,
        has_entropy: true,
    })
}

fn machine(dfr0: u64) -> HostId {
    let mut host =
        HostId { registers: [0; ID_REGISTERS], midr: 0, revidr: 0, aidr: 0, pmcr: 0, mpamidr: 0 };
    host.registers[IdRegister::Dfr0 as usize] = dfr0;
    host
}

fn view(dfr0: u64, is_protected: bool) -> CpuView {
    CpuView::new(&machine(dfr0), features(is_protected), 40, GicVersion::V3)
}

fn access(register: SysReg, direction: Direction) -> SysRegAccess {
    SysRegAccess { register, direction, rt: 0 }
}

/// All encodings with Op0 = 2 that lead to a register of the vCPU's.
fn reachable(view: &CpuView, wanted: Direction) -> Vec<(SysReg, DebugRegister)> {
    let mut found = Vec::new();
    for n in 0..1 << 14 {
        let register = SysReg::new(2, n >> 11 & 7, n >> 7 & 15, n >> 3 & 15, n & 7);
        if let Answer::Debug(which) = view.answer(&access(register, wanted)) {
            found.push((register, which));
        }
    }
    found
}

/// Arm ARM, D24.3 (debug registers): S2_0_C0_C<n>_4 to 7, S2_0_C0_C2_2, S2_0_C1_C0_4, S2_0_C1_C1_4.
#[test]
fn a_normal_vm_reaches_its_debug_registers_and_no_other() {
    for (breakpoints, watchpoints) in [(2, 2), (6, 4), (16, 16)] {
        let view = view(dfr0(breakpoints, watchpoints), false);
        for direction in [Direction::Read, Direction::Write] {
            let lock = if direction == Direction::Read { 1 } else { 0 };
            let mut expected = Vec::from([
                (SysReg::new(2, 0, 0, 2, 2), DebugRegister::CONTROL),
                (SysReg::new(2, 0, 1, lock, 4), DebugRegister::OS_LOCK),
            ]);
            let counts = [breakpoints, breakpoints, watchpoints, watchpoints];
            for (op2, count) in (4..).zip(counts) {
                for n in 0..u16::try_from(count).unwrap() {
                    let which = DebugRegister(Point::new(op2, n).0);
                    expected.push((SysReg::new(2, 0, 0, n, op2), which));
                }
            }
            let mut found = reachable(&view, direction);
            expected.sort_by_key(|(register, _)| *register);
            found.sort_by_key(|(register, _)| *register);
            assert_eq!(found, expected);
        }
        assert_eq!(
            reachable(&self::view(dfr0(breakpoints, watchpoints), true), Direction::Write),
            []
        );
    }
}

/// What is listed is all that is reached: the rest traps, whatever the VM and the machine.
#[test]
fn nothing_passes_but_what_is_answered() {
    // MDCR_EL2: TDE 8, TDA 9, TDOSA 10, TDRA 11.
    for is_protected in [false, true] {
        for dfr0 in [dfr0(2, 2), 0x7777_7777_7777_7777] {
            let host = machine(dfr0);
            let traps = TrapControls::new(&host, &host, features(is_protected));
            assert_eq!(traps.mdcr >> 8 & 0xf, 0b1110);
        }
    }
}

#[test]
fn what_is_not_there_is_undefined_and_what_is_hidden_is_zero() {
    let view = view(dfr0(6, 4), false);
    let answer = |register, direction| view.answer(&access(register, direction));
    for register in [SysReg::new(2, 0, 0, 6, 4), SysReg::new(2, 0, 0, 4, 7)] {
        assert_eq!(answer(register, Direction::Read), Answer::Undefined);
        assert_eq!(answer(register, Direction::Write), Answer::Undefined);
    }
    // OSLAR_EL1 is only written, OSLSR_EL1 only read.
    assert_eq!(answer(SysReg::new(2, 0, 1, 0, 4), Direction::Read), Answer::Undefined);
    assert_eq!(answer(SysReg::new(2, 0, 1, 1, 4), Direction::Write), Answer::Undefined);
    // MDCCINT, OSDTRRX, OSDTRTX, OSECCR; OSDLR, DBGPRCR; DBGCLAIMSET, DBGCLAIMCLR, DBGAUTHSTATUS.
    let hidden = [(0, 2, 0), (0, 0, 2), (0, 3, 2), (0, 6, 2), (1, 3, 4), (1, 4, 4), (7, 8, 6)];
    for (crn, crm, op2) in hidden.into_iter().chain([(7, 9, 6), (7, 14, 6)]) {
        let register = SysReg::new(2, 0, crn, crm, op2);
        assert_eq!(answer(register, Direction::Read), Answer::Value(0), "{register:?}");
        assert_eq!(answer(register, Direction::Write), Answer::Ignored, "{register:?}");
    }
}

#[test]
fn a_start_leaves_nothing_of_anybody() {
    for (breakpoints, watchpoints) in [(2, 2), (6, 4), (16, 16)] {
        let (mut state, mut unit) = start(breakpoints, watchpoints);
        let has = |index: usize| {
            let count = if index < 32 { breakpoints } else { watchpoints };
            u64::try_from(index % 16).unwrap() < count
        };
        for is_restarted in [false, true] {
            assert_eq!((&state, unit.control), (&DebugState::new(), 0));
            for (index, value) in unit.points.iter().enumerate() {
                // What a CPU does not have is undefined at EL2, too.
                assert_eq!(*value, if has(index) { 0 } else { Unit::JUNK }, "{is_restarted}");
            }
            // Unlocked: OSLK (bit 1) clear, OSLM 0b10 (bits 3 and 0).
            assert_eq!(state.read(DebugRegister::OS_LOCK), 8);
            assert_eq!(state.read(DebugRegister::CONTROL), 0);
            for index in (0..64).filter(|index| has(*index)) {
                let register = DebugRegister(u8::try_from(index).unwrap());
                assert_eq!(state.read(register), 0);
                state.write(register, u64::MAX, &mut unit);
            }
            state.write(DebugRegister::CONTROL, u64::MAX, &mut unit);
            state.write(DebugRegister::OS_LOCK, 1, &mut unit);
            assert_ne!((&state, unit.control), (&DebugState::new(), 0));
            state.unload(&mut unit);
            state = DebugState::new();
            state.load(&mut unit);
        }
    }
}

/// CPUs of two kinds: the vCPU sees the lesser, the reset clears what this CPU has.
#[test]
fn cpus_of_two_kinds_show_what_both_have() {
    let mut both = machine(dfr0(6, 4));
    both.restrict(&machine(dfr0(4, 2)));
    let view = CpuView::new(&both, features(false), 40, GicVersion::V3);
    assert_eq!(view.id(IdRegister::Dfr0) & 0xffff_ffff, dfr0(4, 2));
    assert_eq!(reachable(&view, Direction::Write).len(), 2 + 2 * 4 + 2 * 2);
}

/// MDSCR_EL1: SS 0, TDCC 12, KDE 13, MDE 15. The rest, as far as it is there, belongs to an external
/// debugger; HDE (14) among it.
#[test]
fn the_control_register_is_the_vcpus_and_the_machine_has_it_while_unlocked() {
    let (mut state, mut unit) = start(2, 2);
    state.write(DebugRegister::CONTROL, u64::MAX, &mut unit);
    let all = 1 | 1 << 12 | 1 << 13 | 1 << 15;
    assert_eq!((state.read(DebugRegister::CONTROL), unit.control), (all, all));

    state.write(DebugRegister::OS_LOCK, 1, &mut unit);
    assert_eq!(state.read(DebugRegister::OS_LOCK), 8 | 2);
    assert_eq!(state.read(DebugRegister::CONTROL), all);
    assert_eq!(unit.control, 1 << 12);
    state.write(DebugRegister::CONTROL, 1 << 15 | 1, &mut unit);
    assert_eq!((state.read(DebugRegister::CONTROL), unit.control), (1 << 15 | 1, 0));
    // Only bit 0 of OSLAR_EL1 counts.
    state.write(DebugRegister::OS_LOCK, u64::MAX - 1, &mut unit);
    assert_eq!(state.read(DebugRegister::OS_LOCK), 8);
    assert_eq!(unit.control, 1 << 15 | 1);
}

#[test]
fn breakpoints_and_watchpoints_are_the_machines() {
    let (mut state, mut unit) = start(16, 16);
    for (op2, value) in (4..8).zip(1..) {
        let point = Point::new(op2, 15);
        let register = DebugRegister(point.0);
        state.write(register, value, &mut unit);
        assert_eq!(state.read(register), value);
        assert_eq!((unit.points[point.index()], unit.points[point.index() - 1]), (value, 0));
        assert_eq!(point.index(), usize::from(op2 - 4) * 16 + 15);
    }
    assert_eq!(unit.control, 0);
}

/// What a vCPU has set up goes with it to wherever it is loaded, and stays nowhere else.
#[test]
fn a_vcpu_that_is_not_loaded_leaves_nothing_behind_and_loses_nothing() {
    let (mut state, mut unit) = start(16, 16);
    for index in 0..64 {
        state.write(DebugRegister(index), u64::from(index) + 1, &mut unit);
    }
    state.write(DebugRegister::CONTROL, 1 << 15, &mut unit);
    state.unload(&mut unit);
    assert_eq!((unit.control, unit.points), (0, [0; 64]));
    state.load(&mut unit);
    let points = core::array::from_fn(|index| index as u64 + 1);
    assert_eq!((unit.control, unit.points), (1 << 15, points));

    // With the OS lock locked, as `write` has it.
    state.write(DebugRegister::OS_LOCK, 1, &mut unit);
    state.unload(&mut unit);
    state.load(&mut unit);
    assert_eq!((unit.control, unit.points), (0, points));
}
