//! The GICv2 distributor's registers (IHI0048B, section 4.3), without the Security Extensions. Those
//! of interrupts 0 to 31 are banked: each vCPU sees its own.
//!
//! An SPI goes to the first of the vCPUs that GICD_ITARGETSR names: the 1-of-N model leaves the
//! choice to the distributor.

use super::bank::{Senders, SendersKind};
use super::bits::{Bits, bit, byte, index, low, member};
use super::files::{Register, Single};
use super::flow::Change;
use super::lr::CpuInterface;
use super::regs::{Component, IIDR_V2, bytes_of};
use super::sgi::SgirRequest;
use super::spi::SPI_WORDS;
use super::{Kicks, Vgic, spi_number};
use crate::esr::Width;
use crate::sync::Ordering;
use hyp_abi::vplatform::{FIRST_SPI, SPIS};

/// GICD_TYPER.ITLinesNumber; CPUNumber is above it, no Security Extensions.
const LINES: u32 = 3;
const CPU_NUMBER_SHIFT: u32 = 5;

const ITARGETSR: u64 = 0x800;
const CPENDSGIR: u64 = 0xf10;
const SPENDSGIR: u64 = 0xf20;

/// What lies at `offset`, for an aligned access of one of `vcpus`. Behind the first 4 KiB is
/// nothing.
#[inline(always)]
pub(super) fn register(vcpus: usize, offset: u64, width: Width) -> Register {
    use Width::{Byte, Word};
    let from = |base: u64| low(offset.wrapping_sub(base));
    match (offset, width) {
        (0x000, Word) => Register::Single(Single::Control),
        (0x004, Word) => {
            let last = low(vcpus as u64).saturating_sub(1);
            Register::Fixed(u64::from(LINES | last << CPU_NUMBER_SHIFT))
        }
        (0x008, Word) => Register::Fixed(u64::from(IIDR_V2)),
        (ITARGETSR..0xc00, Byte | Word) => Register::Single(Single::Targets(from(ITARGETSR))),
        (0xf00, Word) => Register::Single(Single::Sgir),
        (CPENDSGIR..SPENDSGIR, Byte | Word) => {
            Register::Single(Single::ClearSenders(from(CPENDSGIR)))
        }
        (SPENDSGIR..0xf30, Byte | Word) => Register::Single(Single::SetSenders(from(SPENDSGIR))),
        (0xfd0..0x1000, Word) => Register::Single(Single::Identification(Component::DistributorV2)),
        _ => Register::NONE,
    }
}

impl Vgic {
    /// A write of GICD_SGIR.
    pub(super) fn sgir(&self, vcpu: usize, value: u32, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        let SgirRequest { intid, targets } = SgirRequest::decode(value, vcpu, self.vcpus);
        let sender = byte(u64::from(member(vcpu)));
        if targets == member(vcpu) {
            let mut bank = cpu.bank.lock();
            if bank.revive(intid, low(vcpu as u64), None, self.groups(), iface) {
                return Kicks::NONE;
            }
            bank.send(intid, sender);
            return self.finish(vcpu, cpu, bank, iface);
        }
        let note = u32::from(sender).wrapping_shl((intid & 3).wrapping_mul(8));
        let mut kicks = Kicks::NONE;
        for target in Bits(targets) {
            let target = index(target);
            let Some(cpu) = self.cpus.get(target) else { continue };
            if let Some(senders) = cpu.senders.get(index(intid >> 2)) {
                senders.fetch_or(note, Ordering::AcqRel);
            }
            // Whoever finds the inbox empty sends the kick; the owner empties it in one go.
            if cpu.inbox.fetch_or(bit(intid), Ordering::AcqRel) == 0 {
                kicks = kicks.with(target);
            }
        }
        if kicks.contains(vcpu) {
            return kicks.without(vcpu) | self.sync(vcpu, iface);
        }
        kicks
    }

    /// A load of `width` from GICD_ITARGETSR, from interrupt `first` on.
    pub(super) fn targets(&self, vcpu: usize, first: u32, width: Width) -> u64 {
        if self.vcpus == 1 {
            // With one CPU interface the registers are RAZ/WI (IHI0048B, section 4.3.12).
            return 0;
        }
        let spis = self.spis.lock();
        (0..width.bytes()).map(low).rev().fold(0, |value, n| {
            let intid = first.saturating_add(n);
            let targets = match spi_number(intid) {
                Some(spi) => spis.route(spi),
                None if intid < FIRST_SPI => member(vcpu),
                None => 0,
            };
            value << 8 | u64::from(targets)
        })
    }

    /// A store of `width` to GICD_ITARGETSR, from interrupt `first` on; those of SGIs and PPIs are
    /// read-only.
    pub(super) fn set_targets(&self, first: u32, width: Width, value: u64) -> Kicks {
        if self.vcpus == 1 {
            return Kicks::NONE;
        }
        let mut spis = self.spis.lock();
        bytes_of(first, value, width).fold(Kicks::NONE, |kicks, (intid, targets)| {
            let Some(spi) = spi_number(intid) else { return kicks };
            let targets = u32::from(targets & self.every_vcpu());
            let target = (targets != 0).then(|| index(targets.trailing_zeros()));
            kicks | spis.set_route(spi, targets, target, self.groups())
        })
    }

    /// An access of `width` to GICD_CPENDSGIR or GICD_SPENDSGIR, from SGI `first` on. Answers what a
    /// load reads, and who has to be kicked.
    pub(super) fn senders(
        &self,
        vcpu: usize,
        first: u32,
        width: Width,
        stored: Option<(SendersKind, u64)>,
        iface: &mut impl CpuInterface,
    ) -> (u64, Kicks) {
        let (kind, value) = stored.unwrap_or((SendersKind::Look, 0));
        let every_byte = u64::from(self.every_vcpu()).wrapping_mul(0x0101_0101_0101_0101);
        let mut access = Senders { first, width, value: value & every_byte, kind };
        let kicks = self.resync_with(vcpu, Change::Senders(&mut access), iface);
        (access.value, kicks)
    }

    /// A bit for each vCPU.
    fn every_vcpu(&self) -> u8 {
        byte(u64::from(member(self.vcpus).wrapping_sub(1)))
    }
}

const _: () = assert!(LINES as usize == SPI_WORDS && FIRST_SPI as usize + SPIS <= 1020);
