//! The redistributors' registers (IHI0069, sections 12.10 and 12.11): for each vCPU an RD_base and
//! an SGI_base frame of 64 KiB. There are no LPIs, so no GICR_PROPBASER and the like. What is
//! reserved reads as zero and ignores writes.

use super::bank::{Bank, SGIS};
use super::bits::{icfgr_from_edges, low};
use super::lr::CpuInterface;
use super::regs::{Component, IIDR, identification, is_aligned, read_part};
use super::word::BitRegister;
use super::{Cpu, Kicks, Read, Vgic, bit, member};
use crate::esr::Width;
use crate::sync::TicketMutexGuard;
use hyp_abi::vplatform::{GICR_STRIDE, PTIMER_INTID, VTIMER_INTID};
use spin::RelaxStrategy;

/// GICR_CTLR.RWP.
const CTLR_RWP: u64 = 1 << 3;
/// GICR_TYPER.Last.
const TYPER_LAST: u64 = 1 << 4;
/// GICR_WAKER.ProcessorSleep; ChildrenAsleep, the next bit, follows it at once. Interrupts are
/// delivered whatever it says: nothing here loses power.
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_ASLEEP: u32 = 3 << 1;

const SGI_BASE: u64 = 0x1_0000;
const IPRIORITYR: u64 = SGI_BASE + 0x400;

/// What lies at an offset in one redistributor.
enum Register {
    Ctlr,
    Typer,
    Iidr,
    Waker,
    /// First interrupt of the access.
    Priority(u32),
    SgiConfig,
    PpiConfig,
    Identification,
    Reserved,
}

fn decode(offset: u64, width: Width) -> Register {
    use Width::{Byte, Double, Word};
    if !is_aligned(offset, width) {
        return Register::Reserved;
    }
    match (offset, width) {
        (0x0000, Word) => Register::Ctlr,
        (0x0004, Word) => Register::Iidr,
        (0x0008, Word | Double) | (0x000c, Word) => Register::Typer,
        (0x0014, Word) => Register::Waker,
        (IPRIORITYR..0x1_0420, Byte | Word) => {
            Register::Priority(low(offset.wrapping_sub(IPRIORITYR)))
        }
        (0x1_0c00, Word) => Register::SgiConfig,
        (0x1_0c04, Word) => Register::PpiConfig,
        (0xffd0..0x1_0000, Word) => Register::Identification,
        _ => Register::Reserved,
    }
}

impl<R: RelaxStrategy> Vgic<R> {
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
        if let Some((register, word)) = BitRegister::at(offset.wrapping_sub(SGI_BASE), width) {
            // The words above belong to the extended PPIs, which are not implemented.
            return if word == 0 {
                self.read_bank(vcpu, target, cpu, register, iface)
            } else {
                Read::Value(0)
            };
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
            Register::Priority(first) => cpu.bank.lock().priorities(first, width),
            Register::SgiConfig => u64::from(icfgr_from_edges(SGIS)),
            Register::PpiConfig => u64::from(icfgr_from_edges(cpu.bank.lock().word.edge >> 16)),
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
        if let Some((register, word)) = BitRegister::at(offset.wrapping_sub(SGI_BASE), width) {
            return match (word, low(value)) {
                (0, 0) if register != BitRegister::Group => Kicks::NONE,
                (0, value) => self.write_bank(vcpu, target, cpu, register, value, iface),
                _ => Kicks::NONE,
            };
        }
        let mut bank = cpu.bank.lock();
        let changed = match decode(offset, width) {
            Register::Waker => {
                bank.is_asleep = low(value) & WAKER_SLEEP != 0;
                0
            }
            Register::Priority(first) => {
                bank.set_priorities(first, width, value, self.priority_mask)
            }
            Register::PpiConfig => bank.set_ppi_config(low(value)),
            Register::Ctlr
            | Register::Typer
            | Register::Iidr
            | Register::SgiConfig
            | Register::Identification
            | Register::Reserved => 0,
        };
        self.commit(vcpu, target, cpu, bank, changed, iface)
    }

    /// A load by `vcpu` of a register of the bit sets of `target`.
    pub(super) fn read_bank(
        &self,
        vcpu: usize,
        target: usize,
        cpu: &Cpu<R>,
        register: BitRegister,
        iface: &mut impl CpuInterface,
    ) -> Read {
        if register.is_volatile() {
            let is_live = cpu.bank.lock().word.live != 0;
            let owners = if is_live { Kicks::NONE.with(target) } else { Kicks::NONE };
            if let Err(kicks) = self.refresh(vcpu, owners, iface) {
                return Read::Again(kicks);
            }
        }
        let mut bank = cpu.lock_bank();
        let shows_pending = matches!(register, BitRegister::SetPending | BitRegister::ClearPending);
        let lines = if shows_pending && target == vcpu {
            bank.settle(iface);
            timer_lines(iface)
        } else {
            0
        };
        Read::Value(u64::from(bank.word.read(register) | lines))
    }

    /// A store by `vcpu` to a register of the bit sets of `target`.
    pub(super) fn write_bank(
        &self,
        vcpu: usize,
        target: usize,
        cpu: &Cpu<R>,
        register: BitRegister,
        value: u32,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let mut kicks = Kicks::NONE;
        let mut bank = cpu.lock_bank();
        // State of this CPU's own list registers is made exact before it is changed.
        if register.is_volatile() && target == vcpu && bank.word.live & value != 0 {
            drop(bank);
            kicks = self.resync(vcpu, iface);
            bank = cpu.bank.lock();
        }
        let changed = bank.word.write(register, value);
        kicks | self.commit(vcpu, target, cpu, bank, changed, iface)
    }

    /// Makes a change of `changed` interrupts of `target` take effect.
    pub(super) fn commit(
        &self,
        vcpu: usize,
        target: usize,
        cpu: &Cpu<R>,
        bank: TicketMutexGuard<'_, Bank, R>,
        changed: u32,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let word = &bank.word;
        if changed & (word.live | word.active | word.deliverable(self.groups())) == 0 {
            return Kicks::NONE;
        }
        let in_list_registers = changed & word.live != 0;
        if target == vcpu {
            if in_list_registers {
                drop(bank);
                return self.resync(vcpu, iface);
            }
            return self.finish(vcpu, cpu, bank, iface);
        }
        drop(bank);
        self.demand(Kicks::NONE.with(target), super::LOOK | member(vcpu))
    }

    /// The vCPU to whose redistributor `offset` belongs.
    fn redistributor(&self, offset: u64) -> Option<(usize, &Cpu<R>)> {
        let target = usize::try_from(offset / GICR_STRIDE).ok()?;
        if target >= self.vcpus {
            return None;
        }
        Some((target, self.cpus.get(target)?))
    }
}

/// The timer lines that are high right now; a level shows as pending before the physical
/// interrupt was taken, too.
fn timer_lines(iface: &impl CpuInterface) -> u32 {
    [PTIMER_INTID, VTIMER_INTID]
        .into_iter()
        .filter(|&intid| iface.timer_line(intid))
        .fold(0, |lines, intid| lines | bit(intid))
}

const _: () = assert!(GICR_STRIDE.is_power_of_two());
