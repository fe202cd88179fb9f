//! The machine's GICv3 (IHI 0069): distributor, redistributors, physical CPU interface.
//!
//! All of EL2's interrupts are non-secure group 1 at one priority. EOImode is 1: the end of an
//! interrupt drops the priority, and deactivation is a step of its own, which for a guest's timers
//! the guest takes through the list register.

use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use hyp_core::intid::{self, Place};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use super::gic_parts::{GicError, KICK_SGI, PRIORITIES};
use super::gicv3_leftover::{drop_priorities, soon, stop_lpis};
use super::mmio::{Mmio, Registers};
use super::registers::gicv3::{
    Distributor, FRAMES, GICD_CTLR, GICD_TYPER, GICR_CTLR, GICR_TYPER, GICR_WAKER, Redistributor,
};
use crate::arch::once::Once;
use crate::arch::percpu::{self, MAX_CPUS};
use crate::arch::sysreg::fields::{icc_ctlr, icc_iar1, icc_sgi1r, icc_sre, pfr0};
use crate::arch::{barrier, cpu, low_half, sysreg, word};

/// Regions of redistributors that are kept; as many as `hyp_core::tree` keeps.
const MAX_REGIONS: usize = 8;

#[derive(Debug)]
struct Gic {
    distributor: Registers<Distributor>,
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

/// Sets the distributor up: everything off, maskable, group 1, level-triggered.
/// `stride` is the distance of redistributors where the tree overrides GICR_TYPER.
pub(super) fn init(
    distributor: Mmio,
    redistributors: ArrayVec<Mmio, MAX_REGIONS>,
    stride: Option<u64>,
) -> Result<(), GicError> {
    let d = distributor.registers::<Distributor>(0).ok_or(GicError::Short("distributor"))?;
    GIC.set(Gic { distributor: d, redistributors, stride });
    d.ctlr.set(0);
    wait_distributor(d);
    let has_nmi = d.typer.is_set(GICD_TYPER::NMI);
    let words = d.typer.read(GICD_TYPER::ITLINES) as usize + 1;
    // The first word is the redistributors'.
    for n in 1..words.min(d.igroupr.len()) {
        d.icenabler[n].set(u32::MAX);
        d.icpendr[n].set(u32::MAX);
        d.icactiver[n].set(u32::MAX);
        d.igroupr[n].set(u32::MAX);
        if has_nmi {
            d.inmir[n].set(0);
        }
        for four in 8 * n..8 * n + 8 {
            d.ipriorityr[four].set(PRIORITIES);
        }
        for sixteen in 2 * n..2 * n + 2 {
            d.icfgr[sixteen].set(0);
        }
    }
    if d.typer.is_set(GICD_TYPER::ESPI) {
        for n in 0..=d.typer.read(GICD_TYPER::ESPI_RANGE) as usize {
            d.icenabler_e[n].set(u32::MAX);
            d.icpendr_e[n].set(u32::MAX);
            d.icactiver_e[n].set(u32::MAX);
        }
    }
    wait_distributor(d);
    d.ctlr.write(GICD_CTLR::ARE::SET);
    wait_distributor(d);
    d.ctlr.write(GICD_CTLR::ARE::SET + GICD_CTLR::GROUP1::SET);
    wait_distributor(d);
    Ok(())
}

fn wait_distributor(distributor: Registers<Distributor>) {
    while distributor.ctlr.is_set(GICD_CTLR::RWP) {
        cpu::yield_now();
    }
}

/// Sets up what the calling CPU has of its own: its redistributor and CPU interface.
pub(super) fn init_cpu() -> Result<(), GicError> {
    if pfr0::GIC.read(sysreg::id_aa64pfr0_el1()) == 0 {
        return Err(GicError::NoSystemRegisters);
    }
    // No bypass. ENABLE stays 0: EL1's ICC_SRE_EL1 traps and the model answers.
    let on = icc_sre::SRE::SET.value | icc_sre::DFB::SET.value | icc_sre::DIB::SET.value;
    sysreg::set_icc_sre_el2(on);
    barrier::isb();
    if !icc_sre::SRE.is_set(sysreg::icc_sre_el2()) {
        return Err(GicError::NoSystemRegisters);
    }
    // The same bits at EL1.
    sysreg::set_icc_sre_el1(on);
    barrier::isb();

    if let Some(word) = KICKS.get(percpu::index()) {
        word.store(kick_word(sysreg::mpidr_el1()), Ordering::Relaxed);
    }
    let redistributor = own_redistributor()?;
    redistributor.waker.modify(GICR_WAKER::PROCESSOR_SLEEP::CLEAR);
    if !soon(|| !redistributor.waker.is_set(GICR_WAKER::CHILDREN_ASLEEP)) {
        return Err(GicError::Asleep);
    }
    stop_lpis(redistributor);
    let extended = word(redistributor.typer.read(GICR_TYPER::PPI_WORDS));
    for n in 0..=extended.min(2) {
        redistributor.icenabler[n].set(u32::MAX);
        redistributor.icpendr[n].set(u32::MAX);
        redistributor.icactiver[n].set(u32::MAX);
    }
    redistributor.igroupr0.set(u32::MAX);
    if gic().distributor.typer.is_set(GICD_TYPER::NMI) {
        redistributor.inmir0.set(0);
    }
    // PPIs are level-triggered: the timers' and the GIC's own.
    redistributor.icfgr[1].set(0);
    for four in &redistributor.ipriorityr {
        four.set(PRIORITIES);
    }
    redistributor.isenabler0.set(1 << KICK_SGI);

    drop_priorities();
    sysreg::set_icc_pmr_el1(0xff);
    sysreg::set_icc_bpr1_el1(0);
    sysreg::set_icc_ctlr_el1(icc_ctlr::EOIMODE::SET.value);
    sysreg::set_icc_igrpen1_el1(1);
    barrier::isb();
    Ok(())
}

/// The calling CPU's redistributor: the one whose GICR_TYPER holds its affinity.
fn own_redistributor() -> Result<Registers<Redistributor>, GicError> {
    let mpidr = sysreg::mpidr_el1() & hyp_abi::psci::MPIDR_AFFINITY;
    // Aff3 moves from 39:32 to 31:24.
    let affinity = (mpidr & 0xff_ffff) | (mpidr >> 32 << 24);
    let gic = GIC.get().ok_or(GicError::NoRedistributor(mpidr))?;
    for region in &gic.redistributors {
        let mut offset = 0;
        while let Some(redistributor) = region.registers::<Redistributor>(offset) {
            let typer = redistributor.typer.extract();
            if typer.read(GICR_TYPER::AFFINITY) == affinity {
                return Ok(redistributor);
            }
            if typer.is_set(GICR_TYPER::LAST) {
                break;
            }
            let stride = match gic.stride {
                Some(stride) => word(stride),
                None if typer.is_set(GICR_TYPER::VLPIS) => 2 * FRAMES,
                None => FRAMES,
            };
            offset = offset.saturating_add(stride);
        }
    }
    Err(GicError::NoRedistributor(mpidr))
}

/// Enables a PPI of the calling CPU.
pub(super) fn enable_ppi(intid: u32) {
    if let Ok(redistributor) = own_redistributor() {
        redistributor.isenabler0.set(1 << intid);
    }
}

/// Enables an SPI and routes it to the CPU with these affinity fields of MPIDR_EL1.
pub(super) fn enable_spi(intid: u32, mpidr: u64) {
    let d = gic().distributor;
    let n = intid as usize;
    d.irouter[n].set(mpidr & hyp_abi::psci::MPIDR_AFFINITY);
    d.isenabler[n / 32].set(1 << (n % 32));
}

/// Makes an SPI pending.
#[cfg(feature = "inject")]
pub(super) fn pend(intid: u32) {
    if let Some(word) = GIC.get().and_then(|gic| gic.distributor.ispendr.get(intid as usize / 32)) {
        word.set(1 << (intid % 32));
    }
}

/// Turns on LPIs of the calling CPU, for which firmware has made tables.
#[cfg(feature = "inject")]
pub(super) fn enable_lpis() {
    if let Ok(redistributor) = own_redistributor() {
        redistributor.ctlr.modify(GICR_CTLR::LPIS::SET);
    }
}

/// Calls `tell` with name and value of registers that firmware may have left in another state.
#[cfg(feature = "inject")]
pub(super) fn each(tell: &mut dyn FnMut(&str, u64)) {
    tell("GICD_ICFGR2", gic().distributor.icfgr[2].get().into());
    tell("GICD_INMIR1", gic().distributor.inmir[1].get().into());
    if let Ok(redistributor) = own_redistributor() {
        tell("GICR_INMIR0", redistributor.inmir0.get().into());
        tell("GICR_CTLR", redistributor.ctlr.get().into());
        tell("GICR_ICFGR1", redistributor.icfgr[1].get().into());
    }
    tell("ICC_IGRPEN0_EL1", sysreg::icc_igrpen0_el1());
    tell("ICC_AP0R0_EL1", sysreg::icc_ap0r0_el1());
    tell("ICC_AP1R0_EL1", sysreg::icc_ap1r0_el1());
}

/// Disables an interrupt, a private one on the calling CPU. LPIs all at once, if they can be.
pub(super) fn disable(intid: u32) {
    let bit = 1 << (intid % 32);
    match Place::of(intid) {
        Some(Place::Redistributor(n)) => {
            if let Ok(redistributor) = own_redistributor()
                && let Some(word) = redistributor.icenabler.get(n)
            {
                word.set(bit);
            }
        }
        Some(Place::Distributor(n)) => {
            if let Some(word) = GIC.get().and_then(|gic| gic.distributor.icenabler.get(n)) {
                word.set(bit);
            }
        }
        Some(Place::Extended(n)) => {
            if let Some(word) = GIC.get().and_then(|gic| gic.distributor.icenabler_e.get(n)) {
                word.set(bit);
            }
        }
        Some(Place::Memory) => {
            if let Ok(redistributor) = own_redistributor() {
                redistributor.ctlr.modify(GICR_CTLR::LPIS::CLEAR);
            }
        }
        None => {}
    }
}

/// Acknowledges the most urgent pending interrupt: its INTID, or `None` if there is none.
#[inline]
pub(super) fn acknowledge() -> Option<u32> {
    let intid = low_half(icc_iar1::INTID.read(sysreg::icc_iar1_el1()));
    // The handler's accesses stay behind the acknowledgement (IHI 0069, 12.1.4).
    barrier::dsb_sy();
    intid::is_acknowledged(intid).then_some(intid)
}

/// Drops the running priority. The interrupt stays active.
#[inline]
pub(super) fn drop_priority(intid: u32) {
    sysreg::set_icc_eoir1_el1(u64::from(intid));
    barrier::isb();
}

/// Deactivates an interrupt whose priority was dropped, if it can be active.
#[inline]
pub(super) fn deactivate(intid: u32) {
    if intid::has_active_state(intid) {
        sysreg::set_icc_dir_el1(u64::from(intid));
        barrier::isb();
    }
}

/// What each CPU writes to ICC_SGI1R_EL1 to kick that CPU; 0 before its [`init_cpu`].
static KICKS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// ICC_SGI1R_EL1 for [`KICK_SGI`] to the CPU with these affinity fields of MPIDR_EL1.
fn kick_word(mpidr: u64) -> u64 {
    let [aff0, aff1, aff2, _, aff3, ..] = mpidr.to_le_bytes().map(u64::from);
    // RS selects 16 values of Aff0.
    icc_sgi1r::AFF3.val(aff3).value
        | icc_sgi1r::RS.val(aff0 >> 4).value
        | icc_sgi1r::AFF2.val(aff2).value
        | icc_sgi1r::INTID.val(u64::from(KICK_SGI)).value
        | icc_sgi1r::AFF1.val(aff1).value
        | icc_sgi1r::TARGET_LIST.val(1 << (aff0 & 0xf)).value
}

/// Sends [`KICK_SGI`] to CPU number `cpu`, if it has been set up.
#[inline]
pub(super) fn kick(cpu: usize) {
    let word = KICKS.get(cpu).map_or(0, |word| word.load(Ordering::Relaxed));
    if word != 0 {
        // What the other CPU is to see is written before it is woken.
        barrier::dsb_ishst();
        sysreg::set_icc_sgi1r_el1(word);
        barrier::isb();
    }
}
