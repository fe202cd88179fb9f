//! The parts of a machine as plain data.

use super::{MAX_REDISTRIBUTOR_REGIONS, MAX_TRANSLATORS};
use crate::addr::Pa;
use crate::memory::PaRange;
use crate::tree::NodeName;
use arrayvec::ArrayVec;
use thiserror::Error;

/// A range that is memory but not free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// Where.
    pub range: PaRange,
    /// `no-map`: not even to be mapped, because speculation may not reach it.
    pub no_map: bool,
}

/// How a CPU is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnableMethod {
    /// PSCI `CPU_ON`.
    Psci,
    /// Writing the entry address to this address and waking the CPU by SEV.
    SpinTable(Pa),
    /// Not at all: no method, or one that Postern does not know.
    Unknown,
}

/// One CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// Affinity fields as in `MPIDR_EL1`: Aff3 in bits 39:32, Aff2 to Aff0 in 23:0.
    pub mpidr: u64,
    /// How to start it.
    pub enable_method: EnableMethod,
}

impl Cpu {
    /// Whether both wait at one word, so that writing it sends both.
    #[must_use]
    pub fn comes_with(&self, other: &Self) -> bool {
        matches!(self.enable_method, EnableMethod::SpinTable(_))
            && self.enable_method == other.enable_method
    }
}

/// The instruction that calls firmware's PSCI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PsciConduit {
    /// `HVC #0`: for a kernel at EL1; at EL2 it would call ourselves.
    Hvc,
    /// `SMC #0`.
    Smc,
}

/// What a PSCI node says (`psci.yaml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PsciNode {
    /// Whether it claims version 0.2 or later, with the standard function ids.
    pub standard_ids: bool,
    /// Its `method`, if known.
    pub method: Option<PsciConduit>,
}

/// The interrupt controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gic {
    /// GICv2 (`arm,gic.yaml`).
    V2(GicV2),
    /// GICv3 or GICv4 (`arm,gic-v3.yaml`).
    V3(GicV3),
}

/// Frames of a GICv2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GicV2 {
    /// GICD.
    pub distributor: PaRange,
    /// GICC, physical CPU interface.
    pub cpu_interface: PaRange,
    /// GICH, hypervisor control; `None` without virtualization.
    pub hypervisor: Option<PaRange>,
    /// GICV, virtual CPU interface; `None` without virtualization.
    pub virtual_cpu: Option<PaRange>,
    /// Maintenance interrupt's INTID.
    pub maintenance: Option<u32>,
}

impl GicV2 {
    /// The two frames that only a GIC with virtualization has: GICH and GICV.
    ///
    /// # Errors
    ///
    /// When one of them is not listed.
    pub fn virtualization(&self) -> Result<(PaRange, PaRange), MachineError> {
        self.hypervisor.zip(self.virtual_cpu).ok_or(MachineError::NoGicVirtualization)
    }

    /// The two neighbouring pages of a CPU interface whose frame the tree gives.
    ///
    /// A board for 64 KiB granules repeats each page sixteen times (SBSA, "GICv2 address map"), and
    /// then the last copy of the first page lies before the first copy of the second: Linux knows
    /// such frames by their size of 128 KiB, too (`drivers/irqchip/irq-gic.c`).
    #[must_use]
    pub fn interface_pages(frame: PaRange) -> PaRange {
        const REPEATED: u64 = 0x2_0000;
        const LAST_COPY: u64 = 0xf000;
        const PAGES: u64 = 0x2000;
        let first = if frame.size() == REPEATED { LAST_COPY } else { 0 };
        let base = frame.base().checked_add(first);
        base.and_then(|base| PaRange::new(base, frame.size().min(PAGES))).unwrap_or(frame)
    }
}

/// Frames of a GICv3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GicV3 {
    /// GICD.
    pub distributor: PaRange,
    /// GICR regions, each a row of redistributors.
    pub redistributors: ArrayVec<PaRange, MAX_REDISTRIBUTOR_REGIONS>,
    /// GITS: translation services, children of the GIC's node (`arm,gic-v3-its`). Those beyond
    /// [`MAX_TRANSLATORS`] are left out.
    pub translators: ArrayVec<PaRange, MAX_TRANSLATORS>,
    /// Bytes from one redistributor to the next where the tree overrides what `GICR_TYPER` says.
    pub stride: Option<u64>,
    /// Maintenance interrupt's INTID.
    pub maintenance: Option<u32>,
}

/// INTIDs of the generic timers (`arm,arch_timer.yaml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timers {
    /// EL1 physical timer, CNTP (non-secure).
    pub physical: Option<u32>,
    /// EL1 virtual timer, CNTV.
    pub virtual_: Option<u32>,
    /// EL2 physical timer, CNTHP.
    pub hyp_physical: Option<u32>,
    /// EL2 virtual timer, CNTHV.
    pub hyp_virtual: Option<u32>,
}

/// INTIDs of the PPIs that EL2 takes, 16 to 31, all different. Guests' timers have numbers of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ppis {
    /// The GIC's maintenance interrupt.
    pub maintenance: u32,
    /// EL2's own timer, CNTHP.
    pub hyp_timer: u32,
    /// The guest's virtual timer, CNTV.
    pub virtual_timer: u32,
    /// The guest's physical timer, CNTP.
    pub physical_timer: u32,
}

impl Ppis {
    /// What they are where the tree does not say (BSA, "PPI assignments").
    pub const USUAL: Self =
        Self { maintenance: 25, hyp_timer: 26, virtual_timer: 27, physical_timer: 30 };
}

/// Which driver a console needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleKind {
    /// Arm PrimeCell PL011 (`pl011.yaml`).
    Pl011,
    /// The part of a PL011 that BSA calls a Generic UART (`arm,sbsa-uart.yaml`).
    Sbsa,
    /// Cadence UART of Zynq and ZynqMP (`cdns,uart.yaml`).
    Cadence,
    /// UART of the i.MX family (`fsl-imx-uart.yaml`).
    Imx,
    /// 8250 and 16550 with their offspring (`8250.yaml`, `snps-dw-apb-uart.yaml`).
    Ns16550(RegisterSpacing),
    /// Mini UART of BCM2835 to BCM2711 (`brcm,bcm2835-aux-uart.yaml`).
    Bcm2835Aux,
    /// UART of Amlogic's Meson family (`amlogic,meson-uart.yaml`).
    Meson,
    /// LPUART of i.MX and Layerscape (`fsl-lpuart.yaml`).
    Lpuart(LpuartLayout),
    /// The first UART of Armada 37xx (`mvebu-uart.txt`).
    Armada,
    /// Qualcomm's GENI serial engine as the UART that firmware debugs by (`qcom,serial-geni-qcom.yaml`).
    Geni,
    /// One that Postern has no driver for.
    Unsupported(NodeName),
}

/// How the byte-wide registers of a 16550 lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterSpacing {
    /// Binary logarithm of the distance from one register to the next, in bytes: 0 to 2
    /// (`reg-shift`).
    pub shift: u32,
    /// Registers are read and written as words of 32 bits, not as bytes (`reg-io-width` of 4).
    pub words: bool,
}

/// How the 32-bit registers of an LPUART lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LpuartLayout {
    /// Offset of BAUD, the first register that is no register about the LPUART itself, in bytes.
    pub first: u8,
    /// The registers are big-endian.
    pub big_endian: bool,
}

impl LpuartLayout {
    /// [`Self::first`] behind VERID, PARAM, GLOBAL and PINCFG (IMX8DQXPRM, "LPUART memory map").
    pub const BEHIND_IDENTITY: u8 = 0x10;
}

/// The console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Console {
    /// Which driver it needs.
    pub kind: ConsoleKind,
    /// Its registers; empty if it is [`ConsoleKind::Unsupported`].
    pub registers: PaRange,
    /// Its interrupt's INTID, if that is level-triggered: EL2 acknowledges it before it has served what raised
    /// it, and leaves received bytes where they are while nobody takes them, of which no edge would remind it.
    pub interrupt: Option<u32>,
}

impl Console {
    /// INTID of its interrupt if that is a shared one, which one CPU takes for all. A private one, which each
    /// CPU has of its own, serves nobody: such a console is looked at by EL2's timer.
    #[must_use]
    pub fn shared_interrupt(&self) -> Option<u32> {
        /// The first INTID of an SPI (IHI 0069, 2.2.1 "INTIDs").
        const FIRST_SPI: u32 = 32;
        self.interrupt.filter(|intid| *intid >= FIRST_SPI)
    }
}

/// Random bytes in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Where they are, as an offset from the start of the tree.
    pub at: usize,
}

/// A part that Postern needs and the machine does not have, with the remedy.
///
/// As wide as an address, so that a result with one or the other is two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[repr(u64)]
pub enum MachineError {
    /// No memory node.
    #[error("device tree lists no memory; add /memory nodes with a reg property")]
    NoMemory,
    /// No interrupt controller.
    #[error("device tree lists no GIC, or it is disabled; Postern needs a GIC with virtualization")]
    NoGic,
    /// A GICv2 without virtualization.
    #[error(
        "the GICv2's node lists no GICH and GICV frames: Postern needs a GIC with virtualization \
         (QEMU: -M virt,virtualization=on)"
    )]
    NoGicVirtualization,
    /// A timer without a private interrupt.
    #[error("the timer's node lists an interrupt that is no PPI; correct the device tree")]
    TimerNoPpi,
    /// A timer whose interrupt is somebody else's, too.
    #[error(
        "of CNTHP, CNTV, CNTP and the GIC's maintenance interrupt two are the same PPI, as the timer's \
         and the GIC's nodes say; correct the device tree"
    )]
    TimerShared,
    /// No PSCI.
    #[error(
        "device tree has no /psci node: Postern starts only CPUs that wait at a spin table, and \
         cannot switch the machine off; a firmware with PSCI does both"
    )]
    NoPsci,
    /// PSCI before the function ids were standardized.
    #[error(
        "firmware offers only PSCI 0.1 (compatible = \"arm,psci\"); \
         Postern needs 0.2 or later: update the firmware"
    )]
    OldPsci,
    /// PSCI without a way to call it.
    #[error("the /psci node's method is neither \"smc\" nor \"hvc\"; correct the device tree")]
    PsciMethod,
    /// PSCI by an instruction that calls EL2 itself.
    #[error(
        "the /psci node asks for HVC, which at EL2 calls Postern itself; Postern was started \
         below another hypervisor, or the tree is meant for EL1 \
         (QEMU: -M virt,virtualization=on)"
    )]
    PsciHvc,
}

/// The conduit that `node` names, if EL2 can use it.
pub(super) fn check_conduit(node: Option<PsciNode>) -> Result<PsciConduit, MachineError> {
    let node = node.ok_or(MachineError::NoPsci)?;
    match node.method {
        _ if !node.standard_ids => Err(MachineError::OldPsci),
        None => Err(MachineError::PsciMethod),
        Some(PsciConduit::Hvc) => Err(MachineError::PsciHvc),
        Some(PsciConduit::Smc) => Ok(PsciConduit::Smc),
    }
}
