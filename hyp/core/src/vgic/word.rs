//! The state of 32 interrupts as bit sets: the part that SGIs, PPIs and SPIs have in common.

use super::bits::{Bits, bit, changed_bytes, edges_from_icfgr, icfgr_from_edges, index};
use super::lr::ListRegister;
use super::settings::{Field, Kind, Settings, State};

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
    /// What `edge` says of these cannot be written.
    fixed: u32,
    /// As GICD_IPRIORITYR shows them.
    priority: [u8; 32],
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
    /// The state after reset, with those of `edge` edge-triggered, and those of `fixed` for ever what
    /// they are.
    pub(super) fn new(edge: u32, fixed: u32) -> Self {
        Self { edge, fixed, ..Self::default() }
    }

    /// The priority of interrupt `n`, of which bits 4:0 count.
    #[inline]
    pub(super) fn priority(&self, n: u32) -> u8 {
        self.priority.get(index(n % 32)).copied().unwrap_or(0)
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

    /// What a register of `state` shows.
    pub(super) const fn read(&self, state: State) -> u32 {
        match state {
            State::SetPending | State::ClearPending => self.pending(),
            State::SetActive | State::ClearActive => self.active,
        }
    }

    /// Copies all that `settings` keeps.
    pub(super) fn copy_to(&self, settings: &Settings) {
        settings.keep_all(|field| match field.kind {
            Kind::Group => self.group1,
            Kind::Enable | Kind::Disable => self.enabled,
            Kind::Priority => {
                let fours = self.priority.as_chunks().0;
                fours.get(field.part()).map_or(0, |four| u32::from_le_bytes(*four))
            }
            Kind::Config => icfgr_from_edges(self.edge.wrapping_shr(field.first())),
            Kind::State(_) => 0,
        });
    }

    /// Applies a write to `field`, which is none of [`State`], and to its copy; the result has a bit
    /// for each interrupt that has changed.
    #[inline]
    pub(super) fn set(&mut self, field: Field, value: u32, settings: &Settings) -> u32 {
        let (changed, shown) = match field.kind {
            Kind::Group => replace(&mut self.group1, 0, value),
            Kind::Enable => replace(&mut self.enabled, !0, value),
            Kind::Disable => replace(&mut self.enabled, !value, 0),
            Kind::Priority => {
                let fours = self.priority.as_chunks_mut().0;
                let Some(four) = fours.get_mut(field.part()) else { return 0 };
                let mut register = u32::from_le_bytes(*four);
                let (changed, _) = replace(&mut register, !field.mask(), field.shifted(value));
                *four = register.to_le_bytes();
                (changed_bytes(changed).wrapping_shl(field.first()), register)
            }
            Kind::Config => {
                let first = field.first();
                let fixed = self.fixed | !0xffffu32.wrapping_shl(first);
                let edges = edges_from_icfgr(value).wrapping_shl(first);
                let (changed, edges) = replace(&mut self.edge, fixed, edges & !fixed);
                (changed, icfgr_from_edges(edges.wrapping_shr(first)))
            }
            Kind::State(_) => return 0,
        };
        settings.keep(field, shown);
        changed
    }

    /// Applies a write of `state`; the result has a bit for each interrupt that it concerned.
    pub(super) const fn write(&mut self, state: State, value: u32) -> u32 {
        self.noted |= value & self.live;
        match state {
            State::SetPending => {
                self.latch |= value;
                self.relatched |= value & self.live;
                value
            }
            State::ClearPending => {
                self.latch &= !value;
                self.seen &= !value;
                self.relatched &= !value;
                self.cancel_pending |= value & self.live;
                value
            }
            State::SetActive => {
                // What is live may have been deactivated since it was loaded.
                let changed = value & (!self.active | self.live);
                self.acknowledged &= self.active | !value;
                self.active |= value;
                self.force_active |= value & self.live;
                changed
            }
            State::ClearActive => {
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

/// Of `bits`, keeps those in `kept` and sets those in `set`; says which change, and what there is then.
const fn replace(bits: &mut u32, kept: u32, set: u32) -> (u32, u32) {
    let new = *bits & kept | set;
    let changed = *bits ^ new;
    *bits = new;
    (changed, new)
}
