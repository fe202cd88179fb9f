//! Registers of a GICv3 (IHI 0069).

use tock_registers::registers::{ReadOnly, ReadWrite};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Distributor control (IHI 0069, 12.9.4), as the non-secure state sees it or with one Security
    /// state.
    pub(crate) GICD_CTLR [
        /// Group 1 on: EnableGrp1A of the non-secure view, EnableGrp1 where there is one Security
        /// state.
        GROUP1 OFFSET(1) NUMBITS(1) [],
        /// Affinity routing.
        ARE OFFSET(4) NUMBITS(1) [],
        /// Register writes are still under way.
        RWP OFFSET(31) NUMBITS(1) [],
    ],
    /// Distributor's type (IHI 0069, 12.9.38).
    pub(crate) GICD_TYPER [
        /// INTIDs in steps of 32, less one.
        ITLINES OFFSET(0) NUMBITS(5) [],
        /// Has extended SPIs.
        ESPI OFFSET(8) NUMBITS(1) [],
        /// Interrupts can be non-maskable.
        NMI OFFSET(9) NUMBITS(1) [],
        /// Extended SPIs in steps of 32, less one.
        ESPI_RANGE OFFSET(27) NUMBITS(5) [],
    ],
    /// Redistributor's control (IHI 0069, 12.11.2).
    pub(crate) GICR_CTLR [
        /// LPIs come to this CPU.
        LPIS OFFSET(0) NUMBITS(1) [],
        /// Register writes are still under way.
        RWP OFFSET(3) NUMBITS(1) [],
    ],
    /// Redistributor's power (IHI 0069, 12.11.43).
    pub(crate) GICR_WAKER [
        PROCESSOR_SLEEP OFFSET(1) NUMBITS(1) [],
        CHILDREN_ASLEEP OFFSET(2) NUMBITS(1) [],
    ],
}

register_bitfields! {u32,
    /// Control of a translation service (IHI 0069, 12.19.5).
    pub(crate) GITS_CTLR [
        ENABLED OFFSET(0) NUMBITS(1) [],
        /// Nothing is under way.
        QUIESCENT OFFSET(31) NUMBITS(1) [],
    ],
}

register_bitfields! {u64,
    /// Redistributor's type (IHI 0069, 12.11.36).
    pub(crate) GICR_TYPER [
        /// Has two more frames, for virtual LPIs.
        VLPIS OFFSET(1) NUMBITS(1) [],
        /// The last one of its region.
        LAST OFFSET(4) NUMBITS(1) [],
        /// Extended PPIs in steps of 32.
        PPI_WORDS OFFSET(27) NUMBITS(5) [],
        /// Affinity of its CPU, Aff3 on top.
        AFFINITY OFFSET(32) NUMBITS(32) [],
    ],
}

register_structs! {
    /// The distributor's registers that are used (IHI 0069, 12.8). An array is indexed by INTID, or
    /// by INTID / 32 where it has a bit for each.
    pub(crate) Distributor {
        (0x0000 => pub(crate) ctlr: ReadWrite<u32, GICD_CTLR::Register>),
        (0x0004 => pub(crate) typer: ReadOnly<u32, GICD_TYPER::Register>),
        (0x0008 => _identification),
        (0x0080 => pub(crate) igroupr: [ReadWrite<u32>; 32]),
        (0x0100 => pub(crate) isenabler: [ReadWrite<u32>; 32]),
        (0x0180 => pub(crate) icenabler: [ReadWrite<u32>; 32]),
        (0x0200 => pub(crate) ispendr: [ReadWrite<u32>; 32]),
        (0x0280 => pub(crate) icpendr: [ReadWrite<u32>; 32]),
        (0x0300 => _isactiver),
        (0x0380 => pub(crate) icactiver: [ReadWrite<u32>; 32]),
        (0x0400 => pub(crate) ipriorityr: [ReadWrite<u32>; 256]),
        (0x0800 => _targets),
        (0x0c00 => pub(crate) icfgr: [ReadWrite<u32>; 64]),
        (0x0d00 => _modifiers),
        (0x0f80 => pub(crate) inmir: [ReadWrite<u32>; 32]),
        (0x1000 => _extended),
        (0x1400 => pub(crate) icenabler_e: [ReadWrite<u32>; 32]),
        (0x1480 => _extended_pending),
        (0x1800 => pub(crate) icpendr_e: [ReadWrite<u32>; 32]),
        (0x1880 => _extended_active),
        (0x1c00 => pub(crate) icactiver_e: [ReadWrite<u32>; 32]),
        (0x1c80 => _more_extended),
        (0x6000 => pub(crate) irouter: [ReadWrite<u64>; 1024]),
        (0x8000 => @END),
    }
}

register_structs! {
    /// A redistributor's registers that are used: RD_base, then SGI_base (IHI 0069, 12.10). Of an array, the
    /// first word is that of SGIs and PPIs, the others are those of extended PPIs.
    pub(crate) Redistributor {
        (0x0_0000 => pub(crate) ctlr: ReadWrite<u32, GICR_CTLR::Register>),
        (0x0_0004 => _identification),
        (0x0_0008 => pub(crate) typer: ReadOnly<u64, GICR_TYPER::Register>),
        (0x0_0010 => _status),
        (0x0_0014 => pub(crate) waker: ReadWrite<u32, GICR_WAKER::Register>),
        (0x0_0018 => _lpis),
        (0x0_0078 => pub(crate) pendbaser: ReadOnly<u64>),
        (0x0_0080 => _more_lpis),
        (0x1_0080 => pub(crate) igroupr0: ReadWrite<u32>),
        (0x1_0084 => _more_groups),
        (0x1_0100 => pub(crate) isenabler0: ReadWrite<u32>),
        (0x1_0104 => _more_set_enables),
        (0x1_0180 => pub(crate) icenabler: [ReadWrite<u32>; 3]),
        (0x1_018c => _pending),
        (0x1_0280 => pub(crate) icpendr: [ReadWrite<u32>; 3]),
        (0x1_028c => _active),
        (0x1_0380 => pub(crate) icactiver: [ReadWrite<u32>; 3]),
        (0x1_038c => _more_active),
        (0x1_0400 => pub(crate) ipriorityr: [ReadWrite<u32>; 8]),
        (0x1_0420 => _extended_priorities),
        (0x1_0c00 => pub(crate) icfgr: [ReadWrite<u32>; 2]),
        (0x1_0c08 => _modifiers),
        (0x1_0f80 => pub(crate) inmir0: ReadWrite<u32>),
        (0x1_0f84 => _reserved),
        (0x2_0000 => @END),
    }
}

register_structs! {
    /// A translation service's registers that are used (IHI 0069, 12.18).
    pub(crate) Translator {
        (0x0000 => pub(crate) ctlr: ReadWrite<u32, GITS_CTLR::Register>),
        (0x0004 => @END),
    }
}

/// Bytes of a redistributor without virtual LPIs.
pub(crate) const FRAMES: usize = size_of::<Redistributor>();
