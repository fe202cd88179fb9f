//! List registers and the port to one physical CPU's virtual CPU interface.

use super::bits::{byte, low};

/// The most list registers the architecture allows (IHI0069, ICH_VTR_EL2.ListRegs).
pub const MAX_LIST_REGISTERS: usize = 16;

/// The content of one list register, laid out as `ICH_LR<n>_EL2` (IHI0069, section 12.4). A GICv2's
/// is converted by [`Self::to_gich`] and [`Self::from_gich`].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ListRegister(u64);

impl ListRegister {
    /// No interrupt.
    pub const EMPTY: Self = Self(0);

    const PENDING: u64 = 1 << 62;
    const ACTIVE: u64 = 1 << 63;
    const HW: u64 = 1 << 61;
    const GROUP1: u64 = 1 << 60;
    const PRIORITY_SHIFT: u32 = 48;
    /// The virtual number of an interrupt that is not an LPI.
    const INTID: u64 = 0x3ff;
    /// Bits 12:10 of the virtual number: the CPU that sent an SGI, where the guest has a GICv2.
    const SOURCE_SHIFT: u32 = 10;
    /// With HW clear, bit 41: a maintenance interrupt at deactivation.
    const EOI: u64 = 1 << 41;
    /// With HW set, bits 44:32: the physical interrupt deactivated with this one.
    const PHYSICAL_SHIFT: u32 = 32;

    /// An inactive interrupt of group 0; the `with_` methods add the rest.
    #[inline(always)]
    #[must_use]
    pub const fn new(intid: u32, priority: u8) -> Self {
        Self(intid as u64 | ((priority as u64) << Self::PRIORITY_SHIFT))
    }

    /// The same, pending if `pending`.
    #[inline(always)]
    #[must_use]
    pub const fn with_pending(self, pending: bool) -> Self {
        Self(self.0 | (pending as u64) << Self::PENDING.trailing_zeros())
    }

    /// The same, active if `active`.
    #[inline(always)]
    #[must_use]
    pub const fn with_active(self, active: bool) -> Self {
        Self(self.0 | (active as u64) << Self::ACTIVE.trailing_zeros())
    }

    /// The same, in group 1 if `group1`.
    #[inline(always)]
    #[must_use]
    pub const fn with_group1(self, group1: bool) -> Self {
        Self(self.0 | (group1 as u64) << Self::GROUP1.trailing_zeros())
    }

    /// Ties this interrupt to the physical one `intid`: the guest's deactivation deactivates that too.
    #[inline(always)]
    #[must_use]
    pub const fn with_physical(self, intid: u32) -> Self {
        Self(self.0 | Self::HW | (intid as u64) << Self::PHYSICAL_SHIFT)
    }

    /// The same, sent by CPU interface `source` (0 to 7): for SGIs of a GICv2, in place of the one
    /// before.
    #[inline(always)]
    #[must_use]
    pub const fn with_source(self, source: u32) -> Self {
        let others = self.0 & !(7 << Self::SOURCE_SHIFT);
        Self(others | ((source & 7) as u64) << Self::SOURCE_SHIFT)
    }

    /// The same, with a maintenance interrupt when the guest deactivates it. Not to be combined
    /// with [`Self::with_physical`].
    #[must_use]
    pub const fn with_eoi_interrupt(self) -> Self {
        Self(self.0 | Self::EOI)
    }

    /// What the hardware holds or is to hold.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// A value read from the hardware.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The virtual interrupt number.
    #[must_use]
    pub const fn intid(self) -> u32 {
        (self.0 & Self::INTID) as u32
    }

    /// The CPU interface that sent an SGI of a GICv2; 0 with a GICv3.
    #[must_use]
    pub const fn source(self) -> u32 {
        ((self.0 >> Self::SOURCE_SHIFT) & 7) as u32
    }

    /// The priority, 0 the highest.
    #[must_use]
    pub const fn priority(self) -> u8 {
        byte(self.0 >> Self::PRIORITY_SHIFT)
    }

    /// Waiting to be acknowledged.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        self.0 & Self::PENDING != 0
    }

    /// Acknowledged and not deactivated.
    #[must_use]
    pub const fn is_active(self) -> bool {
        self.0 & Self::ACTIVE != 0
    }

    /// In group 1 (IRQ), else group 0 (FIQ).
    #[must_use]
    pub const fn is_group1(self) -> bool {
        self.0 & Self::GROUP1 != 0
    }

    /// Tied to a physical interrupt.
    #[must_use]
    pub const fn is_physical(self) -> bool {
        self.0 & Self::HW != 0
    }

    /// The physical interrupt that it is tied to, where it is.
    #[must_use]
    pub const fn physical(self) -> u32 {
        low(self.0 >> Self::PHYSICAL_SHIFT) & gich_lr::INTID
    }

    /// Asks for a maintenance interrupt at deactivation.
    #[must_use]
    pub const fn has_eoi_interrupt(self) -> bool {
        !self.is_physical() && self.0 & Self::EOI != 0
    }

    /// The same as a GICv2's `GICH_LR<n>` (IHI0048B, section 5.3.9), which keeps the upper five bits
    /// of the priority.
    #[must_use]
    pub const fn to_gich(self) -> u32 {
        // State and Group have the order of their bits in common.
        let state = low(self.0 >> 62) << gich_lr::STATE_SHIFT;
        let group = (self.is_group1() as u32) << gich_lr::GROUP1_SHIFT;
        let priority = (self.priority() as u32 >> 3) << gich_lr::PRIORITY_SHIFT;
        let tie = if self.is_physical() {
            gich_lr::HW | self.physical() << gich_lr::PHYSICAL_SHIFT
        } else {
            let eoi = if self.has_eoi_interrupt() { gich_lr::EOI } else { 0 };
            eoi | self.source() << gich_lr::SOURCE_SHIFT
        };
        self.intid() | state | group | priority | tie
    }

    /// The inverse of [`Self::to_gich`].
    #[must_use]
    pub const fn from_gich(raw: u32) -> Self {
        let priority = byte((raw >> gich_lr::PRIORITY_SHIFT) as u64 & 0x1f) << 3;
        let mut lr = Self::new(raw & gich_lr::INTID, priority)
            .with_group1(raw >> gich_lr::GROUP1_SHIFT & 1 != 0);
        lr.0 |= ((raw >> gich_lr::STATE_SHIFT & 3) as u64) << 62;
        if raw & gich_lr::HW != 0 {
            lr = lr.with_physical(raw >> gich_lr::PHYSICAL_SHIFT & gich_lr::INTID);
        } else {
            lr = lr.with_source(raw >> gich_lr::SOURCE_SHIFT);
            if raw & gich_lr::EOI != 0 {
                lr = lr.with_eoi_interrupt();
            }
        }
        lr
    }
}

/// Fields of `GICH_LR<n>` (IHI0048B, table 5-11).
mod gich_lr {
    pub(super) const INTID: u32 = 0x3ff;
    /// With HW set, the physical interrupt.
    pub(super) const PHYSICAL_SHIFT: u32 = 10;
    /// With HW clear, the CPU that sent the SGI.
    pub(super) const SOURCE_SHIFT: u32 = 10;
    /// With HW clear, a maintenance interrupt at deactivation.
    pub(super) const EOI: u32 = 1 << 19;
    pub(super) const PRIORITY_SHIFT: u32 = 23;
    /// Pending, then active.
    pub(super) const STATE_SHIFT: u32 = 28;
    pub(super) const GROUP1_SHIFT: u32 = 30;
    pub(super) const HW: u32 = 1 << 31;
}

impl core::fmt::Debug for ListRegister {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LR({:#018x})", self.0)
    }
}

/// Fields of ICH_HCR_EL2 (IHI0069, section 12.4); those below bit 8 and EOIcount are GICH_HCR's, too
/// (IHI0048B, section 5.3.1).
pub mod hcr {
    /// The virtual CPU interface works.
    pub const EN: u64 = 1 << 0;
    /// Maintenance interrupt while EOIcount is not zero.
    pub const LRENPIE: u64 = 1 << 2;
    /// Maintenance interrupt while no list register is pending.
    pub const NPIE: u64 = 1 << 3;
    /// Maintenance interrupt while group 0 is enabled.
    pub const VGRP0EIE: u64 = 1 << 4;
    /// Maintenance interrupt while group 0 is disabled.
    pub const VGRP0DIE: u64 = 1 << 5;
    /// Maintenance interrupt while group 1 is enabled.
    pub const VGRP1EIE: u64 = 1 << 6;
    /// Maintenance interrupt while group 1 is disabled.
    pub const VGRP1DIE: u64 = 1 << 7;
    /// Trap accesses at EL1 to what both groups share: ICC_CTLR_EL1, ICC_DIR_EL1, ICC_PMR_EL1,
    /// ICC_RPR_EL1 and the registers that send SGIs.
    pub const TC: u64 = 1 << 10;
    /// Trap writes of ICC_DIR_EL1.
    pub const TDIR: u64 = 1 << 14;
    /// Lowest bit of the count of deactivations that met no list register.
    pub const EOI_COUNT_SHIFT: u32 = 27;
    /// The count's mask after the shift.
    pub const EOI_COUNT_MASK: u64 = 0x1f;
}

/// Fields of ICH_VMCR_EL2 (IHI0069, section 12.4) that GICH_VMCR has in the same places (IHI0048B,
/// section 5.3.3).
pub mod vmcr {
    /// Group 0 enabled by the guest.
    pub const VENG0: u64 = 1 << 0;
    /// Group 1 enabled by the guest.
    pub const VENG1: u64 = 1 << 1;
    /// Group 1 takes its preemption from the binary point of group 0 (CBPR).
    pub const VCBPR: u64 = 1 << 4;
    /// End of interrupt drops the priority only; ICC_DIR_EL1 deactivates.
    pub const VEOIM: u64 = 1 << 9;
    /// Lowest bit of the priority mask, eight bits wide: not where GICH_VMCR has it.
    pub const VPMR_SHIFT: u32 = 24;
}

/// The virtual CPU interface of the physical CPU that runs this code, and what the model needs
/// of that CPU's interrupts. Implemented on ICH_* or GICH_* registers at EL2, by a simulation in
/// tests.
pub trait CpuInterface {
    /// Implemented list registers, 1 to 16.
    fn list_registers(&self) -> usize;
    /// The bits of ICH_HCR_EL2 that make the guest's deactivations trap: [`hcr::TDIR`] where the
    /// hardware has it (ICH_VTR_EL2.TDS), else [`hcr::TC`]; 0 for a GICv2, whose GICV_DIR is not
    /// mapped into guests.
    fn deactivation_trap(&self) -> u64;
    /// List register `n`, below [`Self::list_registers`].
    fn read_lr(&self, n: usize) -> ListRegister;
    /// Replaces list register `n`, below [`Self::list_registers`].
    fn write_lr(&mut self, n: usize, value: ListRegister);
    /// ICH_ELRSR_EL2: a bit for each list register that holds nothing.
    fn empty_lrs(&self) -> u32;
    /// ICH_HCR_EL2 with the running EOIcount.
    fn hcr(&self) -> u64;
    /// Replaces ICH_HCR_EL2, EOIcount included.
    fn set_hcr(&mut self, value: u64);
    /// ICH_VMCR_EL2.
    fn vmcr(&self) -> u64;
    /// ICH_VMCR_EL2 as after reset (everything masked and disabled), no active priorities
    /// (`ICH_AP0R<n>_EL2` and `ICH_AP1R<n>_EL2` all zero), all list registers empty, ICH_HCR_EL2 0.
    fn reset(&mut self);
    /// Whether the physical line of a timer PPI is asserted: enabled, unmasked and expired.
    /// Asked for INTIDs 27 and 30 only.
    fn timer_line(&self, intid: u32) -> bool;
    /// INTID of the physical PPI, 16 to 31, of the timer that is `intid` to guests: 27 or 30.
    fn physical_timer(&self, intid: u32) -> u32;
    /// Deactivates the physical PPI `intid` (ICC_DIR_EL1), which this CPU acknowledged and
    /// reported by `ppi_fired`.
    fn deactivate_physical(&mut self, intid: u32);
}
