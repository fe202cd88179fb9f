//! The redistributors' registers (IHI0069, sections 12.10 and 12.11): for each vCPU an RD_base and
//! an SGI_base frame of 64 KiB. There are no LPIs, so no GICR_PROPBASER and the like. What is
//! reserved reads as zero and ignores writes.

use super::bits::low;
use super::fields::Scope;
use super::lr::CpuInterface;
use super::regs::{Component, IIDR, identification, is_aligned, read_part};
use super::{Cpu, Kicks, Read, Vgic};
use crate::esr::Width;
use hyp_abi::vplatform::GICR_STRIDE;

/// GICR_CTLR.RWP.
const CTLR_RWP: u64 = 1 << 3;
/// GICR_TYPER.Last.
const TYPER_LAST: u64 = 1 << 4;
/// GICR_WAKER.ProcessorSleep; ChildrenAsleep, the next bit, follows it at once. Interrupts are
/// delivered whatever it says: nothing here loses power.
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_ASLEEP: u32 = 3 << 1;

const SGI_BASE: u64 = 0x1_0000;

/// What lies at an offset in one redistributor.
enum Register {
    Ctlr,
    Typer,
    Iidr,
    Waker,
    Identification,
    Reserved,
}

fn decode(offset: u64, width: Width) -> Register {
    use Width::{Double, Word};
    if !is_aligned(offset, width) {
        return Register::Reserved;
    }
    match (offset, width) {
        (0x0000, Word) => Register::Ctlr,
        (0x0004, Word) => Register::Iidr,
        (0x0008, Word | Double) | (0x000c, Word) => Register::Typer,
        (0x0014, Word) => Register::Waker,
        (0xffd0..0x1_0000, Word) => Register::Identification,
        _ => Register::Reserved,
    }
}

impl Vgic {
    /// What a load at `offset` from the first redistributor reads, if it is the same for ever.
    #[inline(always)]
    pub fn redist_constant(&self, offset: u64, width: Width) -> Option<u64> {
        let target = offset / GICR_STRIDE;
        match (offset & GICR_STRIDE.wrapping_sub(1), width) {
            (0x0008, Width::Double) if target < self.vcpus as u64 => Some(self.typer(target)),
            _ => None,
        }
    }

    /// GICR_TYPER of vCPU `target`: Affinity_Value in 63:32 and Processor_Number in 23:8 are both
    /// its index.
    #[inline]
    const fn typer(&self, target: u64) -> u64 {
        let last = if target.wrapping_add(1) == self.vcpus as u64 { TYPER_LAST } else { 0 };
        target << 32 | target << 8 | last
    }

    /// A load by `vcpu` at `offset` from the first redistributor.
    #[inline(never)]
    pub fn redist_read(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        iface: &mut impl CpuInterface,
    ) -> Read {
        let Some((target, cpu)) = self.redistributor(offset) else { return Read::Value(0) };
        let offset = offset & GICR_STRIDE.wrapping_sub(1);
        let scope = Scope { private: Some((target, cpu)), has_spis: false };
        let field = offset.wrapping_sub(SGI_BASE);
        if let Some(read) = self.read_field(vcpu, &scope, field, width, iface) {
            return read;
        }
        Read::Value(match decode(offset, width) {
            Register::Ctlr => {
                if self.is_write_pending(core::iter::once(target)) {
                    CTLR_RWP
                } else {
                    0
                }
            }
            Register::Typer => read_part(self.typer(target as u64), offset, width),
            Register::Iidr => u64::from(IIDR),
            Register::Waker => u64::from(if cpu.bank.lock().is_asleep { WAKER_ASLEEP } else { 0 }),
            Register::Identification => {
                u64::from(identification(Component::Redistributor, offset & 0xffff))
            }
            Register::Reserved => 0,
        })
    }

    /// A store by `vcpu` at `offset` from the first redistributor.
    #[inline(never)]
    pub fn redist_write(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let Some((target, cpu)) = self.redistributor(offset) else { return Kicks::NONE };
        let offset = offset & GICR_STRIDE.wrapping_sub(1);
        let scope = Scope { private: Some((target, cpu)), has_spis: false };
        let field = offset.wrapping_sub(SGI_BASE);
        if let Some(kicks) = self.write_field(vcpu, &scope, field, width, value, iface) {
            return kicks;
        }
        if let Register::Waker = decode(offset, width) {
            cpu.bank.lock().is_asleep = low(value) & WAKER_SLEEP != 0;
        }
        Kicks::NONE
    }

    /// The vCPU to whose redistributor `offset` belongs.
    fn redistributor(&self, offset: u64) -> Option<(usize, &Cpu)> {
        let target = usize::try_from(offset / GICR_STRIDE).ok()?;
        if target >= self.vcpus {
            return None;
        }
        Some((target, self.cpus.get(target)?))
    }
}

const _: () = assert!(GICR_STRIDE.is_power_of_two());
