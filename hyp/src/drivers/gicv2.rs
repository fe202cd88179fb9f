//! The machine's GICv2 (IHI 0048B; GIC-400, DDI 0471B): distributor, physical CPU interface, and the
//! hypervisor's view of the virtual one.
//!
//! EL2 leaves all interrupts in the group that the non-secure state sees alone, or in group 0 where
//! there is one Security state: both are switched by bit 0 of the control registers and arrive as
//! IRQ. One priority, EOImode 1, as with GICv3.

use core::sync::atomic::{AtomicU8, Ordering};

use hyp_core::intid::is_acknowledged;
use hyp_core::vgic::ListRegister;
use tock_registers::interfaces::{Readable, Writeable};

use super::gic_parts::{Claim, FIRST_SPI, GicError, KICK_SGI, PRIORITIES};
use super::mmio::{Mmio, Registers};
use super::registers::gicv2::{
    Distributor, GICC_CTLR, GICC_IAR, GICD_CTLR, GICD_SGIR, GICD_TYPER, GICH_VTR, Hypervisor,
    Interface,
};
use crate::arch::once::Once;
use crate::arch::percpu::{self, MAX_CPUS};
use crate::arch::sysreg::fields::pfr0;
use crate::arch::{barrier, sysreg};

/// A machine's GICv2. The CPU interfaces are each CPU's own behind the same addresses.
#[derive(Debug)]
pub(crate) struct GicV2 {
    distributor: Registers<Distributor>,
    interface: Registers<Interface>,
    hypervisor: Registers<Hypervisor>,
    /// The bit of each CPU in target lists; 0 until it has come.
    targets: [AtomicU8; MAX_CPUS],
}

static GIC: Once<GicV2> = Once::new();

/// The controller, if the machine has this one and [`init`] was called.
#[inline]
pub(super) fn get() -> Option<&'static GicV2> {
    GIC.get()
}

/// Sets the distributor up: everything off, level-triggered.
pub(super) fn init(
    distributor: Mmio,
    interface: Mmio,
    hypervisor: Mmio,
) -> Result<&'static GicV2, GicError> {
    let d = distributor.registers::<Distributor>(0).ok_or(GicError::Short("distributor"))?;
    let interface = interface.registers(0).ok_or(GicError::Short("CPU interface"))?;
    let hypervisor = hypervisor.registers(0).ok_or(GicError::Short("GICH frame"))?;
    d.ctlr.set(0);
    let words = d.typer.read(GICD_TYPER::ITLINES) as usize + 1;
    // The first word is each CPU's own.
    for n in 1..words.min(d.igroupr.len()) {
        clear_word(d, n);
    }
    d.ctlr.write(GICD_CTLR::ENABLE::SET);
    Ok(GIC.set(GicV2 {
        distributor: d,
        interface,
        hypervisor,
        targets: [const { AtomicU8::new(0) }; MAX_CPUS],
    }))
}

/// Resets 32 interrupts from `32 * n` on.
fn clear_word(d: Registers<Distributor>, n: usize) {
    d.icenabler[n].set(u32::MAX);
    d.icpendr[n].set(u32::MAX);
    d.icactiver[n].set(u32::MAX);
    // Ignored where firmware has made all of them non-secure.
    d.igroupr[n].set(0);
    for four in 8 * n..8 * n + 8 {
        d.ipriorityr[four].set(PRIORITIES);
    }
    // Level-triggered; what SGIs are cannot be changed.
    for sixteen in 2 * n..2 * n + 2 {
        d.icfgr[sixteen].set(0);
    }
}

impl GicV2 {
    /// Sets up what the calling CPU has of its own: its banked registers and CPU interface.
    pub(super) fn init_cpu(&self) -> Result<(), GicError> {
        if pfr0::GIC.read(sysreg::id_aa64pfr0_el1()) != 0 {
            // A CPU made for a GICv3 as well: neither EL2 nor its guests use that interface.
            sysreg::set_icc_sre_el2(0);
            barrier::isb();
        }
        let d = self.distributor;
        // Of the first eight target registers each shows the CPU that reads it.
        let target = (0..FIRST_SPI as usize).fold(0, |mask, n| mask | d.itargetsr[n].get());
        // On a machine with one CPU they read as zero.
        let target = if target == 0 { 1 } else { target };
        self.targets[percpu::index()].store(target, Ordering::Relaxed);
        clear_word(d, 0);
        for senders in &d.cpendsgir {
            senders.set(u32::MAX);
        }
        d.isenabler[0].set(1 << KICK_SGI);

        let interface = self.interface;
        // Those of group 1 are elsewhere where there is one Security state (IHI 0048B, 4.4.17).
        for active in interface.apr.iter().chain(&interface.nsapr) {
            active.set(0);
        }
        interface.pmr.set(0xff);
        interface.bpr.set(0);
        // Whole, but for how firmware has wired the machine.
        let bypass = interface.ctlr.read(GICC_CTLR::BYPASS);
        interface.ctlr.write(
            GICC_CTLR::BYPASS.val(bypass) + GICC_CTLR::ENABLE::SET + GICC_CTLR::EOIMODE::SET,
        );
        barrier::dsb_sy();
        Ok(())
    }

    /// Whether a line that is high when a guest deactivates its interrupt through a list register, or
    /// rises just before, stays unseen until something else happens. QEMU's model, which GICC_IIDR
    /// tells, is like that (`hw/intc/arm_gic.c`, `gic_complete_irq`).
    pub(super) fn forgets_lines(&self) -> bool {
        const QEMU: u32 = 0x0002_043b;
        self.interface.iidr.get() == QEMU
    }

    /// The calling CPU's private interrupts that are active, a bit each.
    pub(super) fn active_here(&self) -> u32 {
        self.distributor.icactiver[0].get()
    }

    /// Enables a PPI of the calling CPU.
    pub(super) fn enable_ppi(&self, intid: u32) {
        self.distributor.isenabler[0].set(1 << intid);
    }

    /// Enables an SPI and sends it to CPU number `cpu`.
    pub(super) fn enable_spi(&self, intid: u32, cpu: usize) {
        let n = intid as usize;
        self.distributor.itargetsr[n].set(self.target(cpu));
        self.distributor.isenabler[n / 32].set(1 << (n % 32));
    }

    /// Makes an interrupt pending.
    #[cfg(feature = "inject")]
    pub(super) fn pend(&self, intid: u32) {
        if let Some(word) = self.distributor.ispendr.get(intid as usize / 32) {
            word.set(1 << (intid % 32));
        }
    }

    /// Calls `tell` with name and value of registers that firmware may have left in another state.
    #[cfg(feature = "inject")]
    pub(super) fn each(&self, tell: &mut dyn FnMut(&str, u64)) {
        tell("GICD_ICFGR1", self.distributor.icfgr[1].get().into());
        tell("GICD_ICFGR2", self.distributor.icfgr[2].get().into());
        tell("GICC_CTLR", self.interface.ctlr.get().into());
        tell("GICC_APR0", self.interface.apr[0].get().into());
        tell("GICC_NSAPR0", self.interface.nsapr[0].get().into());
    }

    /// Disables an interrupt, a private one on the calling CPU.
    pub(super) fn disable(&self, intid: u32) {
        if let Some(word) = self.distributor.icenabler.get(intid as usize / 32) {
            word.set(1 << (intid % 32));
        }
    }

    fn target(&self, cpu: usize) -> u8 {
        self.targets.get(cpu).map_or(0, |target| target.load(Ordering::Relaxed))
    }

    /// Acknowledges the most urgent pending interrupt, if there is one.
    pub(super) fn acknowledge(&self) -> Option<Claim> {
        let iar = self.interface.iar.extract();
        // The handler's accesses stay behind the acknowledgement.
        barrier::dsb_sy();
        let intid = iar.read(GICC_IAR::INTID);
        is_acknowledged(intid).then(|| Claim { intid, whole: iar.read(GICC_IAR::WHOLE) })
    }

    /// Drops the running priority. The interrupt stays active.
    pub(super) fn drop_priority(&self, claim: Claim) {
        self.interface.eoir.set(claim.whole);
    }

    /// Deactivates an interrupt whose priority was dropped; `whole` is what GICC_IAR said.
    pub(super) fn deactivate(&self, whole: u32) {
        self.interface.dir.set(whole);
    }

    /// Sends [`KICK_SGI`] to CPU number `cpu`.
    pub(super) fn kick(&self, cpu: usize) {
        let target = u32::from(self.target(cpu));
        // What the other CPU is to see is written before it is woken.
        barrier::dsb_ishst();
        self.distributor
            .sgir
            .write(GICD_SGIR::TARGET_LIST.val(target) + GICD_SGIR::INTID.val(KICK_SGI));
    }

    /// The virtual interface of the calling CPU.
    #[inline]
    pub(super) fn hypervisor(&self) -> Registers<Hypervisor> {
        self.hypervisor
    }
}

impl Hypervisor {
    /// Number of list registers that are used, 1 to 16.
    pub(super) fn list_registers(&self) -> usize {
        (self.vtr.read(GICH_VTR::LIST_REGISTERS) as usize + 1).min(self.lr.len())
    }

    /// Priority bits the virtual interface implements; list registers hold five.
    pub(super) fn priority_bits(&self) -> u32 {
        self.vtr.read(GICH_VTR::PRIORITY_BITS) + 1
    }

    /// List register `index`; one that is not there reads as nothing.
    pub(super) fn read_lr(&self, index: usize) -> ListRegister {
        self.lr.get(index).map_or(ListRegister::EMPTY, |lr| ListRegister::from_gich(lr.get()))
    }

    /// Writes list register `index`, if it is there.
    pub(super) fn write_lr(&self, index: usize, value: ListRegister) {
        if let Some(lr) = self.lr.get(index) {
            lr.set(value.to_gich());
        }
    }

    /// A bit for each list register that holds nothing.
    pub(super) fn empty_lrs(&self) -> u32 {
        self.elrsr.get()
    }

    /// GICH_HCR.
    pub(super) fn control(&self) -> u32 {
        self.hcr.get()
    }

    /// Writes GICH_HCR.
    pub(super) fn set_control(&self, value: u32) {
        self.hcr.set(value);
    }

    /// GICH_VMCR.
    pub(super) fn machine_control(&self) -> u32 {
        self.vmcr.get()
    }

    /// Empties the interface of this CPU: no list register, no active priority, interface disabled.
    pub(super) fn reset(&self) {
        self.hcr.set(0);
        for lr in self.lr.iter().take(self.list_registers()) {
            lr.set(0);
        }
        self.apr.set(0);
        self.vmcr.set(0);
    }
}
