//! What the register files have in common: the registers with a bit for each interrupt, priorities,
//! configuration.

use super::{Gic, Id, TIMERS};

/// The right answer to a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The value.
    pub value: u64,
    /// The bits of it that count.
    pub known: u64,
    /// The others are IMPLEMENTATION DEFINED, but the same at every load.
    pub is_constant: bool,
}

impl Expected {
    /// All bits count.
    #[must_use]
    pub const fn exactly(value: u64) -> Self {
        Self { value, known: !0, is_constant: true }
    }

    /// What is reserved, or does not have that width.
    pub(super) const ZERO: Self = Self::exactly(0);

    /// Those of `known` count, the others are always the same.
    pub(super) const fn constant(value: u64, known: u64) -> Self {
        Self { value, known, is_constant: true }
    }
}

/// Bits of five in a priority.
const PRIORITY_BITS: u8 = 0xf8;

/// The registers with a bit for each interrupt: IHI 0069, by name; IHI 0048, 4.3.4 to 4.3.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// GICD_IGROUPR.
    Group,
    /// GICD_ISENABLER.
    SetEnable,
    /// GICD_ICENABLER.
    ClearEnable,
    /// GICD_ISPENDR.
    SetPending,
    /// GICD_ICPENDR.
    ClearPending,
    /// GICD_ISACTIVER.
    SetActive,
    /// GICD_ICACTIVER.
    ClearActive,
}

/// What lies at an offset in the part that all register files have alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// A bit for each of 32 interrupts from this one on.
    Bits(Set, u32),
    /// A byte for each, from this one on.
    Priority(u32),
    /// Two bits for each of 16, from this one on.
    Config(u32),
}

/// The register at `offset`, 0x80 to 0xcff, for an access of `bytes`: all are words, but priorities
/// are bytes, too (IHI 0069, chapter 12, access sizes; IHI 0048, 4.1.4).
pub(super) fn common(offset: u64, bytes: u64) -> Option<Common> {
    let number = |base: u64, each: u64| u32::try_from((offset - base) * each).ok();
    let is_word = bytes == 4 && offset.is_multiple_of(4);
    let set = match offset {
        0x080..0x100 => Set::Group,
        0x100..0x180 => Set::SetEnable,
        0x180..0x200 => Set::ClearEnable,
        0x200..0x280 => Set::SetPending,
        0x280..0x300 => Set::ClearPending,
        0x300..0x380 => Set::SetActive,
        0x380..0x400 => Set::ClearActive,
        0x400..0x800 if is_word || bytes == 1 => {
            return Some(Common::Priority(number(0x400, 1)?));
        }
        0xc00..0xd00 if is_word => return Some(Common::Config(number(0xc00, 4)?)),
        _ => return None,
    };
    is_word.then_some(Common::Bits(set, number(offset & !0x7f, 8)?))
}

impl Gic {
    fn shows(&self, set: Set, id: Id) -> bool {
        match set {
            Set::Group => self.group1.contains(&id),
            Set::SetEnable | Set::ClearEnable => self.enabled(id),
            Set::SetPending | Set::ClearPending => self.is_pending(id),
            Set::SetActive | Set::ClearActive => self.active.contains(&id),
        }
    }

    /// What `reader` loads from the registers of `owner`. Others than the owner itself do not see how
    /// a timer's line is (GICR_ISPENDR0 says what the Redistributor has been told), so what they
    /// see of an active timer is not known.
    pub(super) fn read_common(
        &self,
        reader: usize,
        owner: usize,
        register: Common,
        bytes: u64,
    ) -> Expected {
        let mut expected = Expected { value: 0, known: !0, is_constant: false };
        let numbers = |first: u32, count: u32| {
            (0..count).filter_map(move |n| Some((n, self.id(owner, first + n)?)))
        };
        match register {
            Common::Bits(set, first) => {
                for (n, id) in numbers(first, 32) {
                    let is_timer = id.vcpu.is_some() && TIMERS.contains(&id.number);
                    let is_hidden = reader != owner && is_timer && self.active.contains(&id);
                    let is_pending = matches!(set, Set::SetPending | Set::ClearPending);
                    if is_pending
                        && (is_hidden || self.lingering.contains(&id) && !self.is_pending(id))
                    {
                        expected.known &= !(1 << n);
                    }
                    expected.value |= u64::from(self.shows(set, id)) << n;
                }
            }
            Common::Priority(first) => {
                for (n, id) in numbers(first, u32::try_from(bytes).unwrap_or(4)) {
                    expected.value |= u64::from(self.priority(id)) << (8 * n);
                }
            }
            // Bit 1 of each field (IHI 0069, GICD_ICFGR); bit 0 is RES0.
            Common::Config(first) => {
                for (n, id) in numbers(first, 16) {
                    expected.value |= u64::from(self.edge.contains(&id)) << (2 * n + 1);
                }
            }
        }
        expected
    }

    /// A store to the registers of `owner`.
    pub(super) fn write_common(&mut self, owner: usize, register: Common, bytes: u64, value: u64) {
        let id = |gic: &Self, number| gic.id(owner, number);
        match register {
            Common::Bits(set, first) => {
                for n in 0..32 {
                    if let Some(id) = id(self, first + n) {
                        self.write_bit(set, id, value >> n & 1 == 1);
                    }
                }
            }
            Common::Priority(first) => {
                for ((number, byte), _) in (first..).zip(value.to_le_bytes()).zip(0..bytes) {
                    if let Some(id) = id(self, number) {
                        self.priority.insert(id, byte & PRIORITY_BITS);
                    }
                }
            }
            Common::Config(first) => {
                for n in 0..16 {
                    let Some(id) = id(self, first + n) else { continue };
                    // SGIs: read-only (IHI 0069, GICR_ICFGR0). Timers: as documented.
                    let is_fixed = id.number < 16 || id.number < 32 && TIMERS.contains(&id.number);
                    if is_fixed {
                        continue;
                    }
                    if value >> (2 * n + 1) & 1 == 1 {
                        self.edge.insert(id);
                    } else {
                        self.edge.remove(&id);
                    }
                }
            }
        }
    }

    fn write_bit(&mut self, set: Set, id: Id, is_one: bool) {
        // GICD_ISPENDR0 and GICD_ICPENDR0 of a GICv2: those of SGIs are read-only (IHI 0048, 4.3.7, 4.3.8).
        let is_pending = matches!(set, Set::SetPending | Set::ClearPending);
        if is_pending && self.has_senders(id) {
            return;
        }
        match (set, is_one) {
            (Set::Group, true) => {
                self.group1.insert(id);
            }
            (Set::Group, false) => {
                self.group1.remove(&id);
            }
            // Zeroes have no effect.
            (_, false) => {}
            (Set::SetEnable, _) => {
                self.enabled.insert(id);
            }
            (Set::ClearEnable, _) => {
                self.enabled.remove(&id);
            }
            (Set::SetPending, _) => {
                self.latch.insert(id);
            }
            // A level-sensitive interrupt whose line is high stays pending (IHI 0069, GICD_ICPENDR).
            (Set::ClearPending, _) => {
                self.latch.remove(&id);
            }
            (Set::SetActive, _) => {
                self.active.insert(id);
            }
            (Set::ClearActive, _) => self.stop(id),
        }
    }
}
