//! The machine's GICv2 (IHI 0048B; GIC-400, DDI 0471B): distributor, physical CPU interface, and the
//! hypervisor's view of the virtual one.
//!
//! EL2 leaves all interrupts in the group that the non-secure state sees alone, or in group 0 where
//! there is one Security state: both are switched by bit 0 of the control registers and arrive as
//! IRQ. One priority, EOImode 1, as with GICv3.

use core::sync::atomic::{AtomicU8, Ordering};

use hyp_core::vgic::ListRegister;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

use super::gic::{Claim, FIRST_SPI, GicError, KICK_SGI, PRIORITIES, SPECIAL};
use super::mmio::{Mmio, Registers};
use crate::arch::cpu::Once;
use crate::arch::percpu::{self, MAX_CPUS};
use crate::arch::sysreg::fields::pfr0;
use crate::arch::{barrier, sysreg};

register_bitfields! {u32,
    /// Distributor control (IHI 0048B, 4.3.1).
    GICD_CTLR [
        /// The only group that is used.
        ENABLE OFFSET(0) NUMBITS(1) [],
    ],
    /// Distributor's type (IHI 0048B, 4.3.2).
    GICD_TYPER [
        /// INTIDs in steps of 32, less one.
        ITLINES OFFSET(0) NUMBITS(5) [],
    ],
    /// Software-generated interrupts (IHI 0048B, 4.3.15).
    GICD_SGIR [
        INTID OFFSET(0) NUMBITS(4) [],
        /// A bit for each CPU interface.
        TARGET_LIST OFFSET(16) NUMBITS(8) [],
    ],
    /// CPU interface control (IHI 0048B, 4.4.1).
    GICC_CTLR [
        /// The only group that is used.
        ENABLE OFFSET(0) NUMBITS(1) [],
        /// What firmware says about bypass of the interface.
        BYPASS OFFSET(5) NUMBITS(4) [],
        /// The end of an interrupt only drops its priority.
        EOIMODE OFFSET(9) NUMBITS(1) [],
    ],
    /// Acknowledgement (IHI 0048B, 4.4.4).
    GICC_IAR [
        INTID OFFSET(0) NUMBITS(10) [],
        /// The INTID and the CPU that sent an SGI: what the end has to name.
        WHOLE OFFSET(0) NUMBITS(13) [],
    ],
    /// The virtual interface's type (IHI 0048B, 5.3.2).
    GICH_VTR [
        /// List registers, less one.
        LIST_REGISTERS OFFSET(0) NUMBITS(6) [],
        /// Priority bits, less one.
        PRIORITY_BITS OFFSET(29) NUMBITS(3) [],
    ],
}

register_structs! {
    /// The distributor's registers that are used (IHI 0048B, 4.1.2). An array is indexed by INTID, or
    /// by INTID / 32 where it has a bit for each. The first 32 INTIDs are the calling CPU's own.
    pub(crate) Distributor {
        (0x000 => ctlr: ReadWrite<u32, GICD_CTLR::Register>),
        (0x004 => typer: ReadOnly<u32, GICD_TYPER::Register>),
        (0x008 => _identification),
        (0x080 => igroupr: [ReadWrite<u32>; 32]),
        (0x100 => isenabler: [ReadWrite<u32>; 32]),
        (0x180 => icenabler: [ReadWrite<u32>; 32]),
        (0x200 => _ispendr),
        (0x280 => icpendr: [ReadWrite<u32>; 32]),
        (0x300 => _isactiver),
        (0x380 => icactiver: [ReadWrite<u32>; 32]),
        (0x400 => ipriorityr: [ReadWrite<u32>; 256]),
        (0x800 => itargetsr: [ReadWrite<u8>; 1024]),
        (0xc00 => _configuration),
        (0xf00 => sgir: WriteOnly<u32, GICD_SGIR::Register>),
        (0xf04 => _reserved),
        (0xf10 => cpendsgir: [ReadWrite<u32>; 4]),
        (0xf20 => @END),
    }
}

register_structs! {
    /// The physical CPU interface's registers that are used (IHI 0048B, 4.1.3).
    pub(crate) Interface {
        (0x0000 => ctlr: ReadWrite<u32, GICC_CTLR::Register>),
        (0x0004 => pmr: ReadWrite<u32>),
        (0x0008 => bpr: ReadWrite<u32>),
        (0x000c => iar: ReadOnly<u32, GICC_IAR::Register>),
        (0x0010 => eoir: WriteOnly<u32>),
        (0x0014 => _state),
        (0x00d0 => apr: [ReadWrite<u32>; 4]),
        (0x00e0 => _second_page),
        (0x1000 => dir: WriteOnly<u32>),
        (0x1004 => @END),
    }
}

register_structs! {
    /// The virtual interface's control registers that are used (IHI 0048B, 5.3).
    pub(crate) Hypervisor {
        (0x000 => hcr: ReadWrite<u32>),
        (0x004 => vtr: ReadOnly<u32, GICH_VTR::Register>),
        (0x008 => vmcr: ReadWrite<u32>),
        (0x00c => _maintenance),
        (0x030 => elrsr: ReadOnly<u32>),
        (0x034 => _more_elrsr),
        (0x0f0 => apr: ReadWrite<u32>),
        (0x0f4 => _reserved),
        (0x100 => lr: [ReadWrite<u32>; 16]),
        (0x140 => @END),
    }
}

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

/// Sets the distributor up: everything off, level-triggered as firmware left it.
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
    Ok(GIC.call_once(|| GicV2 {
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
        for active in &interface.apr {
            active.set(0);
        }
        interface.pmr.set(0xff);
        interface.bpr.set(0);
        interface.ctlr.modify(GICC_CTLR::ENABLE::SET + GICC_CTLR::EOIMODE::SET);
        barrier::dsb_sy();
        Ok(())
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

    fn target(&self, cpu: usize) -> u8 {
        self.targets.get(cpu).map_or(0, |target| target.load(Ordering::Relaxed))
    }

    /// Acknowledges the most urgent pending interrupt, if there is one.
    pub(super) fn acknowledge(&self) -> Option<Claim> {
        let iar = self.interface.iar.extract();
        // The handler's accesses stay behind the acknowledgement.
        barrier::dsb_sy();
        let intid = iar.read(GICC_IAR::INTID);
        (intid < SPECIAL).then(|| Claim { intid, whole: iar.read(GICC_IAR::WHOLE) })
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
