//! The state of 32 interrupts as bit sets: the part that SGIs, PPIs and SPIs have in common.

use super::bits::{Bits, bit};
use super::lr::ListRegister;
use crate::esr::Width;

/// The group enables of GICD_CTLR, as masks: all ones where the group is on.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Groups {
    pub(super) group0: u32,
    pub(super) group1: u32,
}

impl Groups {
    /// From GICD_CTLR bits 0 (group 0) and 1 (group 1).
    #[inline(always)]
    pub(super) const fn from_ctlr(ctlr: u32) -> Self {
        Self { group0: 0u32.wrapping_sub(ctlr & 1), group1: 0u32.wrapping_sub((ctlr >> 1) & 1) }
    }
}

/// The registers that hold one bit for each interrupt, GICD_IGROUPR to GICD_ICACTIVER; the
/// redistributor's are at the same offsets. The value is offset bits 9:7.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BitRegister {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
}

impl BitRegister {
    /// The register file and word that an access at `offset` hits, if it is one of these.
    #[inline(always)]
    pub(super) const fn at(offset: u64, width: Width) -> Option<(Self, usize)> {
        if !matches!(width, Width::Word) || offset & 3 != 0 {
            return None;
        }
        let register = match offset >> 7 {
            1 => Self::Group,
            2 => Self::SetEnable,
            3 => Self::ClearEnable,
            4 => Self::SetPending,
            5 => Self::ClearPending,
            6 => Self::SetActive,
            7 => Self::ClearActive,
            _ => return None,
        };
        Some((register, ((offset & 0x7f) >> 2) as usize))
    }

    /// Whether the register shows state that changes inside a list register.
    pub(super) const fn is_volatile(self) -> bool {
        matches!(self, Self::SetPending | Self::ClearPending | Self::SetActive | Self::ClearActive)
    }
}

/// 32 interrupts; bit n of each set is interrupt n of the word.
///
/// While an interrupt is `live`, a list register holds it: the truth about its pending edge and
/// its active state is there, `seen` and `active` are what was loaded, and a write that
/// arrives meanwhile is noted in the last sets until the owner of the list register folds
/// it back.
#[derive(Clone, Copy, Default)]
pub(super) struct Word {
    pub(super) enabled: u32,
    pub(super) group1: u32,
    /// Edge-triggered, else level-sensitive.
    pub(super) edge: u32,
    /// A remembered edge, or pending by a write of ISPENDR.
    pub(super) latch: u32,
    /// Input lines.
    pub(super) line: u32,
    pub(super) active: u32,
    /// Of the active ones, those that the guest acknowledged; others a register made active. Bits of
    /// what is not active mean nothing.
    acknowledged: u32,
    pub(super) live: u32,
    seen: u32,
    cancel_pending: u32,
    cancel_active: u32,
    force_active: u32,
    /// Latched while live: an acknowledgement seen at the fold came before.
    relatched: u32,
    /// Every interrupt in one of the four sets above, and perhaps more.
    noted: u32,
}

impl Word {
    /// The state after reset, with those of `edge` edge-triggered.
    pub(super) fn new(edge: u32) -> Self {
        Self { edge, ..Self::default() }
    }

    /// Pending as ISPENDR shows it.
    pub(super) const fn pending(&self) -> u32 {
        self.latch | (self.line & !self.edge) | (self.seen & self.live)
    }

    /// Active because the guest acknowledged it: its end is still to come.
    pub(super) const fn acknowledged(&self) -> u32 {
        self.acknowledged & self.active
    }

    /// Waiting in the model, enabled, and of a group that is on.
    pub(super) const fn deliverable(&self, groups: Groups) -> u32 {
        let on = (self.group1 & groups.group1) | (!self.group1 & groups.group0);
        (self.latch | (self.line & !self.edge)) & self.enabled & on
    }

    /// Was loaded as pending, and nothing has changed in the model since: a list register that
    /// has become empty may be made pending again and the model is still true.
    #[inline(always)]
    pub(super) const fn revivable(&self, groups: Groups) -> u32 {
        let on = (self.group1 & groups.group1) | (!self.group1 & groups.group0);
        let told = self.active | self.noted | self.latch;
        self.live & self.seen & self.enabled & on & !told
    }

    /// What the register shows.
    pub(super) const fn read(&self, register: BitRegister) -> u32 {
        match register {
            BitRegister::Group => self.group1,
            BitRegister::SetEnable | BitRegister::ClearEnable => self.enabled,
            BitRegister::SetPending | BitRegister::ClearPending => self.pending(),
            BitRegister::SetActive | BitRegister::ClearActive => self.active,
        }
    }

    /// Applies a write; the result has a bit for each interrupt that it concerned.
    pub(super) const fn write(&mut self, register: BitRegister, value: u32) -> u32 {
        if register.is_volatile() {
            self.noted |= value & self.live;
        }
        match register {
            BitRegister::Group => {
                let changed = self.group1 ^ value;
                self.group1 = value;
                changed
            }
            BitRegister::SetEnable => {
                let changed = value & !self.enabled;
                self.enabled |= value;
                changed
            }
            BitRegister::ClearEnable => {
                let changed = value & self.enabled;
                self.enabled &= !value;
                changed
            }
            BitRegister::SetPending => {
                self.latch |= value;
                self.relatched |= value & self.live;
                value
            }
            BitRegister::ClearPending => {
                self.latch &= !value;
                self.seen &= !value;
                self.relatched &= !value;
                self.cancel_pending |= value & self.live;
                value
            }
            BitRegister::SetActive => {
                // What is live may have been deactivated since it was loaded.
                let changed = value & (!self.active | self.live);
                self.acknowledged &= self.active | !value;
                self.active |= value;
                self.force_active |= value & self.live;
                changed
            }
            BitRegister::ClearActive => {
                // And may have been acknowledged.
                let changed = value & (self.active | self.live);
                self.active &= !value;
                self.force_active &= !value;
                self.cancel_active |= value & self.live;
                changed
            }
        }
    }

    /// A list register now holds the interrupt `bit`, pending there if `pending`.
    pub(super) const fn load(&mut self, bit: u32, pending: bool) {
        self.live |= bit;
        if pending {
            self.seen |= bit;
            // The edge travels in the list register. A level's latch stays until the guest has
            // acknowledged it, so that a fold before that loses nothing.
            self.latch &= !(bit & self.edge);
        } else {
            self.seen &= !bit;
        }
    }

    /// The pending edge of a live interrupt was added to its list register.
    pub(super) const fn merge(&mut self, bit: u32) {
        self.latch &= !bit;
        self.seen |= bit;
    }

    /// The interrupts `mask` leave their list registers, which hold nothing any more: they were
    /// acknowledged and deactivated.
    pub(super) fn retire(&mut self, mask: u32) {
        if self.noted & mask == 0 {
            self.latch &= !(self.seen & mask & !self.edge);
            self.active &= !mask;
            self.live &= !mask;
            self.seen &= !mask;
        } else {
            for n in Bits(mask) {
                self.fold(bit(n), ListRegister::EMPTY);
            }
        }
    }

    /// The interrupt `bit` leaves its list register, which held `lr`.
    pub(super) const fn fold(&mut self, bit: u32, lr: ListRegister) {
        let acknowledged = self.seen & bit != 0 && !lr.is_pending();
        if lr.is_pending() {
            self.latch |= bit & self.edge & !self.cancel_pending;
        } else if acknowledged {
            self.latch &= !(bit & !self.edge & !self.relatched);
        }
        if lr.is_active() {
            self.active |= bit & !self.cancel_active;
            if acknowledged {
                self.acknowledged |= bit;
            }
        } else {
            self.active &= !bit;
        }
        self.active |= bit & self.force_active;
        self.live &= !bit;
        self.seen &= !bit;
        self.cancel_pending &= !bit;
        self.cancel_active &= !bit;
        self.force_active &= !bit;
        self.relatched &= !bit;
        self.noted &= !bit;
    }

    /// An input line changed.
    pub(super) const fn set_line(&mut self, bit: u32, level: bool) {
        if level {
            self.latch |= bit & self.edge & !self.line;
            self.line |= bit;
        } else {
            self.line &= !bit;
        }
    }
}
