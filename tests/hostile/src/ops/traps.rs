//! Exceptions of the guest's own, which the hypervisor must not get into the way of: BRK, HLT, SVC,
//! undefined instructions, illegal states, misaligned PC and SP, calls from EL0, ERET.

use crate::arch::code::{Fixed, Generating, IMMEDIATES};
use crate::arch::mmu::USER_WINDOW;
use crate::arch::shot::{EL0, EL1H, EL1T, Regime, SCTLR_OFF};
use crate::cpu::{Cpu, Doing};
use crate::expect::{class, esr};

/// One exception.
pub(super) fn one(cpu: &mut Cpu) {
    cpu.load_registers();
    match cpu.random.below(8) {
        0..=2 => generating(cpu),
        3 => undefined(cpu),
        4 => illegal(cpu),
        5 => misaligned_pc(cpu),
        6 => misaligned_sp(cpu),
        _ => aarch32(cpu),
    }
}

/// EL1 or EL0; the second is what is added to the address of code.
fn level(cpu: &mut Cpu) -> (u64, u64) {
    cpu.random.pick(&[(EL1H, 0), (EL1T, 0), (EL0, USER_WINDOW)])
}

fn generating(cpu: &mut Cpu) {
    use Generating::{Brk, Hlt, Hvc, Smc, Svc};
    let n = cpu.random.index(IMMEDIATES.len());
    let (pstate, window) = level(cpu);
    let what = cpu.random.pick(&[Svc, Brk, Hlt, Hvc, Smc]);
    // Calls from EL1 are another family's.
    let (pstate, window) = match what {
        Hvc | Smc => (EL0, USER_WINDOW),
        _ => (pstate, window),
    };
    let pc = what.at(n) + window;
    let immediate = u64::from(IMMEDIATES[n]);
    cpu.fire_in(pc, pstate, Regime::Usual);
    let doing = Doing(format_args!("{what:?} #{immediate:#x} with PSTATE {pstate:#x}"));
    match what {
        Svc => {
            if cpu.shot.esr != esr(class::SVC, immediate) {
                cpu.fail(&doing, format_args!("an SVC"));
            }
            cpu.caught_at(&doing, pc + 4);
        }
        Brk => cpu.caught_with(&doing, esr(class::BRK, immediate)),
        Hlt | Hvc | Smc => cpu.undefined(&doing),
    }
}

fn undefined(cpu: &mut Cpu) {
    let (pstate, window) = level(cpu);
    let (what, is_undefined) = cpu.random.pick(&[
        (Fixed::Udf, true),
        (Fixed::Dcps1, true),
        (Fixed::Eret, pstate == EL0),
        (Fixed::Wfi, false),
        (Fixed::Nop, false),
    ]);
    // ERET from EL1 leads back to itself, and WFI there may wait.
    if matches!(what, Fixed::Eret | Fixed::Wfi) && pstate != EL0 {
        return;
    }
    cpu.fire_in(what.at() + window, pstate, Regime::Usual);
    let doing = Doing(format_args!("{what:?} with PSTATE {pstate:#x}"));
    if is_undefined {
        cpu.undefined(&doing);
    } else if what == Fixed::Wfi && !cpu.is_done() {
        // SCTLR_EL1.nTWI is 0.
        cpu.caught_with(&doing, esr(class::WAIT, 1 << 24 | 0xe << 20));
    } else {
        cpu.done(&doing, 0);
    }
}

/// A return to an EL and state that there is not: EL1 goes on, but can execute nothing.
fn illegal(cpu: &mut Cpu) {
    // EL2t, EL2h, EL3t, EL3h, reserved modes; AArch32 modes of EL1.
    let mode =
        cpu.random.pick(&[0x8, 0x9, 0xc, 0xd, 0x1, 0x2, 0x3, 0x6, 0x7, 0x13, 0x17, 0x1b, 0x1f]);
    cpu.fire_in(Fixed::Nop.at(), EL1H & !0x1f | mode, Regime::Usual);
    let doing = Doing(format_args!("ERET to mode {mode:#x}"));
    if cpu.shot.esr != esr(class::ILLEGAL, 0)
        || cpu.shot.elr != Fixed::Nop.at()
        || cpu.shot.vector != 0x200
    {
        cpu.fail(&doing, format_args!("an illegal execution state"));
    }
    cpu.kept(&doing, 0);
}

fn misaligned_pc(cpu: &mut Cpu) {
    let (pstate, window) = level(cpu);
    let pc = Fixed::Nop.at() + window + 1 + cpu.random.below(3);
    cpu.fire_in(pc, pstate, Regime::Usual);
    let doing = Doing(format_args!("ERET to {pc:#x}"));
    cpu.aborted(&doing, esr(class::PC_ALIGNMENT, 0), pc);
}

fn misaligned_sp(cpu: &mut Cpu) {
    let misaligned = 1 + cpu.random.below(15);
    cpu.shot.sp_el1 += misaligned;
    let regime = Regime::Flat { sctlr: SCTLR_OFF | 1 << 3 };
    cpu.fire_in(Fixed::LoadFromStack.at(), EL1H, regime);
    let doing = Doing(format_args!("a load from SP, which is misaligned by {misaligned}"));
    if cpu.is_done() {
        // Not every emulator checks.
        return cpu.kept(&doing, 1 << 5);
    }
    cpu.caught_with(&doing, esr(class::SP_ALIGNMENT, 0));
}

/// AArch32 at EL0, where a VM may have that.
fn aarch32(cpu: &mut Cpu) {
    if cpu.common.options.is_protected || !cpu.common.has_aarch32 {
        return illegal(cpu);
    }
    let pc = Fixed::SvcA32.at();
    cpu.fire_in(pc, 0x1d0, Regime::Flat { sctlr: SCTLR_OFF });
    let doing = Doing(format_args!("SVC #0 in AArch32 state"));
    if cpu.shot.esr != esr(class::SVC_A32, 0) || cpu.shot.elr != pc + 4 || cpu.shot.vector != 0x600
    {
        cpu.fail(&doing, format_args!("an SVC from AArch32 state"));
    }
}
