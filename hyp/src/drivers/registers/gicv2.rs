//! Registers of a GICv2 (IHI 0048B).

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Distributor control (IHI 0048B, 4.3.1).
    pub(crate) GICD_CTLR [
        /// The only group that is used.
        ENABLE OFFSET(0) NUMBITS(1) [],
    ],
    /// Distributor's type (IHI 0048B, 4.3.2).
    pub(crate) GICD_TYPER [
        /// INTIDs in steps of 32, less one.
        ITLINES OFFSET(0) NUMBITS(5) [],
    ],
    /// Software-generated interrupts (IHI 0048B, 4.3.15).
    pub(crate) GICD_SGIR [
        INTID OFFSET(0) NUMBITS(4) [],
        /// A bit for each CPU interface.
        TARGET_LIST OFFSET(16) NUMBITS(8) [],
    ],
    /// CPU interface control (IHI 0048B, 4.4.1).
    pub(crate) GICC_CTLR [
        /// The only group that is used.
        ENABLE OFFSET(0) NUMBITS(1) [],
        /// What firmware says about bypass of the interface.
        BYPASS OFFSET(5) NUMBITS(4) [],
        /// The end of an interrupt only drops its priority.
        EOIMODE OFFSET(9) NUMBITS(1) [],
    ],
    /// Acknowledgement (IHI 0048B, 4.4.4).
    pub(crate) GICC_IAR [
        INTID OFFSET(0) NUMBITS(10) [],
        /// The INTID and the CPU that sent an SGI: what the end has to name.
        WHOLE OFFSET(0) NUMBITS(13) [],
    ],
    /// The virtual interface's type (IHI 0048B, 5.3.2).
    pub(crate) GICH_VTR [
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
        (0x000 => pub(crate) ctlr: ReadWrite<u32, GICD_CTLR::Register>),
        (0x004 => pub(crate) typer: ReadOnly<u32, GICD_TYPER::Register>),
        (0x008 => _identification),
        (0x080 => pub(crate) igroupr: [ReadWrite<u32>; 32]),
        (0x100 => pub(crate) isenabler: [ReadWrite<u32>; 32]),
        (0x180 => pub(crate) icenabler: [ReadWrite<u32>; 32]),
        (0x200 => pub(crate) ispendr: [ReadWrite<u32>; 32]),
        (0x280 => pub(crate) icpendr: [ReadWrite<u32>; 32]),
        (0x300 => _isactiver),
        (0x380 => pub(crate) icactiver: [ReadWrite<u32>; 32]),
        (0x400 => pub(crate) ipriorityr: [ReadWrite<u32>; 256]),
        (0x800 => pub(crate) itargetsr: [ReadWrite<u8>; 1024]),
        (0xc00 => pub(crate) icfgr: [ReadWrite<u32>; 64]),
        (0xd00 => _reserved_2),
        (0xf00 => pub(crate) sgir: WriteOnly<u32, GICD_SGIR::Register>),
        (0xf04 => _reserved),
        (0xf10 => pub(crate) cpendsgir: [ReadWrite<u32>; 4]),
        (0xf20 => @END),
    }
}

register_structs! {
    /// The physical CPU interface's registers that are used (IHI 0048B, 4.1.3).
    pub(crate) Interface {
        (0x0000 => pub(crate) ctlr: ReadWrite<u32, GICC_CTLR::Register>),
        (0x0004 => pub(crate) pmr: ReadWrite<u32>),
        (0x0008 => pub(crate) bpr: ReadWrite<u32>),
        (0x000c => pub(crate) iar: ReadOnly<u32, GICC_IAR::Register>),
        (0x0010 => pub(crate) eoir: WriteOnly<u32>),
        (0x0014 => _state),
        (0x00d0 => pub(crate) apr: [ReadWrite<u32>; 4]),
        (0x00e0 => pub(crate) nsapr: [ReadWrite<u32>; 4]),
        (0x00f0 => _reserved),
        (0x00fc => pub(crate) iidr: ReadOnly<u32>),
        (0x0100 => _second_page),
        (0x1000 => pub(crate) dir: WriteOnly<u32>),
        (0x1004 => @END),
    }
}

register_structs! {
    /// The virtual interface's control registers that are used (IHI 0048B, 5.3).
    pub(crate) Hypervisor {
        (0x000 => pub(crate) hcr: ReadWrite<u32>),
        (0x004 => pub(crate) vtr: ReadOnly<u32, GICH_VTR::Register>),
        (0x008 => pub(crate) vmcr: ReadWrite<u32>),
        (0x00c => _maintenance),
        (0x030 => pub(crate) elrsr: ReadOnly<u32>),
        (0x034 => _more_elrsr),
        (0x0f0 => pub(crate) apr: ReadWrite<u32>),
        (0x0f4 => _reserved),
        (0x100 => pub(crate) lr: [ReadWrite<u32>; 16]),
        (0x140 => @END),
    }
}
