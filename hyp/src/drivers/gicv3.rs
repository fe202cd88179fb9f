//! The machine's GICv3 (IHI 0069): distributor, redistributors, physical CPU interface.
//!
//! All of EL2's interrupts are non-secure group 1 at one priority. EOImode is 1: the end of an
//! interrupt drops the priority, and deactivation is a step of its own, which for a guest's timers
//! the guest takes through the list register.

use arrayvec::ArrayVec;

use super::mmio::Mmio;
use crate::arch::cpu::Once;
use crate::arch::{barrier, cpu, low_half, sysreg, word};

// Distributor (IHI 0069, 12.9).
const GICD_CTLR: usize = 0x0000;
const GICD_TYPER: usize = 0x0004;
const GICD_IGROUPR: usize = 0x0080;
const GICD_ISENABLER: usize = 0x0100;
const GICD_ICENABLER: usize = 0x0180;
const GICD_ICPENDR: usize = 0x0280;
const GICD_ICACTIVER: usize = 0x0380;
const GICD_IPRIORITYR: usize = 0x0400;
const GICD_IROUTER: usize = 0x6000;
/// Register writes are still under way.
const CTLR_RWP: u32 = 1 << 31;
/// Affinity routing, of the non-secure state or the only one.
const CTLR_ARE: u32 = 1 << 4;
/// Group 1 on: EnableGrp1A of the non-secure view, EnableGrp1 where there is one Security state.
const CTLR_GROUP1: u32 = 1 << 1;

// Redistributor (IHI 0069, 12.11): RD_base, then SGI_base, which repeats the distributor's layout.
const GICR_TYPER: usize = 0x0008;
const GICR_WAKER: usize = 0x0014;
const SGI_BASE: usize = 0x1_0000;
const FRAMES: usize = 0x2_0000;
const TYPER_VLPIS: u64 = 1 << 1;
const TYPER_LAST: u64 = 1 << 4;
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;

/// Priority of everything; below the mask, above nothing.
const PRIORITY: u8 = 0xa0;
/// INTIDs from here on are not interrupts (spurious and special, IHI 0069, 2.2).
const SPECIAL: u32 = 1020;
/// First shared peripheral interrupt.
const FIRST_SPI: u32 = 32;
/// Regions of redistributors that are kept; as many as `hyp_core::tree` keeps.
const MAX_REGIONS: usize = 8;

/// What EL2's SGIs mean: only "look at your pending work".
pub(crate) const KICK_SGI: u32 = 0;

/// Why the interrupt controller cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GicError {
    /// The CPU has no system-register interface (ID_AA64PFR0_EL1.GIC is 0) or firmware keeps it
    /// (ICC_SRE_EL2.SRE reads 0).
    NoSystemRegisters,
    /// No redistributor has this CPU's affinity.
    NoRedistributor(u64),
    /// The redistributor does not wake up.
    Asleep,
}

impl core::fmt::Display for GicError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSystemRegisters => f.write_str(
                "the GIC's system registers are missing or kept by firmware; Postern needs a GICv3 \
                 with virtualization (QEMU: -M virt,virtualization=on,gic-version=3)",
            ),
            Self::NoRedistributor(mpidr) => {
                write!(
                    f,
                    "no GIC redistributor for the CPU with affinity {mpidr:#x}; correct the device tree"
                )
            }
            Self::Asleep => {
                f.write_str("the GIC redistributor does not wake up; update the firmware")
            }
        }
    }
}

#[derive(Debug)]
struct Gic {
    distributor: Mmio,
    redistributors: ArrayVec<Mmio, MAX_REGIONS>,
    stride: Option<u64>,
}

static GIC: Once<Gic> = Once::new();

/// The controller; a caller that comes before [`init`] is a bug.
fn gic() -> &'static Gic {
    match GIC.get() {
        Some(gic) => gic,
        None => panic!("the GIC is used before it is set up"),
    }
}

/// Sets the distributor up: everything off, group 1, level-triggered as firmware left it.
/// `stride` is the distance of redistributors where the tree overrides GICR_TYPER.
pub(crate) fn init(
    distributor: Mmio,
    redistributors: ArrayVec<Mmio, MAX_REGIONS>,
    stride: Option<u64>,
) {
    let gic = GIC.call_once(|| Gic { distributor, redistributors, stride });
    let d = gic.distributor;
    d.write32(GICD_CTLR, 0);
    wait_distributor(d);
    let lines = FIRST_SPI * ((d.read32(GICD_TYPER) & 0x1f) + 1);
    for intid in (FIRST_SPI..lines.min(SPECIAL)).step_by(32) {
        let word = intid as usize / 32 * 4;
        d.write32(GICD_ICENABLER + word, u32::MAX);
        d.write32(GICD_ICPENDR + word, u32::MAX);
        d.write32(GICD_ICACTIVER + word, u32::MAX);
        d.write32(GICD_IGROUPR + word, u32::MAX);
        for four in (0..32).step_by(4) {
            d.write32(GICD_IPRIORITYR + intid as usize + four, u32::from_ne_bytes([PRIORITY; 4]));
        }
    }
    wait_distributor(d);
    d.write32(GICD_CTLR, CTLR_ARE);
    wait_distributor(d);
    d.write32(GICD_CTLR, CTLR_ARE | CTLR_GROUP1);
    wait_distributor(d);
}

fn wait_distributor(distributor: Mmio) {
    while distributor.read32(GICD_CTLR) & CTLR_RWP != 0 {
        cpu::yield_now();
    }
}

/// Sets up what the calling CPU has of its own: its redistributor and CPU interface.
pub(crate) fn init_cpu() -> Result<(), GicError> {
    if sysreg::id_aa64pfr0_el1() & (0xf << 24) == 0 {
        return Err(GicError::NoSystemRegisters);
    }
    // SRE, no bypass (DFB, DIB). Enable stays 0: EL1's ICC_SRE_EL1 traps and the model answers.
    sysreg::set_icc_sre_el2(0b0111);
    barrier::isb();
    if sysreg::icc_sre_el2() & 1 == 0 {
        return Err(GicError::NoSystemRegisters);
    }
    sysreg::set_icc_sre_el1(0b0111);
    barrier::isb();

    let redistributor = own_redistributor()?;
    redistributor.write32(GICR_WAKER, redistributor.read32(GICR_WAKER) & !WAKER_SLEEP);
    let mut tries = 1_000_000;
    while redistributor.read32(GICR_WAKER) & WAKER_CHILDREN_ASLEEP != 0 {
        tries -= 1;
        if tries == 0 {
            return Err(GicError::Asleep);
        }
        cpu::yield_now();
    }
    let sgi = redistributor.part(SGI_BASE, FRAMES - SGI_BASE);
    sgi.write32(GICD_ICENABLER, u32::MAX);
    sgi.write32(GICD_ICPENDR, u32::MAX);
    sgi.write32(GICD_ICACTIVER, u32::MAX);
    sgi.write32(GICD_IGROUPR, u32::MAX);
    for four in (0..32).step_by(4) {
        sgi.write32(GICD_IPRIORITYR + four, u32::from_ne_bytes([PRIORITY; 4]));
    }
    sgi.write32(GICD_ISENABLER, 1 << KICK_SGI);

    sysreg::set_icc_pmr_el1(0xff);
    sysreg::set_icc_bpr1_el1(0);
    // CTLR.EOImode.
    sysreg::set_icc_ctlr_el1(1 << 1);
    sysreg::set_icc_igrpen1_el1(1);
    barrier::isb();
    Ok(())
}

/// The calling CPU's redistributor: the one whose GICR_TYPER holds its affinity.
fn own_redistributor() -> Result<Mmio, GicError> {
    let mpidr = sysreg::mpidr_el1() & hyp_abi::psci::MPIDR_AFFINITY;
    // Aff3 moves from 39:32 to 31:24.
    let affinity = (mpidr & 0xff_ffff) | (mpidr >> 32 << 24);
    let gic = gic();
    for region in &gic.redistributors {
        let mut offset = 0;
        while offset + FRAMES <= region.size() {
            let frame = region.part(offset, FRAMES);
            let typer = frame.read64(GICR_TYPER);
            if typer >> 32 == affinity {
                return Ok(frame);
            }
            if typer & TYPER_LAST != 0 {
                break;
            }
            offset += match gic.stride {
                Some(stride) => word(stride),
                // GICv4 has two more frames, for virtual LPIs.
                None if typer & TYPER_VLPIS != 0 => 2 * FRAMES,
                None => FRAMES,
            };
        }
    }
    Err(GicError::NoRedistributor(mpidr))
}

/// Enables a PPI of the calling CPU.
pub(crate) fn enable_ppi(intid: u32) {
    if let (16..FIRST_SPI, Ok(redistributor)) = (intid, own_redistributor()) {
        redistributor.part(SGI_BASE, FRAMES - SGI_BASE).write32(GICD_ISENABLER, 1 << intid);
    }
}

/// Enables an SPI and routes it to the CPU with these affinity fields of MPIDR_EL1.
pub(crate) fn enable_spi(intid: u32, mpidr: u64) {
    if !(FIRST_SPI..SPECIAL).contains(&intid) {
        return;
    }
    let d = gic().distributor;
    let n = intid as usize;
    d.write64(GICD_IROUTER + 8 * n, mpidr & hyp_abi::psci::MPIDR_AFFINITY);
    d.write8(GICD_IPRIORITYR + n, PRIORITY);
    d.write32(GICD_ISENABLER + n / 32 * 4, 1 << (n % 32));
}

/// Acknowledges the most urgent pending interrupt: its INTID, or `None` if there is none.
#[inline]
pub(crate) fn acknowledge() -> Option<u32> {
    let intid = low_half(sysreg::icc_iar1_el1()) & 0xff_ffff;
    // The handler's accesses stay behind the acknowledgement (IHI 0069, 12.1.4).
    barrier::dsb_sy();
    (intid < SPECIAL).then_some(intid)
}

/// Drops the running priority. The interrupt stays active.
#[inline]
pub(crate) fn drop_priority(intid: u32) {
    sysreg::set_icc_eoir1_el1(u64::from(intid));
    barrier::isb();
}

/// Deactivates an interrupt whose priority was dropped.
#[inline]
pub(crate) fn deactivate(intid: u32) {
    sysreg::set_icc_dir_el1(u64::from(intid));
    barrier::isb();
}

/// Sends [`KICK_SGI`] to the CPU with these affinity fields of MPIDR_EL1.
pub(crate) fn kick(mpidr: u64) {
    let [aff0, aff1, aff2, _, aff3, ..] = mpidr.to_le_bytes().map(u64::from);
    // ICC_SGI1R_EL1: RS in 47:44 selects 16 values of Aff0.
    let value = (aff3 << 48)
        | (aff0 >> 4 << 44)
        | (aff2 << 32)
        | (u64::from(KICK_SGI) << 24)
        | (aff1 << 16)
        | (1 << (aff0 & 0xf));
    // What the other CPU is to see is written before it is woken.
    barrier::dsb_ishst();
    sysreg::set_icc_sgi1r_el1(value);
    barrier::isb();
}
