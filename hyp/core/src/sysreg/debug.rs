//! Self-hosted debug: the registers that a normal VM's vCPU has, and their state.
//!
//! Breakpoints, watchpoints and software step are mandatory, and no ID field takes them away. All
//! debug registers trap, so a vCPU reaches exactly what is listed here. MDCR_EL2.TDA could let
//! breakpoints and watchpoints pass, but without `FEAT_FGT` only together with the claim tags and
//! the channel to an external debugger. The OS lock is a model: with the machine's own
//! locked, MDSCR_EL1.HDE and OSECCR_EL1 can be written (Arm ARM, `MDSCR_EL1`, `OSECCR_EL1`), and the
//! guest's breakpoints would stop the CPU in Debug state, at EL2 too.
//!
//! What a guest sets up takes no effect at EL2: debug exceptions that go to EL1 (MDCR_EL2.TDE and
//! HCR_EL2.TGE are 0) are not generated at a higher level (`AArch64.GenerateDebugExceptionsFrom`).

use crate::esr::{Direction, SysReg};

/// A register of the breakpoints and watchpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point(u8);

impl Point {
    /// `DBGBVR<n>_EL1`, `DBGBCR<n>_EL1`, `DBGWVR<n>_EL1` and `DBGWCR<n>_EL1`, n being 0 to 15.
    pub const COUNT: usize = 4 * 16;

    /// Register `n`, 0 to 15, of the kind that Op2, 4 to 7, says; both are cut to that.
    const fn new(op2: u16, n: u16) -> Self {
        Self((op2 << 4 & 0x30 | n & 0xf).to_le_bytes()[0])
    }

    /// Its number: by kind in the order of Op2, then by `<n>`; below [`Self::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether a CPU has it whose ID_AA64DFR0_EL1 reads `dfr0`: BRPs (15:12) and WRPs (23:20) are one
    /// less than how many there are.
    const fn is_there(self, dfr0: u64) -> bool {
        let last = if self.0 & 0x20 == 0 { dfr0 >> 12 } else { dfr0 >> 20 };
        (self.0 & 0xf) as u64 <= last & 0xf
    }

    /// Those that a CPU has, likewise.
    fn all(dfr0: u64) -> impl Iterator<Item = Self> {
        (0..).take(Self::COUNT).map(Self).filter(move |point| point.is_there(dfr0))
    }
}

/// A register of self-hosted debug that a vCPU of a normal VM has: a [`Point`] or one of two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebugRegister(u8);

impl DebugRegister {
    const COUNT: usize = Point::COUNT + 2;
    /// MDSCR_EL1.
    const CONTROL: Self = Self(64);
    /// OSLAR_EL1 if it is written, OSLSR_EL1 if it is read.
    const OS_LOCK: Self = Self(65);

    const fn point(self) -> Option<Point> {
        if self.0 < Self::CONTROL.0 { Some(Point(self.0)) } else { None }
    }
}

pub(super) const MDSCR_EL1: SysReg = SysReg::new(2, 0, 0, 2, 2);
pub(super) const OSLAR_EL1: SysReg = SysReg::new(2, 0, 1, 0, 4);
pub(super) const OSLSR_EL1: SysReg = SysReg::new(2, 0, 1, 1, 4);

/// What an access to `register`, Op0 = 2, is to a vCPU of a normal VM whose ID_AA64DFR0_EL1 reads
/// `dfr0`.
pub(super) fn find(register: SysReg, direction: Direction, dfr0: u64) -> Found {
    match (register, direction) {
        (MDSCR_EL1, _) => Found::Register(DebugRegister::CONTROL),
        (OSLAR_EL1, Direction::Write) | (OSLSR_EL1, Direction::Read) => {
            Found::Register(DebugRegister::OS_LOCK)
        }
        (OSLAR_EL1 | OSLSR_EL1, _) => Found::Nothing,
        _ if (register.op1(), register.crn()) == (0, 0) && register.op2() >= 4 => {
            let point = Point::new(register.op2(), register.crm());
            if point.is_there(dfr0) {
                Found::Register(DebugRegister(point.0))
            } else {
                Found::Nothing
            }
        }
        _ => Found::Other,
    }
}

/// See [`find`].
pub(super) enum Found {
    /// The vCPU's own.
    Register(DebugRegister),
    /// Undefined: not there, or not in this direction.
    Nothing,
    /// A register that is hidden.
    Other,
}

/// The debug registers of the CPU that runs the vCPU.
pub trait DebugUnit {
    /// Writes MDSCR_EL1, with the machine's OS lock unlocked.
    fn set_control(&mut self, value: u64);

    /// Writes a register of a breakpoint or watchpoint, which this CPU has.
    fn set_point(&mut self, point: Point, value: u64);
}

/// Disables all that `unit` has, whatever was left in it. `dfr0` is ID_AA64DFR0_EL1 of its CPU, which may
/// have more breakpoints than vCPUs see.
pub fn clear_debug(unit: &mut impl DebugUnit, dfr0: u64) {
    unit.set_control(0);
    for point in Point::all(dfr0) {
        unit.set_point(point, 0);
    }
}

/// MDSCR_EL1.SS.
const SS: u64 = 1;
/// MDSCR_EL1.TDCC: EL0 may not use the channel to an external debugger.
const TDCC: u64 = 1 << 12;
/// MDSCR_EL1.KDE.
const KDE: u64 = 1 << 13;
/// MDSCR_EL1.MDE.
const MDE: u64 = 1 << 15;
/// What a vCPU can write of MDSCR_EL1. The rest is for saving an external debugger's state.
const WRITABLE: u64 = SS | TDCC | KDE | MDE;
/// OSLSR_EL1: there is an OS lock (OSLM), unlocked. OSLK is bit 1.
const OSLM: u64 = 0b1000;

/// The debug registers of a vCPU. What counts of them is in its CPU's, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugState {
    /// What is read from each [`DebugRegister`].
    values: [u64; DebugRegister::COUNT],
    /// Anything was written since the start.
    is_used: bool,
}

impl DebugState {
    /// The state of a vCPU that starts: all zero, the OS lock unlocked as KVM has it.
    #[must_use]
    pub const fn new() -> Self {
        let mut values = [0; DebugRegister::COUNT];
        let [.., lock] = &mut values;
        *lock = OSLM;
        Self { values, is_used: false }
    }

    /// Writes to `unit`, in which nothing is set up, what this vCPU has set up.
    pub fn load(&self, unit: &mut impl DebugUnit) {
        if self.is_used {
            self.set_points(|value| value, unit);
            unit.set_control(self.control());
        }
    }

    /// Clears in `unit` what this vCPU has set up there.
    pub fn unload(&self, unit: &mut impl DebugUnit) {
        if self.is_used {
            unit.set_control(0);
            self.set_points(|_| 0, unit);
        }
    }

    fn set_points(&self, to: impl Fn(u64) -> u64, unit: &mut impl DebugUnit) {
        for (n, value) in (0..).zip(&self.values).filter(|(_, value)| **value != 0) {
            if let Some(point) = DebugRegister(n).point() {
                unit.set_point(point, to(*value));
            }
        }
    }

    /// What the CPU's MDSCR_EL1 holds: a locked OS lock keeps all debug exceptions back but that of BRK.
    const fn control(&self) -> u64 {
        let [.., control, lock] = self.values;
        if lock == OSLM { control } else { control & TDCC }
    }

    /// What the vCPU reads from `register`.
    #[must_use]
    pub fn read(&self, register: DebugRegister) -> u64 {
        self.values.get(usize::from(register.0)).copied().unwrap_or(0)
    }

    /// Does a write of `value` to `register`.
    pub fn write(&mut self, register: DebugRegister, value: u64, unit: &mut impl DebugUnit) {
        self.is_used = true;
        let value = match register {
            DebugRegister::CONTROL => value & WRITABLE,
            DebugRegister::OS_LOCK => OSLM | (value & 1) << 1,
            _ => value,
        };
        if let Some(own) = self.values.get_mut(usize::from(register.0)) {
            *own = value;
        }
        if let Some(point) = register.point() {
            return unit.set_point(point, value);
        }
        unit.set_control(self.control());
    }
}

impl Default for DebugState {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "tests/debug.rs"]
mod tests;
