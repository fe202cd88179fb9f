//! The redistributors' registers (IHI0069, sections 12.10 and 12.11): for each vCPU an RD_base and
//! an SGI_base frame of 64 KiB. There are no LPIs, so no GICR_PROPBASER and the like.

use super::Vgic;
use super::bits::low;
use super::files::{Register, Single};
use super::regs::{Component, IIDR, read_part};
use crate::esr::Width;
use hyp_abi::vplatform::GICR_STRIDE;

/// GICR_CTLR.RWP.
pub(super) const CTLR_RWP: u64 = 1 << 3;
/// GICR_TYPER.Last.
const TYPER_LAST: u64 = 1 << 4;
/// GICR_WAKER.ProcessorSleep; ChildrenAsleep, the next bit, follows it at once. Interrupts are
/// delivered whatever it says: nothing here loses power.
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_ASLEEP: u64 = 3 << 1;

/// The SGI_base frame's offset.
pub(super) const SGI_BASE: u64 = 0x1_0000;

/// Whose redistributor `offset` from the first one lies in, and where.
#[inline(always)]
pub(super) const fn split(offset: u64) -> (usize, u64) {
    ((offset / GICR_STRIDE) as usize, offset & GICR_STRIDE.wrapping_sub(1))
}

/// What lies at `offset` from the first of `vcpus` redistributors, for an aligned access.
#[inline(always)]
pub(super) fn register(vcpus: usize, offset: u64, width: Width) -> Register {
    use Width::{Double, Word};
    let (target, offset) = split(offset);
    if target >= vcpus {
        return Register::NONE;
    }
    match (offset, width) {
        (0x0000, Word) => Register::Single(Single::RedistControl(target)),
        (0x0004, Word) => Register::Fixed(u64::from(IIDR)),
        (0x0008, Word | Double) | (0x000c, Word) => {
            let is_last = target.wrapping_add(1) == vcpus;
            Register::Fixed(read_part(typer(target as u64, is_last), offset, width))
        }
        (0x0014, Word) => Register::Single(Single::Waker(target)),
        (0xffd0..0x1_0000, Word) => {
            Register::Single(Single::Identification(Component::Redistributor))
        }
        _ => Register::NONE,
    }
}

/// GICR_TYPER of vCPU `target`: Affinity_Value in 63:32 and Processor_Number in 23:8 are both its
/// index.
const fn typer(target: u64, is_last: bool) -> u64 {
    target << 32 | target << 8 | if is_last { TYPER_LAST } else { 0 }
}

impl Vgic {
    /// GICR_WAKER of `target`.
    pub(super) fn waker(&self, target: usize) -> u64 {
        let is_asleep = self.cpus.get(target).is_some_and(|cpu| cpu.bank.lock().is_asleep);
        if is_asleep { WAKER_ASLEEP } else { 0 }
    }

    /// Writes GICR_WAKER of `target`.
    pub(super) fn set_waker(&self, target: usize, value: u64) {
        if let Some(cpu) = self.cpus.get(target) {
            cpu.bank.lock().is_asleep = low(value) & WAKER_SLEEP != 0;
        }
    }
}

const _: () = assert!(GICR_STRIDE.is_power_of_two());
