//! The registers with a field for each interrupt, which all register files have at the same
//! offsets: GICD_IGROUPR to GICD_ICACTIVER, GICD_IPRIORITYR and GICD_ICFGR of both versions, and
//! their like in a redistributor's SGI_base frame (IHI0069, sections 12.9 to 12.11; IHI0048B,
//! section 4.3). The files differ in which interrupts they are for.

use super::bank::{Bank, SGIS};
use super::bits::{bit, edges_from_icfgr, icfgr_from_edges, index, low, member};
use super::lr::CpuInterface;
use super::regs::is_aligned;
use super::word::BitRegister;
use super::{Cpu, GicVersion, Kicks, Read, Vgic};
use crate::esr::Width;
use crate::sync::TicketMutexGuard;
use hyp_abi::vplatform::{FIRST_SPI, PTIMER_INTID, VTIMER_INTID};

const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;

/// Whose interrupts a register file is for. The registers of others are reserved.
pub(super) struct Scope<'a> {
    /// The vCPU whose SGIs and PPIs are there.
    pub(super) private: Option<(usize, &'a Cpu)>,
    /// Whether SPIs are.
    pub(super) has_spis: bool,
}

/// Which field of its interrupts a register holds.
#[derive(Clone, Copy)]
enum Field {
    Bit(BitRegister),
    /// A byte of priority, from the interrupt with this number within its word on.
    Priority(u32),
    /// Two bits that say edge or level, from the same on: 0 or 16.
    Config(u32),
}

impl Field {
    /// The field that an access at `offset` hits, and of which word of 32 interrupts, if there is
    /// one.
    fn at(offset: u64, width: Width) -> Option<(Self, usize)> {
        if let Some((register, word)) = BitRegister::at(offset, width) {
            return Some((Self::Bit(register), word));
        }
        if !is_aligned(offset, width) {
            return None;
        }
        match (offset, width) {
            (IPRIORITYR..0x0800, Width::Byte | Width::Word) => {
                let first = low(offset.wrapping_sub(IPRIORITYR));
                Some((Self::Priority(first % 32), index(first / 32)))
            }
            (ICFGR..0x0d00, Width::Word) => {
                let first = low(offset.wrapping_sub(ICFGR) << 2);
                Some((Self::Config(first % 32), index(first / 32)))
            }
            _ => None,
        }
    }
}

impl Vgic {
    /// A load by `vcpu` of a register with a field for each interrupt of `scope`; `None` where there
    /// is another one at `offset`.
    #[inline(never)]
    pub(super) fn read_field(
        &self,
        vcpu: usize,
        scope: &Scope<'_>,
        offset: u64,
        width: Width,
        iface: &mut impl CpuInterface,
    ) -> Option<Read> {
        let (field, word) = Field::at(offset, width)?;
        Some(Read::Value(match (word.checked_sub(1), scope.private) {
            (None, Some((target, cpu))) => match field {
                Field::Bit(register) => {
                    return Some(self.read_bank(vcpu, target, cpu, register, iface));
                }
                Field::Priority(first) => cpu.bank.lock().priorities(first, width),
                Field::Config(first) => config(cpu.bank.lock().word.edge, first),
            },
            (Some(word), _) if scope.has_spis => {
                if let Field::Bit(register) = field {
                    return Some(self.read_bits(vcpu, register, word, iface));
                }
                let spis = self.spis.lock();
                match field {
                    Field::Priority(first) => spis.priorities(spi_in(word, first), width),
                    Field::Config(first) => config(spis.edges(word), first),
                    Field::Bit(_) => 0,
                }
            }
            _ => 0,
        }))
    }

    /// A store by `vcpu` to such a register, as [`Self::read_field`].
    #[inline(never)]
    pub(super) fn write_field(
        &self,
        vcpu: usize,
        scope: &Scope<'_>,
        offset: u64,
        width: Width,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Option<Kicks> {
        let (field, word) = Field::at(offset, width)?;
        Some(match (word.checked_sub(1), scope.private) {
            (None, Some((target, cpu))) => {
                if let Field::Bit(register) = field {
                    return Some(self.write_bank(vcpu, target, cpu, register, low(value), iface));
                }
                let mut bank = cpu.bank.lock();
                let changed = match field {
                    Field::Priority(first) => {
                        bank.set_priorities(first, width, value, self.priority_mask)
                    }
                    Field::Config(16) => bank.set_ppi_config(low(value)),
                    // SGIs are edge-triggered for ever.
                    Field::Config(_) | Field::Bit(_) => 0,
                };
                self.commit(vcpu, target, cpu, bank, changed, iface)
            }
            (Some(word), _) if scope.has_spis => {
                if let Field::Bit(register) = field {
                    return Some(self.write_bits(vcpu, register, word, low(value), iface));
                }
                let mut spis = self.spis.lock();
                let groups = self.groups();
                let kicks = match field {
                    Field::Priority(first) => {
                        let first = spi_in(word, first);
                        spis.set_priorities(first, width, value, self.priority_mask, groups)
                    }
                    Field::Config(first) => {
                        let edges = edges_from_icfgr(low(value)).wrapping_shl(first);
                        spis.set_edges(word, 0xffffu32.wrapping_shl(first), edges, groups)
                    }
                    Field::Bit(_) => Kicks::NONE,
                };
                drop(spis);
                self.settle(vcpu, kicks, iface)
            }
            _ => Kicks::NONE,
        })
    }

    /// A load of a register of the bit sets, of `word` of the SPIs.
    fn read_bits(
        &self,
        vcpu: usize,
        register: BitRegister,
        word: usize,
        iface: &mut impl CpuInterface,
    ) -> Read {
        if register.is_volatile() {
            let owners = {
                let spis = self.spis.lock();
                spis.holders(word, spis.live(word))
            };
            if let Err(kicks) = self.refresh(vcpu, owners, iface) {
                return Read::Again(kicks);
            }
        }
        Read::Value(u64::from(self.spis.lock().read(register, word)))
    }

    /// A store to a register of the bit sets, of `word` of the SPIs.
    #[inline(never)]
    pub(super) fn write_bits(
        &self,
        vcpu: usize,
        register: BitRegister,
        word: usize,
        value: u32,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        if value == 0 && register != BitRegister::Group {
            return Kicks::NONE;
        }
        let mut sent = Kicks::NONE;
        let mut spis = self.spis.lock();
        // State of this CPU's own list registers is made exact before it is changed.
        if register.is_volatile() && spis.holders(word, spis.live(word) & value).contains(vcpu) {
            drop(spis);
            sent = self.resync(vcpu, iface);
            spis = self.spis.lock();
        }
        // The groups count as they are under the lock: who turns one on looks afterwards.
        let kicks = spis.write(register, word, value, self.groups());
        drop(spis);
        sent | self.settle(vcpu, kicks, iface)
    }

    /// A load by `vcpu` of a register of the bit sets of `target`.
    fn read_bank(
        &self,
        vcpu: usize,
        target: usize,
        cpu: &Cpu,
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
    fn write_bank(
        &self,
        vcpu: usize,
        target: usize,
        cpu: &Cpu,
        register: BitRegister,
        value: u32,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let value = match self.version {
            GicVersion::V2 => value & writable(register),
            GicVersion::V3 => value,
        };
        if value == 0 && register != BitRegister::Group {
            return Kicks::NONE;
        }
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
    fn commit(
        &self,
        vcpu: usize,
        target: usize,
        cpu: &Cpu,
        bank: TicketMutexGuard<'_, Bank>,
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
}

/// What ICFGR shows of the half of `edges` that begins at bit `first`.
fn config(edges: u32, first: u32) -> u64 {
    u64::from(icfgr_from_edges(edges.wrapping_shr(first)))
}

/// SPI `n` of `word`, counted from 0.
fn spi_in(word: usize, n: u32) -> u32 {
    low(word as u64).saturating_mul(32).saturating_add(n)
}

/// The bits of the SGIs and PPIs of `register` that can be written with a GICv2: SGIs are always enabled (GIC-400),
/// and their pending state belongs to GICD_SPENDSGIR and GICD_CPENDSGIR.
const fn writable(register: BitRegister) -> u32 {
    match register {
        BitRegister::ClearEnable | BitRegister::SetPending | BitRegister::ClearPending => !SGIS,
        BitRegister::Group
        | BitRegister::SetEnable
        | BitRegister::SetActive
        | BitRegister::ClearActive => !0,
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

const _: () = assert!(FIRST_SPI == 32);
