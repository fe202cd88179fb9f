//! The order of cache and TLB maintenance in the finished image, which no emulator shows: after each
//! instruction the barriers that make it complete, before each TLBI the one that makes the change to
//! the tables visible, behind what goes to all CPUs the way that does it twice for CPUs that need it, and on
//! the way in from firmware everything in its turn.

use std::collections::{BTreeMap, BTreeSet};

use super::insn::{self, Op};
use super::program::{Piece, Program};
use crate::build::sequences::is_memory_access;

/// An instruction of maintenance, or one that settles how EL2 runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    DsbSy,
    DsbIsh,
    DsbIshst,
    DsbNsh,
    DmbSy,
    Isb,
    /// DC CIVAC.
    Lines,
    /// IC IALLU, of this CPU.
    IcLocal,
    /// IC IALLUIS.
    Ic,
    /// TLBI IPAS2E1IS.
    Ipa,
    /// TLBI VMALLE1IS.
    Combined,
    /// TLBI VMALLS12E1IS.
    Vm,
    /// TLBI ALLE1, ALLE2, VAE2 and VMALLE1, of this CPU.
    Local,
    /// TLBI ALLE2IS and VAE2IS.
    El2,
    /// TLBI VALE2IS, which repeats another.
    Again,
    /// Any other TLBI.
    Unknown,
    /// MSR SCTLR_EL2.
    Sctlr,
    /// MSR HCR_EL2.
    Hcr,
    /// MSR TTBR0_EL2.
    Ttbr,
    /// MRS PAR_EL1.
    Par,
}

use Step::{
    Again, Combined, DmbSy, DsbIsh, DsbIshst, DsbNsh, DsbSy, El2, Hcr, Ic, IcLocal, Ipa, Isb,
    Lines, Local, Par, Sctlr, Ttbr, Unknown, Vm,
};

/// What completes a TLBI that goes to all CPUs: a DSB, then a second TLBI with its DSB where a CPU needs that
/// (`hyp_core::errata::Actions::REPEAT_TLBI`), then an ISB.
const COMPLETED: &[Step] = &[DsbIsh, Again, DsbIsh, Isb];

impl Step {
    /// Arm ARM, C5 and C6: the encodings; of those with a register, bits 4:0.
    const fn of(word: u32) -> Option<Self> {
        Some(match word {
            0xd503_3f9f => DsbSy,
            0xd503_3b9f => DsbIsh,
            0xd503_3a9f => DsbIshst,
            0xd503_379f => DsbNsh,
            0xd503_3fbf => DmbSy,
            0xd503_3fdf => Isb,
            0xd508_751f => IcLocal,
            0xd508_711f => Ic,
            0xd508_831f => Combined,
            0xd50c_83df => Vm,
            0xd50c_879f | 0xd50c_871f | 0xd508_871f => Local,
            0xd50c_831f => El2,
            _ => match word & !0x1f {
                0xd50b_7e20 => Lines,
                0xd50c_8020 => Ipa,
                0xd50c_8720 => Local,
                0xd50c_8320 => El2,
                0xd50c_83a0 => Again,
                0xd51c_1000 => Sctlr,
                0xd51c_1100 => Hcr,
                0xd51c_2000 => Ttbr,
                0xd538_7400 => Par,
                // CRn 8, and 9 for those that are not only for the inner shareable domain.
                _ if matches!(word & 0xfff8_f000, 0xd508_8000 | 0xd508_9000) => Unknown,
                _ => return None,
            },
        })
    }

    /// What must stand before and behind it; before it, one of several.
    const fn neighbours(self) -> (&'static [Self], &'static [Self]) {
        match self {
            Ipa => (&[DsbIshst, DsbIsh, DsbSy], &[DsbIsh, Combined]),
            Vm | El2 => (&[DsbIshst, DsbIsh, DsbSy], COMPLETED),
            Combined => (&[DsbIsh], COMPLETED),
            Again => (&[DsbIsh], &[DsbIsh, Isb]),
            // In boot.s an ISB stands before, no table having been changed.
            Local => (&[DsbNsh, DsbIsh, DsbIshst, Isb], &[DsbNsh, Isb]),
            Ic => (&[], &[DsbIsh, Isb]),
            IcLocal => (&[], &[DsbNsh, Isb]),
            Lines => (&[], &[DsbSy]),
            // In boot.s an ISB stands before, translation being off.
            Hcr => (&[DsbNsh, Isb], &[Isb]),
            Par => (&[DmbSy], &[DmbSy]),
            _ => (&[], &[]),
        }
    }
}

/// The ways through a piece of code.
struct Flow<'a> {
    program: &'a Program,
    piece: &'a Piece,
    /// From where an instruction is come to.
    sources: BTreeMap<u64, Vec<u64>>,
}

impl<'a> Flow<'a> {
    fn new(program: &'a Program, piece: &'a Piece) -> Self {
        let mut flow = Self { program, piece, sources: BTreeMap::new() };
        for at in (piece.start..piece.end).step_by(4) {
            for to in flow.targets(at) {
                flow.sources.entry(to).or_default().push(at);
            }
        }
        flow
    }

    fn step(&self, at: u64) -> Option<Step> {
        Step::of(self.program.word(at)?)
    }

    /// Where control goes from `at` within the piece.
    fn targets(&self, at: u64) -> Vec<u64> {
        let next = at + 4;
        let targets = match self.program.word(at).map(|word| insn::decode(at, word)) {
            Some(Op::Jump(to)) => vec![to],
            Some(Op::Branch(to)) => vec![to, next],
            Some(Op::Return | Op::JumpRegister(_) | Op::Trap) | None => vec![],
            Some(_) => vec![next],
        };
        targets.into_iter().filter(|to| (self.piece.start..self.piece.end).contains(to)).collect()
    }

    /// The steps that come first on each way from `at` on, other than that of `at` itself; `None` for a
    /// way that ends without any.
    fn around(&self, at: u64, ways: impl Fn(u64) -> Vec<u64>) -> BTreeSet<Option<u64>> {
        let own = self.step(at);
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut left = ways(at);
        if left.is_empty() {
            found.insert(None);
        }
        while let Some(here) = left.pop() {
            if !seen.insert(here) {
                continue;
            }
            if self.step(here).is_some_and(|step| Some(step) != own) {
                found.insert(Some(here));
                continue;
            }
            let more = ways(here);
            if more.is_empty() {
                found.insert(None);
            }
            left.extend(more);
        }
        found
    }

    /// Whether `steps` follow `at` on every way; `Again` and what completes it on at least one.
    fn is_followed_by(&self, at: u64, steps: &[Step]) -> bool {
        let ways = self.around(at, |at| self.targets(at));
        let goes_on = |steps: &[Step], next: &Option<u64>| {
            let Some((first, rest)) = steps.split_first() else { return true };
            next.is_some_and(|at| self.step(at) == Some(*first) && self.is_followed_by(at, rest))
        };
        match steps {
            [Again, _, without @ ..] => {
                let (twice, once): (BTreeSet<_>, BTreeSet<_>) =
                    ways.iter().partition(|next| goes_on(steps, next));
                !twice.is_empty() && once.iter().all(|next| goes_on(without, next))
            }
            _ => ways.iter().all(|next| goes_on(steps, next)),
        }
    }

    /// Whether one of `steps` is before `at` on every way.
    fn comes_behind(&self, at: u64, steps: &[Step]) -> bool {
        let sources = |at| self.sources.get(&at).cloned().unwrap_or_default();
        steps.is_empty()
            || self.around(at, sources).into_iter().all(|before| {
                before.and_then(|at| self.step(at)).is_some_and(|step| steps.contains(&step))
            })
    }
}

/// How EL2 gets from firmware's state into its own: caches clean before they are off, off before the
/// regime changes, nothing stale left when they are on again.
const ENTRY: &[Step] = &[
    Lines, DsbSy, Isb, Sctlr, Isb, Hcr, Isb, IcLocal, DsbNsh, Isb, Lines, DsbSy, Ttbr, Isb, Local,
    DsbNsh, Isb, Sctlr, Isb,
];

/// The steps from `entry` on as they are executed, up to the jump to the linked address, and whether
/// data is loaded before SCTLR_EL2 says how. Loops are gone through once, what is only for an EL1 or a
/// CPU without E2H = 0 is passed by.
fn executed(program: &Program, entry: u64) -> (Vec<Step>, bool) {
    let (mut steps, mut calls, mut at) = (Vec::new(), Vec::new(), entry);
    let mut loads_early = false;
    for _ in 0..10_000 {
        let Some(word) = program.word(at) else { break };
        let next = at + 4;
        steps.extend(Step::of(word));
        loads_early |= !steps.contains(&Sctlr) && is_memory_access(word);
        at = match insn::decode(at, word) {
            Op::Call(to) => {
                calls.push(next);
                to
            }
            Op::Return => match calls.pop() {
                Some(back) => back,
                None => break,
            },
            // It comes back by a register.
            Op::Jump(to) if is_table(program, to) => next,
            // Backwards it is a loop's.
            Op::Jump(to) if to > at => to,
            Op::JumpRegister(_) => break,
            _ => next,
        };
    }
    steps.dedup();
    // What is cleaned in two parts.
    while let Some(twice) = steps.windows(4).position(|four| four == [Lines, DsbSy, Lines, DsbSy]) {
        steps.drain(twice..twice + 2);
    }
    (steps, loads_early)
}

/// Whether `boot.s` has the code there that writes its table of registers, and that does nothing else.
fn is_table(program: &Program, to: u64) -> bool {
    program.piece(to).is_some_and(|piece| {
        let words = (piece.start..piece.end).step_by(4).filter_map(|at| program.word(at));
        piece.name().starts_with("settle_")
            && words.filter_map(Step::of).all(|step| matches!(step, Isb | DsbNsh))
    })
}

/// Looks at the whole image. The answer is how many steps were looked at, and what is wrong.
pub fn check(program: &Program) -> (usize, Vec<String>) {
    let (mut count, mut breaches) = (0, Vec::new());
    let mut seen = Vec::new();
    for piece in program.pieces() {
        let flow = Flow::new(program, piece);
        for at in (piece.start..piece.end).step_by(4) {
            let Some(step) = flow.step(at) else { continue };
            count += 1;
            seen.push(step);
            if step == Unknown {
                breaches.push(format!("{at:#x} in {}: a TLBI that no rule is for", piece.name()));
            }
            let (before, behind) = step.neighbours();
            if !flow.comes_behind(at, before) || !flow.is_followed_by(at, behind) {
                breaches.push(format!(
                    "{at:#x} in {}: {step:?} must stand behind one of {before:?} and before {behind:?}",
                    piece.name()
                ));
            }
        }
    }
    for step in [Ipa, Combined, Vm, El2, Again, Ic, Lines, Hcr, Par] {
        if !seen.contains(&step) {
            breaches
                .push(format!("the image has no {step:?}: this check looks for the wrong thing"));
        }
    }
    match program.named("boot_entry") {
        Some(entry) => {
            let (steps, loads_early) = executed(program, entry.start);
            count += steps.len();
            if steps != ENTRY {
                breaches.push(format!("boot_entry does {steps:?} instead of {ENTRY:?}"));
            }
            if loads_early {
                breaches
                    .push("boot_entry reads data before it has settled the byte order".to_owned());
            }
        }
        None => breaches.push("no symbol boot_entry".to_owned()),
    }
    (count, breaches)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPA: u32 = 0xd50c_8022;
    const ISHST: u32 = 0xd503_3a9f;
    const ISH: u32 = 0xd503_3b9f;
    const COMBINED: u32 = 0xd508_831f;
    const ISB: u32 = 0xd503_3fdf;
    const RET: u32 = 0xd65f_03c0;

    /// How many breaches there are in a function of these words.
    fn breaches(words: &[u32]) -> usize {
        let program = Program::of(&[("f", words, false)], &[]);
        check(&program).1.iter().filter(|breach| breach.contains(" in f:")).count()
    }

    /// cbz w8, two instructions on; tlbi vale2is, xzr.
    const SKIP: u32 = 0x3400_0068;
    const AGAIN: u32 = 0xd50c_83bf;

    #[test]
    fn what_is_left_out_or_moved_is_noticed() {
        let right = [ISHST, IPA, ISH, COMBINED, ISH, SKIP, AGAIN, ISH, ISB, RET];
        assert_eq!(breaches(&right), 0);
        for left_out in 0..9 {
            // The one that all the rest is for, and the branch: to repeat it always is right, too.
            if left_out == 1 || left_out == 5 {
                continue;
            }
            let words: Vec<u32> =
                right.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, w)| *w).collect();
            assert_ne!(breaches(&words), 0, "without word {left_out}");
        }
        assert_eq!(breaches(&[ISHST, IPA, ISH, COMBINED, ISH, AGAIN, ISH, ISB, RET]), 0);
        assert_ne!(breaches(&[ISHST, COMBINED, ISH, IPA, ISH, AGAIN, ISH, ISB, RET]), 0);
        // Past the ISB, too.
        let skip = 0x3400_0088;
        assert_ne!(breaches(&[ISHST, IPA, ISH, COMBINED, ISH, skip, AGAIN, ISH, ISB, RET]), 0);
        // Lines that nobody waits for.
        assert_eq!(breaches(&[0xd50b_7e20, 0xd503_3f9f, RET]), 0);
        assert_ne!(breaches(&[0xd50b_7e20, ISH, RET]), 0);
    }

    #[test]
    fn every_tlbi_of_all_cpus_is_repeated_where_needed() {
        // vmalls12e1is; alle2is; vae2is, x1.
        for word in [0xd50c_83df, 0xd50c_831f, 0xd50c_8321] {
            assert_eq!(breaches(&[ISHST, word, ISH, SKIP, AGAIN, ISH, ISB, RET]), 0, "{word:#x}");
            assert_ne!(breaches(&[ISHST, word, ISH, ISB, RET]), 0, "{word:#x}");
            assert_ne!(breaches(&[ISHST, word, ISH, SKIP, AGAIN, ISB, ISB, RET]), 0, "{word:#x}");
        }
        // alle1, of this CPU, needs no second one.
        assert_eq!(breaches(&[0xd503_379f, 0xd50c_879f, 0xd503_379f, ISB, RET]), 0);
        // ipas2le1is, vaae1is and vae1os, for which there is no rule.
        for word in [0xd50c_80a2, 0xd508_8362, 0xd508_8122] {
            assert_ne!(breaches(&[ISHST, word, ISH, ISB, RET]), 0, "{word:#x}");
        }
    }

    /// The barriers of errata AC04_CPU_23 and 1508412.
    #[test]
    fn hcr_and_par_have_their_barriers() {
        // dsb nsh; msr hcr_el2, x0; dmb sy; mrs x8, par_el1.
        let (nsh, hcr, dmb, par) = (0xd503_379f, 0xd51c_1100, 0xd503_3fbf, 0xd538_7408);
        assert_eq!(breaches(&[nsh, hcr, ISB, RET]), 0);
        assert_ne!(breaches(&[hcr, ISB, RET]), 0);
        assert_ne!(breaches(&[nsh, hcr, RET]), 0);
        assert_eq!(breaches(&[dmb, par, dmb, RET]), 0);
        assert_ne!(breaches(&[par, dmb, RET]), 0);
        assert_ne!(breaches(&[dmb, par, RET]), 0);
    }

    #[test]
    fn loads_and_stores_are_told_from_the_rest() {
        // ldr x1, =…; ldr x2, [x3]; stp xzr, xzr, [x0], #16; and dc civac, adr, mov, msr.
        assert!([0x5800_0081, 0xf940_0062, 0xa881_7c1f].into_iter().all(is_memory_access));
        let others = [0xd50b_7e20, 0x1000_7e01, 0x5283_06a1, 0xd51c_1001, 0x1400_0010, RET];
        assert!(!others.into_iter().any(is_memory_access));
    }
}
