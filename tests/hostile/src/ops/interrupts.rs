//! Interrupts to oneself, which must arrive, and to others, which must not harm; waiting.

use guest_runtime::mmio::Io;
use hyp_abi::psci;
use hyp_abi::vplatform::GICD_BASE;

use crate::arch::code::{Fixed, Generating, System};
use crate::arch::cpu as machine;
use crate::arch::shot::{EL1H, MASK_IRQ, Regime};
use crate::cpu::{Cpu, Doing};
use crate::gic;

const GICD_SGIR: u64 = 0xf00;
/// GICD_SGIR: to the sender.
const TO_SELF: u32 = 2 << 24;
/// GICD_SGIR: to all others.
const TO_OTHERS: u32 = 1 << 24;
/// ICC_SGI1R_EL1.
const SGI1R: [u32; 5] = [3, 0, 12, 11, 5];
/// ICC_SGI1R_EL1.IRM: to all others.
const ALL_OTHERS: u64 = 1 << 40;
/// The virtual timer's interrupt.
const TIMER: u64 = 27;

/// Sends an SGI.
pub(super) fn send(cpu: &mut Cpu) {
    if !cpu.is_gic_sane {
        gic::set_up(cpu);
    }
    let interrupt = cpu.random.below(16);
    if cpu.random.one_in(2) {
        return to_others(cpu, interrupt);
    }
    send_to(cpu, 1 << cpu.index, TO_SELF, interrupt);
    arrives(cpu, interrupt);
}

fn to_others(cpu: &mut Cpu, interrupt: u64) {
    let targets = match cpu.random.below(3) {
        0 => ALL_OTHERS,
        1 => cpu.random.next() & 0xffff,
        _ => cpu.random.next() & 0x00ff_f0ff_f0ff_ffff,
    };
    send_to(cpu, targets, TO_OTHERS, interrupt);
}

/// Sends `interrupt`, by the register that this GIC has for it.
fn send_to(cpu: &mut Cpu, targets: u64, filter: u32, interrupt: u64) {
    if cpu.common.options.is_v2() {
        let number = crate::random::low(interrupt & 0xf);
        return Io::new(GICD_BASE).write32(GICD_SGIR, filter | number);
    }
    let system = System::of(false, SGI1R);
    cpu.load_registers();
    let value = targets | interrupt << 24;
    if let Some(register) = cpu.shot.x.get_mut(system.register() as usize) {
        *register = value;
    }
    cpu.fire(system.at());
    cpu.done(&Doing(format_args!("ICC_SGI1R_EL1 = {value:#x}")), 0);
}

/// Lets interrupts in until `interrupt` has come.
fn arrives(cpu: &mut Cpu, interrupt: u64) {
    cpu.shot.seen = 0;
    let begun = machine::counter();
    while cpu.shot.seen >> interrupt & 1 == 0 {
        cpu.load_registers();
        cpu.fire_in(Fixed::Nop.at(), EL1H & !MASK_IRQ, Regime::Usual);
        let doing = Doing(format_args!("interrupt {interrupt} is pending and let in"));
        cpu.done(&doing, 0);
        if machine::counter().wrapping_sub(begun) > 5 * machine::frequency() {
            cpu.fail(&doing, format_args!("that it comes; seen {:#x}", cpu.shot.seen));
        }
    }
}

/// Waits for the timer in one of the ways there are.
pub(super) fn wait(cpu: &mut Cpu) {
    if !cpu.is_gic_sane {
        gic::set_up(cpu);
    }
    cpu.load_registers();
    let way = cpu.random.below(4);
    // Masked: taken before the wait, the interrupt would not end it.
    let pstate = EL1H;
    let delay = cpu.random.below(4000);
    cpu.shot.x[0] = u64::from(cpu.random.pick(&[psci::CPU_SUSPEND_32.0, psci::CPU_SUSPEND_64.0]));
    cpu.shot.seen = 0;
    machine::cntv_cval(machine::counter().wrapping_add(delay));
    machine::cntv_ctl(1);
    let doing = Doing(format_args!("a wait, way {way}, for {delay} ticks"));
    match way {
        0 | 1 => {
            cpu.fire_in(Fixed::Wfi.at(), pstate, Regime::Usual);
            cpu.done(&doing, 0);
        }
        2 => {
            cpu.fire_in(Fixed::Sevl.at(), pstate, Regime::Usual);
            cpu.fire_in(Fixed::Wfe.at(), pstate, Regime::Usual);
            cpu.done(&doing, 0);
        }
        _ => {
            let code = if cpu.random.one_in(2) { Generating::Hvc } else { Generating::Smc };
            cpu.fire_in(code.at(0), pstate, Regime::Usual);
            cpu.done(&doing, 0b1111);
            if cpu.shot.x[..4] != [0; 4] {
                cpu.fail(&doing, format_args!("zeroes in x0 to x3"));
            }
        }
    }
    if cpu.shot.seen >> TIMER & 1 == 0 {
        arrives(cpu, TIMER);
    }
    machine::cntv_ctl(0);
}
