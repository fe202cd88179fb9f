//! One CPU of the guest and what it needs to fire.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use model::State;

use crate::arch::code::System;
use crate::arch::shot::{EL1H, Regime, Shot};
use crate::forms::Form;
use crate::layout::Own;
use crate::life::Life;
use crate::options::Options;
use crate::random::{Random, mix};
use crate::report;

/// What all CPUs read and none changes.
#[derive(Debug)]
pub(crate) struct Common {
    /// The command line.
    pub(crate) options: Options,
    /// Which life this is, and when it ends.
    pub(crate) life: Life,
    /// Loads and stores.
    pub(crate) forms: Vec<Form>,
    /// System instructions.
    pub(crate) systems: Vec<System>,
    /// ID_AA64*_EL1 by CRm - 4 and Op2, as read at the start.
    pub(crate) ids: [u64; 32],
    /// EL0 can be in AArch32 state.
    pub(crate) has_aarch32: bool,
    /// The sum of the families' weights.
    pub(crate) weight: u64,
}

/// One CPU.
pub(crate) struct Cpu {
    /// Its number.
    pub(crate) index: usize,
    /// What it shares with the others.
    pub(crate) common: Arc<Common>,
    /// Its stream.
    pub(crate) random: Random,
    /// What its own pages must be like.
    pub(crate) state: State,
    /// Its own pages.
    pub(crate) own: Own,
    /// Its shot.
    pub(crate) shot: &'static mut Shot,
    /// x0 to x30, SP_EL0 and SP_EL1 as they were before the last shot.
    pub(crate) before: ([u64; 31], u64, u64),
    /// The number of the operation.
    pub(crate) op: u64,
    /// Sum of what came of all operations.
    pub(crate) digest: u64,
    /// The GIC is as [`crate::gic`] sets it up.
    pub(crate) is_gic_sane: bool,
    /// Each shot is announced.
    pub(crate) is_logged: bool,
    /// The marks in its pages to share.
    pub(crate) marks: [u64; 24],
    /// Others as they were seen last.
    pub(crate) watch: crate::watch::Watch,
}

/// What is being done, for the report.
pub(crate) struct Doing<'a>(pub(crate) fmt::Arguments<'a>);

impl Cpu {
    /// Puts random values into all registers. SP_EL1 is aligned.
    pub(crate) fn load_registers(&mut self) {
        let seed = self.random.next();
        let step = seed | 1;
        let mut value = seed;
        for register in &mut self.shot.x {
            value = value.wrapping_add(step).rotate_left(7);
            *register = value;
        }
        self.shot.sp_el0 = value ^ 0x55;
        self.shot.sp_el1 = self.own.scratch() + (seed & 0xfff0);
        self.shot.budget = 64;
    }

    /// Fires the code at `pc` in `pstate` and in `regime`.
    pub(crate) fn fire_in(&mut self, pc: u64, pstate: u64, regime: Regime) {
        self.shot.pc = pc;
        self.shot.pstate = pstate;
        if self.is_logged {
            report::say(format_args!(
                "op={} fires {pc:#x} in {pstate:#x} {regime:x?}, x0 to x3 {:x?}",
                self.op,
                &self.shot.x[..4]
            ));
        }
        self.before = (self.shot.x, self.shot.sp_el0, self.shot.sp_el1);
        self.shot.fire(regime);
        let seen = mix(self.shot.esr ^ self.shot.elr.rotate_left(17) ^ self.shot.x[0]);
        self.digest = (self.digest ^ seen).rotate_left(9).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Fires the code at `pc` at EL1 with the usual tables.
    pub(crate) fn fire(&mut self, pc: u64) {
        self.fire_in(pc, EL1H, Regime::Usual);
    }

    /// The operation went wrong.
    pub(crate) fn fail(&self, doing: &Doing<'_>, expected: fmt::Arguments<'_>) -> ! {
        let shot = &*self.shot;
        let (x, sp_el0, sp_el1) = &self.before;
        for (n, (before, after)) in x.iter().zip(&shot.x).enumerate() {
            if before != after {
                report::say(format_args!("vcpu={} x{n} {before:#x} -> {after:#x}", self.index));
            }
        }
        report::fail(
            self.index,
            self.op,
            format_args!(
                "{}: expected {expected}; came back: ESR {:#x} FAR {:#x} ELR {:#x} SPSR {:#x} vector \
                 {:#x}, x0 to x3 {:x?}, was PC {:#x} PSTATE {:#x} x0 to x3 {:x?} SP_EL0 {sp_el0:#x} \
                 SP_EL1 {sp_el1:#x}",
                doing.0,
                shot.esr,
                shot.far,
                shot.elr,
                shot.spsr,
                shot.vector,
                &shot.x[..4],
                shot.pc,
                shot.pstate,
                &x[..4]
            ),
        )
    }
}
