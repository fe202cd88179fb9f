//! A vCPU that takes the same exception over and over and never gets further.
//!
//! Two ways of telling, both without any cost to a guest that behaves. Exceptions that EL2 makes
//! the guest take pass by here and are counted in [`Runaway::is_stuck`]. Those that the hardware
//! takes to EL1 by itself never reach EL2; they show when a timer of EL2 happens to look at the
//! vCPU ([`Runaway::looks_stuck`]).
//!
//! Neither may hit a guest that is only slow or strange: a handler may correct the cause and return
//! to the same instruction, a probe may fault in a loop. So what counts is a state that cannot
//! change by itself, many times in a row, with no other sign of life from the vCPU in between: a call,
//! a trapped access that was carried out, memory touched for the first time, a timer's interrupt after
//! it has served the one before.

use crate::inject;

/// Exceptions in a row after which a vCPU is stuck, if [`PATIENCE`] does not help.
pub const EXCEPTIONS: u32 = 1000;
/// How many times the clock's second changes while they go on: another vCPU, or the guest's timer, may
/// be about to correct the cause.
pub const PATIENCE: u64 = 2;
/// Looks in a row after which a vCPU is stuck.
pub const LOOKS: u32 = 3;
/// Bytes of one entry of the vector table (Arm ARM, D1.3.1.5).
const VECTOR: u64 = 0x80;

/// Where a vCPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// ELR_EL2: the instruction that is next, or that trapped.
    pub pc: u64,
    /// SPSR_EL2.
    pub pstate: u64,
    /// ELR_EL1: where the guest's last exception came from.
    pub elr_el1: u64,
    /// VBAR_EL1.
    pub vbar_el1: u64,
}

impl Moment {
    /// Whether `address` is in the vector of a synchronous exception taken now, from EL1.
    const fn is_own_vector(&self, address: u64) -> bool {
        let vector = inject::vector(self.vbar_el1, self.pstate);
        !inject::is_from_el0(self.pstate)
            && !inject::is_aarch32(self.pstate)
            && address.wrapping_sub(vector) < VECTOR
    }
}

/// Sums up registers, so that two states can be compared: different ones may look alike once in
/// 2^64 times.
#[must_use]
pub fn digest<'a>(registers: impl IntoIterator<Item = &'a u64>) -> u64 {
    // FNV-1a by words, with a turn so that high bits reach low ones.
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    registers.into_iter().fold(0xcbf2_9ce4_8422_2325, |sum, register| {
        (sum ^ register).wrapping_mul(PRIME).rotate_left(29)
    })
}

/// What is remembered of one vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Runaway {
    pc: u64,
    registers: Option<u64>,
    exceptions: u32,
    /// The second of the exception that was the [`EXCEPTIONS`]th in a row.
    since: u64,
    looks: u32,
}

impl Runaway {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { pc: 0, registers: None, exceptions: 0, since: 0, looks: 0 }
    }

    /// The vCPU is about to be made to take a synchronous exception `at` this moment. Whether it
    /// has taken nothing else [`EXCEPTIONS`] times in a row and for [`PATIENCE`] after that, each time
    /// out of the exception before:
    ///
    /// - at one instruction of its own vector, which is where the exception leads again, or
    /// - at one instruction anywhere in EL1, all registers being the same.
    ///
    /// `is_quiet` tells that the vCPU has shown no other sign of life since the last call of this or of
    /// [`Self::looks_stuck`]. `registers` sums up general registers and stack pointers, where they are at
    /// hand, and `clock` tells seconds; each is asked only when needed.
    pub fn is_stuck(
        &mut self,
        at: &Moment,
        is_quiet: bool,
        registers: impl FnOnce() -> Option<u64>,
        clock: impl FnOnce() -> u64,
    ) -> bool {
        self.begin_anew_unless(is_quiet);
        let is_again = at.pc == self.pc && at.elr_el1 == at.pc && !inject::is_from_el0(at.pstate);
        self.pc = at.pc;
        if !is_again {
            self.exceptions = 0;
            self.registers = None;
            return false;
        }
        let is_loop = at.is_own_vector(at.pc) || {
            let before = self.registers;
            self.registers = registers();
            before.is_some() && self.registers == before
        };
        self.exceptions = if is_loop { self.exceptions.saturating_add(1) } else { 0 };
        if self.exceptions < EXCEPTIONS {
            return false;
        }
        let now = clock();
        if self.exceptions == EXCEPTIONS {
            self.since = now;
        }
        now.saturating_sub(self.since) >= PATIENCE
    }

    /// EL2 interrupted the vCPU `at` this moment. Whether it has been found [`LOOKS`] times in a
    /// row in its own vector for an exception that came out of the very same vector. `is_quiet` as in
    /// [`Self::is_stuck`].
    pub const fn looks_stuck(&mut self, at: &Moment, is_quiet: bool) -> bool {
        self.begin_anew_unless(is_quiet);
        if at.is_own_vector(at.pc) && at.is_own_vector(at.elr_el1) {
            self.looks = self.looks.saturating_add(1);
        } else {
            self.looks = 0;
        }
        self.looks >= LOOKS
    }

    /// Counts from 0 where the vCPU has shown another sign of life.
    const fn begin_anew_unless(&mut self, is_quiet: bool) {
        if !is_quiet {
            self.exceptions = 0;
            self.looks = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const EL1H: u64 = 0x3c5;
    const VBAR: u64 = 0x4080_0000;

    fn at(pc: u64, elr_el1: u64, pstate: u64) -> Moment {
        Moment { pc, pstate, elr_el1, vbar_el1: VBAR }
    }

    /// After how many exceptions the vCPU is found stuck, if within 5000. Each takes a second, so that
    /// [`PATIENCE`] adds two.
    fn stuck_after(next: impl FnMut(u64) -> (Moment, Option<u64>)) -> Option<u64> {
        stuck_at(next, |n| n)
    }

    /// The same where the clock shows the second `clock` at the exception of that number.
    fn stuck_at(
        mut next: impl FnMut(u64) -> (Moment, Option<u64>),
        clock: impl Fn(u64) -> u64,
    ) -> Option<u64> {
        let mut seen = Runaway::new();
        (1..=5000).find(|n| {
            let (moment, registers) = next(*n);
            seen.is_stuck(&moment, true, || registers, || clock(*n))
        })
    }

    #[test]
    fn what_others_may_correct_is_waited_for() {
        let pc = 0x4020_1000;
        let caught = |_| (at(pc, pc, EL1H), Some(7));
        // All in one second, or in two.
        assert_eq!(stuck_at(caught, |_| 9), None);
        assert_eq!(stuck_at(caught, |n| 9 + n / 2000), Some(4000));
        // What came before does not count: the clock runs from the 1000th on.
        assert_eq!(stuck_at(caught, |n| 9 + n.min(1000)), None);
        // Corrected in between, it begins anew.
        let mended = |n| (at(pc, if n == 1500 { 0 } else { pc }, EL1H), Some(7));
        assert_eq!(stuck_at(mended, |n| n / 400), Some(3200));
    }

    #[test]
    fn a_fault_in_the_own_vector_is_a_loop_whatever_the_registers() {
        for place in [0x200, 0x204, 0x27c] {
            let pc = VBAR + place;
            let found = stuck_after(|n| (at(pc, if n == 1 { 0 } else { pc }, EL1H), Some(n)));
            assert_eq!(found, Some(1003), "{place:#x}");
            assert_eq!(stuck_after(|_| (at(pc, pc, EL1H), None)), Some(1003));
        }
    }

    #[test]
    fn elsewhere_the_registers_decide() {
        let pc = 0x4020_1000;
        assert_eq!(stuck_after(|_| (at(pc, pc, EL1H), Some(7))), Some(1004));
        // A handler that mends and returns, or that counts its tries.
        assert_eq!(stuck_after(|n| (at(pc, pc, EL1H), Some(n))), None);
        assert_eq!(stuck_after(|n| (at(pc, pc, EL1H), Some(n / 900))), None);
        assert_eq!(stuck_after(|_| (at(pc, pc, EL1H), None)), None);
        // The vectors for other kinds of exceptions are code like any other.
        for other in [0x000, 0x1fc, 0x280, 0x400] {
            assert_eq!(stuck_after(|n| (at(VBAR + other, VBAR + other, EL1H), Some(n))), None);
        }
    }

    #[test]
    fn a_handler_that_gets_further_is_none() {
        let pc = VBAR + 0x200;
        // It steps over the instruction; it faults in two places; another exception comes between.
        assert_eq!(stuck_after(|_| (at(pc, pc + 4, EL1H), Some(7))), None);
        assert_eq!(stuck_after(|n| (at(pc + n % 2 * 4, pc + n % 2 * 4, EL1H), Some(7))), None);
        let rare = |n: u64| if n.is_multiple_of(1000) { 0x4020_0000 } else { pc };
        assert_eq!(stuck_after(|n| (at(rare(n), pc, EL1H), Some(7))), None);
    }

    #[test]
    fn any_other_sign_of_life_begins_the_count_anew() {
        for (pc, registers) in [(0x4020_1000, Some(7)), (VBAR + 0x204, None)] {
            // Retries 3000 times in as many seconds, and prints in between.
            let ended = |every: u64| {
                let mut seen = Runaway::new();
                (1..=3000_u64).find(|n| {
                    let is_quiet = !n.is_multiple_of(every);
                    seen.is_stuck(&at(pc, pc, EL1H), is_quiet, || registers, || *n)
                })
            };
            assert_eq!(ended(100), None, "{pc:#x}");
            assert_eq!(ended(1000), None, "{pc:#x}");
            assert!(ended(1100).is_some(), "{pc:#x}");
        }
        let moment = at(VBAR + 0x200, VBAR + 0x208, EL1H);
        let mut seen = Runaway::new();
        assert!(!(0..20).any(|n| seen.looks_stuck(&moment, n % 2 != 0)));
        assert!(seen.looks_stuck(&moment, true), "the third since the last sign");
        // Whoever hears of the sign of life tells the other.
        assert!(!seen.is_stuck(&moment, false, || None, || 0));
        assert!(!seen.looks_stuck(&moment, true));
    }

    #[test]
    fn what_a_process_does_to_itself_is_its_kernels_business() {
        for pstate in [0, 0x10, 0x3c0] {
            let pc = VBAR + 0x400;
            assert_eq!(stuck_after(|_| (at(pc, pc, pstate), Some(7))), None, "{pstate:#x}");
        }
    }

    #[test]
    fn looks_must_follow_each_other() {
        let (stuck, fine) = (at(VBAR + 0x200, VBAR + 0x208, EL1H), at(VBAR + 0x200, 0, EL1H));
        let mut seen = Runaway::new();
        let moments = [stuck, stuck, fine, stuck, stuck, stuck];
        let found: Vec<_> = moments.iter().map(|m| seen.looks_stuck(m, true)).collect();
        assert_eq!(found, [false, false, false, false, false, true]);
        // In the vector with a return into other code: an exception being handled.
        let mut seen = Runaway::new();
        assert!(!(0..10).any(|_| seen.looks_stuck(&at(0x4020_0000, VBAR + 0x200, EL1H), true)));
    }
}
