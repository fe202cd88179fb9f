//! The machine's interrupt controller, whichever version it is.
//!
//! Which one is settled at boot. Every operation asks once, by a branch that always goes the same
//! way; what costs more than that is in the version's own module.

use core::sync::atomic::{AtomicU32, Ordering};

use arrayvec::ArrayVec;
use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};
use hyp_core::memory::PaRange;
use hyp_core::tree::machine::{Gic, GicV2, Ppis};
use hyp_core::vgic::GicVersion;

use super::gic_parts::{FIRST_SPI, SPECIAL};
use super::mmio::Mmio;
use super::{gicv2, gicv3, gicv3_leftover};
use crate::arch::ich;
use crate::arch::percpu::PerCpu;
use crate::say::warn;

pub(crate) use super::gic_parts::{Claim, GicError, KICK_SGI};

/// First private peripheral interrupt.
const FIRST_PPI: u32 = 16;

/// INTIDs of the PPIs that EL2 takes, settled at boot.
static MAINTENANCE: AtomicU32 = AtomicU32::new(0);
static HYP_TIMER: AtomicU32 = AtomicU32::new(0);
static VIRTUAL_TIMER: AtomicU32 = AtomicU32::new(0);
static PHYSICAL_TIMER: AtomicU32 = AtomicU32::new(0);

/// Sets the controller up, and the calling CPU's part of it. `map` maps registers for ever.
pub(crate) fn init(gic: &Gic, ppis: Ppis, map: impl Fn(PaRange) -> Mmio) -> Result<(), GicError> {
    MAINTENANCE.store(ppis.maintenance, Ordering::Relaxed);
    HYP_TIMER.store(ppis.hyp_timer, Ordering::Relaxed);
    VIRTUAL_TIMER.store(ppis.virtual_timer, Ordering::Relaxed);
    PHYSICAL_TIMER.store(ppis.physical_timer, Ordering::Relaxed);
    match gic {
        Gic::V2(v2) => {
            let interface = map(GicV2::interface_pages(v2.cpu_interface));
            let hypervisor = v2.hypervisor.ok_or(GicError::Short("GICH frame"))?;
            gicv2::init(map(v2.distributor), interface, map(hypervisor))?;
        }
        Gic::V3(v3) => {
            let mut redistributors = ArrayVec::new();
            for region in &v3.redistributors {
                // Both lists are of the same length.
                let _full = redistributors.try_push(map(*region));
            }
            gicv3::init(map(v3.distributor), redistributors, v3.stride)?;
            for translator in &v3.translators {
                if !gicv3_leftover::stop_translator(map(*translator))? {
                    warn!("the GIC's translation service at {translator} does not come to rest");
                }
            }
        }
    }
    init_cpu()
}

/// Sets up what the calling CPU has of its own.
pub(crate) fn init_cpu() -> Result<(), GicError> {
    match gicv2::get() {
        Some(gic) => gic.init_cpu(),
        None => gicv3::init_cpu(),
    }
}

/// Which version it is.
pub(crate) fn version() -> GicVersion {
    if gicv2::get().is_some() { GicVersion::V2 } else { GicVersion::V3 }
}

/// INTID of the maintenance interrupt.
#[inline]
pub(crate) fn maintenance_intid() -> u32 {
    MAINTENANCE.load(Ordering::Relaxed)
}

/// INTID of EL2's own timer.
#[inline]
pub(crate) fn hyp_timer_intid() -> u32 {
    HYP_TIMER.load(Ordering::Relaxed)
}

/// The INTID that a guest has for its timer whose physical interrupt is `intid`, if it is one's.
#[inline]
pub(crate) fn guest_timer(intid: u32) -> Option<u32> {
    if intid == VIRTUAL_TIMER.load(Ordering::Relaxed) {
        Some(VTIMER_INTID)
    } else if intid == PHYSICAL_TIMER.load(Ordering::Relaxed) {
        Some(PTIMER_INTID)
    } else {
        None
    }
}

/// The inverse of [`guest_timer`].
#[inline]
pub(crate) fn physical_timer(intid: u32) -> u32 {
    let timer = if intid == VTIMER_INTID { &VIRTUAL_TIMER } else { &PHYSICAL_TIMER };
    timer.load(Ordering::Relaxed)
}

/// Private interrupts that each CPU takes.
pub(crate) fn ppis() -> [u32; 4] {
    [&MAINTENANCE, &HYP_TIMER, &VIRTUAL_TIMER, &PHYSICAL_TIMER]
        .map(|intid| intid.load(Ordering::Relaxed))
}

/// Priority bits of the virtual CPU interface, 5 to 8.
pub(crate) fn priority_bits() -> u32 {
    match gicv2::get() {
        Some(gic) => gic.hypervisor().priority_bits(),
        None => ich::priority_bits(),
    }
}

/// Enables a PPI of the calling CPU.
pub(crate) fn enable_ppi(intid: u32) {
    if !(FIRST_PPI..FIRST_SPI).contains(&intid) {
        return;
    }
    match gicv2::get() {
        Some(gic) => gic.enable_ppi(intid),
        None => gicv3::enable_ppi(intid),
    }
}

/// Enables an SPI and routes it to CPU number `cpu`.
pub(crate) fn enable_spi(intid: u32, cpu: usize) {
    if !(FIRST_SPI..SPECIAL).contains(&intid) {
        return;
    }
    match (gicv2::get(), PerCpu::nth(cpu)) {
        (Some(gic), _) => gic.enable_spi(intid, cpu),
        (None, Some(cpu)) => gicv3::enable_spi(intid, cpu.mpidr()),
        (None, None) => {}
    }
}

/// Makes an SPI pending, enabled, at the calling CPU. For a test.
#[cfg(feature = "inject")]
pub(crate) fn provoke_spi(intid: u32) {
    enable_spi(intid, crate::arch::percpu::index());
    match gicv2::get() {
        Some(gic) => gic.pend(intid),
        None => gicv3::pend(intid),
    }
}

/// Lets LPIs of the calling CPU come, of a GICv3 for which firmware has made tables. For a test.
#[cfg(feature = "inject")]
pub(crate) fn provoke_lpis() {
    if gicv2::get().is_none() {
        gicv3::enable_lpis();
    }
}

/// Calls `tell` with name and value of registers that firmware may have left in another state. For a test.
#[cfg(feature = "inject")]
pub(crate) fn each(tell: &mut dyn FnMut(&str, u64)) {
    match gicv2::get() {
        Some(gic) => gic.each(tell),
        None => gicv3::each(tell),
    }
}

/// Disables an interrupt, a private one on the calling CPU.
#[cold]
pub(crate) fn disable(intid: u32) {
    match gicv2::get() {
        Some(gic) => gic.disable(intid),
        None => gicv3::disable(intid),
    }
}

/// Acknowledges the most urgent pending interrupt, if there is one.
#[inline]
pub(crate) fn acknowledge() -> Option<Claim> {
    match gicv2::get() {
        Some(gic) => gic.acknowledge(),
        None => gicv3::acknowledge().map(Claim::v3),
    }
}

/// Drops the running priority. The interrupt stays active.
#[inline]
pub(crate) fn drop_priority(claim: Claim) {
    match gicv2::get() {
        Some(gic) => gic.drop_priority(claim),
        None => gicv3::drop_priority(claim.intid),
    }
}

/// Deactivates an interrupt whose priority was dropped.
#[inline]
pub(crate) fn deactivate(claim: Claim) {
    match gicv2::get() {
        Some(gic) => gic.deactivate(claim.whole),
        None => gicv3::deactivate(claim.intid),
    }
}

/// Whether another interrupt has to come soon after the guest deactivates its timer's, lest the next
/// one of the timer stay unseen: a flaw of QEMU's GICv2.
pub(crate) fn forgets_lines() -> bool {
    gicv2::get().is_some_and(gicv2::GicV2::forgets_lines)
}

/// Whether the interrupt of one of the guest's timers is active on the calling CPU, on a GICv2.
pub(crate) fn is_timer_active_here() -> bool {
    let intids = [VTIMER_INTID, PTIMER_INTID].map(physical_timer);
    let mask = intids.iter().fold(0, |mask, intid| mask | 1_u32.wrapping_shl(*intid));
    gicv2::get().is_some_and(|gic| gic.active_here() & mask != 0)
}

/// Sends [`KICK_SGI`] to CPU number `cpu`.
pub(crate) fn kick(cpu: usize) {
    match gicv2::get() {
        Some(gic) => gic.kick(cpu),
        None => gicv3::kick(cpu),
    }
}
