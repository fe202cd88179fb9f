//! The register files: an access is decoded once, and what it hits is read or written here.

use super::bank::SendersKind;
use super::bits::{low, member};
use super::lr::CpuInterface;
use super::regs::{Component, identification, is_aligned, read_part, write_part};
use super::settings::Field;
use super::{GicVersion, Kicks, Read, Vgic};
use super::{dist, dist_v2, redist};
use crate::esr::Width;
use crate::sync::Ordering;

/// Whose registers an access is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterFile {
    /// The distributor's.
    Distributor,
    /// The redistributors' of a GICv3, the first vCPU's first.
    Redistributors,
}

/// What an access hits that has no field for each interrupt. With a width that a register does not
/// have, that is nothing.
pub(super) enum Register {
    /// Reads as this and ignores writes; 0 for what is reserved.
    Fixed(u64),
    /// One of its own kind.
    Single(Single),
}

/// Registers that change.
pub(super) enum Single {
    /// The identification registers.
    Identification(Component),
    /// GICD_CTLR.
    Control,
    /// GICR_CTLR of this vCPU.
    RedistControl(usize),
    /// GICR_WAKER of this vCPU.
    Waker(usize),
    /// GICD_IROUTER of this SPI, a number from 0.
    Router(u32),
    /// GICD_ITARGETSR, from this interrupt on.
    Targets(u32),
    /// GICD_SGIR.
    Sgir,
    /// GICD_CPENDSGIR, from this SGI on.
    ClearSenders(u32),
    /// GICD_SPENDSGIR, from this SGI on.
    SetSenders(u32),
}

impl Register {
    /// What is reserved.
    pub(super) const NONE: Self = Self::Fixed(0);
}

/// The interrupts that a register has fields of.
enum Interrupts {
    /// This word of SPIs.
    Spis(usize),
    /// The SGIs and PPIs of this vCPU.
    Bank(usize),
    /// None that are there.
    Reserved,
}

impl Vgic {
    /// The fields that an aligned access hits, and of which interrupts, if it hits any.
    #[inline(always)]
    fn fields(
        &self,
        vcpu: usize,
        file: RegisterFile,
        offset: u64,
        width: Width,
    ) -> Option<(Field, Interrupts)> {
        let (offset, target, has_spis) = match file {
            RegisterFile::Distributor if self.version == GicVersion::V3 => (offset, None, true),
            RegisterFile::Distributor => (offset, Some(vcpu), true),
            RegisterFile::Redistributors => {
                let (target, offset) = redist::split(offset);
                (offset.wrapping_sub(redist::SGI_BASE), Some(target), false)
            }
        };
        let (field, word) = Field::at(offset, width)?;
        let interrupts = match (word.checked_sub(1), target) {
            (None, Some(target)) if target < self.vcpus => Interrupts::Bank(target),
            (Some(word), _) if has_spis => Interrupts::Spis(word),
            _ => Interrupts::Reserved,
        };
        Some((field, interrupts))
    }

    #[inline(always)]
    fn register(&self, file: RegisterFile, offset: u64, width: Width) -> Register {
        match (file, self.version) {
            (RegisterFile::Distributor, GicVersion::V3) => dist::register(offset, width),
            (RegisterFile::Distributor, GicVersion::V2) => {
                dist_v2::register(self.vcpus, offset, width)
            }
            (RegisterFile::Redistributors, _) => redist::register(self.vcpus, offset, width),
        }
    }

    /// A load by `vcpu` at `offset` in `file`. What is reserved reads as zero.
    #[inline(never)]
    pub fn read(
        &self,
        vcpu: usize,
        file: RegisterFile,
        offset: u64,
        width: Width,
        iface: &mut impl CpuInterface,
    ) -> Read {
        if !is_aligned(offset, width) {
            return Read::Value(0);
        }
        if let Some((field, interrupts)) = self.fields(vcpu, file, offset, width) {
            return match interrupts {
                Interrupts::Spis(word) => self.read_spis(vcpu, field, word, iface),
                Interrupts::Bank(target) => self.read_bank(vcpu, target, field, iface),
                Interrupts::Reserved => Read::Value(0),
            };
        }
        match self.register(file, offset, width) {
            Register::Fixed(value) => Read::Value(value),
            Register::Single(one) => self.read_single(vcpu, one, offset, width, iface),
        }
    }

    #[inline(never)]
    fn read_single(
        &self,
        vcpu: usize,
        register: Single,
        offset: u64,
        width: Width,
        iface: &mut impl CpuInterface,
    ) -> Read {
        Read::Value(match register {
            Single::Identification(component) => u64::from(identification(component, offset)),
            Single::Control => {
                let shown = match self.version {
                    GicVersion::V2 => 0,
                    GicVersion::V3 if self.is_write_pending(!0) => {
                        dist::CTLR_FIXED | dist::CTLR_RWP
                    }
                    GicVersion::V3 => dist::CTLR_FIXED,
                };
                u64::from(self.control.load(Ordering::Relaxed) | shown)
            }
            Single::RedistControl(target) if self.is_write_pending(member(target)) => {
                redist::CTLR_RWP
            }
            Single::Waker(target) => self.waker(target),
            Single::Router(spi) => {
                read_part(dist::router_of(self.spis.lock().route(spi)), offset, width)
            }
            Single::Targets(first) => self.targets(vcpu, first, width),
            Single::ClearSenders(first) | Single::SetSenders(first) => {
                // What a list register holds is in the model while this looks.
                let (value, kicks) = self.senders(vcpu, first, width, None, iface);
                return if kicks.is_empty() { Read::Value(value) } else { Read::Again(kicks) };
            }
            Single::RedistControl(_) | Single::Sgir => 0,
        })
    }

    /// A store by `vcpu` at `offset` in `file`. What is reserved ignores it.
    #[inline(never)]
    pub fn write(
        &self,
        vcpu: usize,
        file: RegisterFile,
        offset: u64,
        width: Width,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        if !is_aligned(offset, width) {
            return Kicks::NONE;
        }
        if let Some((field, interrupts)) = self.fields(vcpu, file, offset, width) {
            return match interrupts {
                Interrupts::Spis(word) => self.write_spis(vcpu, field, word, value, iface),
                Interrupts::Bank(target) => self.write_bank(vcpu, target, field, value, iface),
                Interrupts::Reserved => Kicks::NONE,
            };
        }
        match self.register(file, offset, width) {
            Register::Fixed(_) => Kicks::NONE,
            Register::Single(one) => self.write_single(vcpu, one, (offset, width), value, iface),
        }
    }

    #[inline(never)]
    fn write_single(
        &self,
        vcpu: usize,
        register: Single,
        (offset, width): (u64, Width),
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let kicks = match register {
            Single::Control => self.write_control(low(value) & dist::CTLR_ENABLES),
            Single::Waker(target) => {
                self.set_waker(target, value);
                Kicks::NONE
            }
            Single::Router(spi) => {
                let mut spis = self.spis.lock();
                let old = dist::router_of(spis.route(spi));
                let affinity = dist::affinity_of(write_part(old, offset, width, value));
                spis.set_route(spi, affinity, self.vcpu_at(affinity), self.groups())
            }
            Single::Targets(first) => self.set_targets(first, width, value),
            Single::Sgir => return self.sgir(vcpu, low(value), iface),
            Single::ClearSenders(first) => {
                let store = Some((SendersKind::Recall, value));
                return self.senders(vcpu, first, width, store, iface).1;
            }
            Single::SetSenders(first) => {
                let store = Some((SendersKind::Send, value));
                return self.senders(vcpu, first, width, store, iface).1;
            }
            Single::Identification(_) | Single::RedistControl(_) => Kicks::NONE,
        };
        self.settle(vcpu, kicks, iface)
    }

    /// Changes the group enables; everybody's choice of interrupts may change.
    fn write_control(&self, enables: u32) -> Kicks {
        let _spis = self.spis.lock();
        if self.control.swap(enables, Ordering::AcqRel) == enables {
            return Kicks::NONE;
        }
        (0..self.vcpus).fold(Kicks::NONE, Kicks::with)
    }

    /// The vCPU with the affinity bytes 3.2.1.0: vCPU n has 0.0.0.n.
    fn vcpu_at(&self, affinity: u32) -> Option<usize> {
        usize::try_from(affinity).ok().filter(|&vcpu| vcpu < self.vcpus)
    }
}
