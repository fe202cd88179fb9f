//! The registers with a field for each interrupt, which all register files have at the same
//! offsets: GICD_IGROUPR to GICD_ICACTIVER, GICD_IPRIORITYR and GICD_ICFGR of both versions, and
//! their like in a redistributor's SGI_base frame (IHI0069, sections 12.9 to 12.11; IHI0048B,
//! section 4.3). The files differ in which interrupts they are for.

use super::bank::{Bank, SGIS};
use super::bits::{bit, low, member};
use super::lr::CpuInterface;
use super::settings::{Field, Kind, State};
use super::{Cpu, GicVersion, Kicks, Read, Vgic};
use crate::sync::TicketMutexGuard;
use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};

impl Vgic {
    /// A load by `vcpu` of `field` of `word` of the SPIs.
    #[inline(always)]
    pub(super) fn read_spis(
        &self,
        vcpu: usize,
        field: Field,
        word: usize,
        iface: &mut impl CpuInterface,
    ) -> Read {
        let Some(settings) = self.settings.get(word) else { return Read::Value(0) };
        match field.kind {
            Kind::State(state) => self.read_spi_state(vcpu, state, word, iface),
            _ => Read::Value(settings.read(field)),
        }
    }

    /// A load by `vcpu` of `field` of the SGIs and PPIs of `target`.
    #[inline(always)]
    pub(super) fn read_bank(
        &self,
        vcpu: usize,
        target: usize,
        field: Field,
        iface: &mut impl CpuInterface,
    ) -> Read {
        let Some(cpu) = self.cpus.get(target) else { return Read::Value(0) };
        match field.kind {
            Kind::State(state) => self.read_bank_state(vcpu, target, state, iface),
            _ => Read::Value(cpu.settings.read(field)),
        }
    }

    /// A store by `vcpu` to `field` of `word` of the SPIs.
    #[inline(always)]
    pub(super) fn write_spis(
        &self,
        vcpu: usize,
        field: Field,
        word: usize,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        match field.kind {
            Kind::State(state) => self.write_spi_state(vcpu, state, word, low(value), iface),
            _ => self.set_spis(vcpu, field, word, value, iface),
        }
    }

    /// A store by `vcpu` to `field` of the SGIs and PPIs of `target`.
    #[inline(always)]
    pub(super) fn write_bank(
        &self,
        vcpu: usize,
        target: usize,
        field: Field,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        match field.kind {
            Kind::State(state) => self.write_bank_state(vcpu, target, state, low(value), iface),
            _ => self.set_bank(vcpu, target, field, value, iface),
        }
    }

    #[inline(never)]
    fn set_spis(
        &self,
        vcpu: usize,
        field: Field,
        word: usize,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let Some(settings) = self.settings.get(word) else { return Kicks::NONE };
        let value = self.implemented(field.kind, value);
        let mut spis = self.spis.lock();
        // The groups count as they are under the lock: who turns one on looks afterwards.
        let kicks = spis.set(field, word, value, settings, self.groups());
        drop(spis);
        self.settle(vcpu, kicks, iface)
    }

    #[inline(never)]
    fn set_bank(
        &self,
        vcpu: usize,
        target: usize,
        field: Field,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let Some(cpu) = self.cpus.get(target) else { return Kicks::NONE };
        let mut value = self.implemented(field.kind, value);
        if self.version == GicVersion::V2 && field.kind == Kind::Disable {
            // SGIs are always enabled (GIC-400).
            value &= !SGIS;
        }
        let mut bank = cpu.lock_bank();
        let changed = bank.word.set(field, value, &cpu.settings);
        self.commit(vcpu, target, cpu, bank, changed, iface)
    }

    #[inline(never)]
    fn read_spi_state(
        &self,
        vcpu: usize,
        state: State,
        word: usize,
        iface: &mut impl CpuInterface,
    ) -> Read {
        let owners = self.spis.lock().holders(word, !0);
        match self.refresh(vcpu, owners, iface) {
            Ok(()) => Read::Value(u64::from(self.spis.lock().read(state, word))),
            Err(kicks) => Read::Again(kicks),
        }
    }

    #[inline(never)]
    fn write_spi_state(
        &self,
        vcpu: usize,
        state: State,
        word: usize,
        value: u32,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let mut sent = Kicks::NONE;
        let mut spis = self.spis.lock();
        // State of this CPU's own list registers is made exact before it is changed.
        if spis.holders(word, value).contains(vcpu) {
            drop(spis);
            sent = self.resync(vcpu, iface);
            spis = self.spis.lock();
        }
        let kicks = spis.write(state, word, value, self.groups());
        drop(spis);
        sent | self.settle(vcpu, kicks, iface)
    }

    #[inline(never)]
    fn read_bank_state(
        &self,
        vcpu: usize,
        target: usize,
        state: State,
        iface: &mut impl CpuInterface,
    ) -> Read {
        let Some(cpu) = self.cpus.get(target) else { return Read::Value(0) };
        let is_live = cpu.bank.lock().word.live != 0;
        let owners = if is_live { Kicks::NONE.with(target) } else { Kicks::NONE };
        if let Err(kicks) = self.refresh(vcpu, owners, iface) {
            return Read::Again(kicks);
        }
        let mut bank = cpu.lock_bank();
        let lines = match state {
            State::SetPending | State::ClearPending if target == vcpu => {
                bank.settle(iface);
                timer_lines(iface)
            }
            _ => 0,
        };
        Read::Value(u64::from(bank.word.read(state) | lines))
    }

    #[inline(never)]
    fn write_bank_state(
        &self,
        vcpu: usize,
        target: usize,
        state: State,
        value: u32,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let Some(cpu) = self.cpus.get(target) else { return Kicks::NONE };
        let value = match (self.version, state) {
            // What is pending of SGIs belongs to GICD_SPENDSGIR and GICD_CPENDSGIR.
            (GicVersion::V2, State::SetPending | State::ClearPending) => value & !SGIS,
            _ => value,
        };
        let mut kicks = Kicks::NONE;
        let mut bank = cpu.lock_bank();
        // State of this CPU's own list registers is made exact before it is changed.
        if target == vcpu && bank.word.live & value != 0 {
            drop(bank);
            kicks = self.resync(vcpu, iface);
            bank = cpu.bank.lock();
        }
        let changed = bank.word.write(state, value);
        kicks | self.commit(vcpu, target, cpu, bank, changed, iface)
    }

    /// `value` as fields of `kind` take it: of priorities, the upper bits.
    fn implemented(&self, kind: Kind, value: u64) -> u32 {
        match kind {
            Kind::Priority => low(value) & u32::from_le_bytes([self.priority_mask; 4]),
            _ => low(value),
        }
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

/// The timer lines that are high right now; a level shows as pending before the physical
/// interrupt was taken, too.
fn timer_lines(iface: &impl CpuInterface) -> u32 {
    [PTIMER_INTID, VTIMER_INTID]
        .into_iter()
        .filter(|&intid| iface.timer_line(intid))
        .fold(0, |lines, intid| lines | bit(intid))
}
