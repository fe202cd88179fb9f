//! GICv2: the Distributor without the Security Extensions (IHI 0048, 4.3).

use super::distributor_v3::identification;
use super::registers::common;
use super::{Expected, FIRST_SPI, Gic};

/// Its size.
const SIZE: u64 = 0x1000;

/// The registers of senders: four SGIs a word, or one a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Senders {
    Clear,
    Set,
}

impl Gic {
    /// A load of `bytes` at `offset` by `vcpu`, which sees its own registers of the first 32
    /// interrupts (4.1.1, banking).
    pub(super) fn read_distributor_v2(&self, vcpu: usize, offset: u64, bytes: u64) -> Expected {
        if offset >= SIZE {
            return Expected::ZERO;
        }
        if let Some(register) = common(offset, bytes) {
            return self.read_common(vcpu, vcpu, register, bytes);
        }
        let is_narrow = bytes == 1 || bytes == 4 && offset.is_multiple_of(4);
        let mut value = 0;
        let mut each = |byte: &dyn Fn(u32) -> u8, base: u64| {
            for n in (0..bytes).rev() {
                value = value << 8 | u64::from(byte(u32::try_from(offset - base + n).unwrap_or(0)));
            }
            Expected { is_constant: false, ..Expected::exactly(value) }
        };
        match (offset, bytes) {
            // GICD_CTLR: EnableGrp0 and EnableGrp1.
            (0x0, 4) => {
                Expected { is_constant: false, ..Expected::exactly(u64::from(self.group_enables)) }
            }
            // GICD_TYPER (4.3.2): ITLinesNumber, CPUNumber; no Security Extensions.
            (0x4, 4) => {
                let last = self.config.vcpus as u64 - 1;
                Expected::exactly(u64::from(self.config.end / 32 - 1) | last << 5)
            }
            (0x8, 4) => Expected::constant(0, 0),
            (0x800..0xc00, _) if is_narrow => each(&|intid| self.targets_of(vcpu, intid), 0x800),
            _ => match self.senders_at(offset, bytes) {
                Some((_, base)) => each(&|sgi| self.senders_of(vcpu, sgi), base),
                None if offset >= 0xfd0 => identification(offset, bytes, 2),
                None => Expected::ZERO,
            },
        }
    }

    /// A store of `bytes` at `offset` by `vcpu`.
    pub(super) fn write_distributor_v2(
        &mut self,
        vcpu: usize,
        offset: u64,
        bytes: u64,
        value: u64,
    ) {
        if offset >= SIZE {
            return;
        }
        if let Some(register) = common(offset, bytes) {
            return self.write_common(vcpu, register, bytes, value);
        }
        let is_narrow = bytes == 1 || bytes == 4 && offset.is_multiple_of(4);
        let number = |base: u64, n: u64| u32::try_from(offset - base + n).unwrap_or(0);
        let parts = (0..bytes).zip(value.to_le_bytes());
        match (offset, bytes) {
            (0x0, 4) => self.group_enables = u32::try_from(value & 3).unwrap_or(0),
            (0x800..0xc00, _) if is_narrow && self.config.vcpus > 1 => {
                // Those of SGIs and PPIs are read-only (4.3.12); bits of CPUs that are not there RAZ/WI.
                let every = (1u16 << self.config.vcpus) - 1;
                for (n, byte) in parts {
                    let intid = number(0x800, n);
                    if (FIRST_SPI..self.config.end).contains(&intid) {
                        let [every, _] = every.to_le_bytes();
                        self.targets.insert(intid, byte & every);
                    }
                }
            }
            (0xf00, 4) => self.write_sgir(vcpu, value),
            _ => {
                let Some((register, base)) = self.senders_at(offset, bytes) else { return };
                for (n, byte) in parts {
                    let Some(id) = self.id(vcpu, number(base, n)) else { continue };
                    let named = (0..self.config.vcpus).filter(|vcpu| byte >> vcpu & 1 == 1);
                    let waiting = self.senders.entry(id).or_default();
                    for sender in named {
                        match register {
                            Senders::Clear => waiting.remove(&sender),
                            Senders::Set => waiting.insert(sender),
                        };
                    }
                }
            }
        }
    }

    /// GICD_SGIR (4.3.15): TargetListFilter in 25:24, the list in 23:16.
    fn write_sgir(&mut self, vcpu: usize, value: u64) {
        let number = u32::try_from(value & 0xf).unwrap_or(0);
        for target in 0..self.config.vcpus {
            let is_meant = match value >> 24 & 3 {
                0b00 => value >> (16 + target) & 1 == 1,
                0b01 => target != vcpu,
                0b10 => target == vcpu,
                _ => false,
            };
            if let Some(id) = self.id(target, number).filter(|_| is_meant) {
                self.senders.entry(id).or_default().insert(vcpu);
            }
        }
    }

    /// GICD_CPENDSGIR and GICD_SPENDSGIR (4.3.16, 4.3.17), byte-accessible.
    fn senders_at(&self, offset: u64, bytes: u64) -> Option<(Senders, u64)> {
        let is_narrow = bytes == 1 || bytes == 4 && offset.is_multiple_of(4);
        match offset {
            0xf10..0xf20 if is_narrow => Some((Senders::Clear, 0xf10)),
            0xf20..0xf30 if is_narrow => Some((Senders::Set, 0xf20)),
            _ => None,
        }
    }

    fn senders_of(&self, vcpu: usize, sgi: u32) -> u8 {
        let senders = self.id(vcpu, sgi).and_then(|id| self.senders.get(&id));
        senders.into_iter().flatten().fold(0, |byte, sender| byte | 1 << sender)
    }

    /// GICD_ITARGETSR (4.3.12): RAZ/WI with one CPU; for SGIs and PPIs the CPU that reads.
    fn targets_of(&self, vcpu: usize, intid: u32) -> u8 {
        match intid {
            _ if self.config.vcpus == 1 => 0,
            0..FIRST_SPI => 1 << vcpu,
            _ => self.targets.get(&intid).copied().unwrap_or(0),
        }
    }
}
