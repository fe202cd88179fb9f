//! The registers that hold a field for each interrupt, by a table, and what of it only registers
//! change: a copy of what the [`Word`](super::word::Word) says, made under its lock, so that loads
//! take none.

use super::bits::{byte, low};
use crate::esr::Width;
use crate::sync::{AtomicU32, Ordering};

/// What a field says of its interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// GICD_IGROUPR.
    Group,
    /// GICD_ISENABLER.
    Enable,
    /// GICD_ICENABLER.
    Disable,
    /// GICD_IPRIORITYR.
    Priority,
    /// GICD_ICFGR.
    Config,
    /// What changes inside a list register.
    State(State),
}

/// GICD_ISPENDR to GICD_ICACTIVER.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
}

/// The fields that an access hits, all of one word of 32 interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub(super) kind: Kind,
    /// The register among those of its kind that share the word.
    part: u8,
    /// The first of these among those that are kept of the word.
    kept: u8,
    /// How many bytes behind the register's first it begins.
    byte: u8,
    width: Width,
}

/// 128 bytes of registers.
#[derive(Clone, Copy)]
#[repr(align(4))]
struct Row {
    kind: Kind,
    /// Binary logarithm of how many registers share a word.
    registers: u8,
    /// The first of them among those that are kept of the word.
    kept: u8,
}

const fn row(kind: Kind, registers: u8, kept: u8) -> Option<Row> {
    Some(Row { kind, registers, kept })
}

/// Register files from GICD_IGROUPR's offset rounded down on (IHI0069, sections 12.9 and 12.11;
/// IHI0048B, section 4.3). Behind 128 interrupts there are none.
const ROWS: [Option<Row>; 25] = {
    let mut rows = [None; 25];
    rows[1] = row(Kind::Group, 0, 0);
    rows[2] = row(Kind::Enable, 0, 1);
    rows[3] = row(Kind::Disable, 0, 1);
    rows[4] = row(Kind::State(State::SetPending), 0, 0);
    rows[5] = row(Kind::State(State::ClearPending), 0, 0);
    rows[6] = row(Kind::State(State::SetActive), 0, 0);
    rows[7] = row(Kind::State(State::ClearActive), 0, 0);
    rows[8] = row(Kind::Priority, 3, 2);
    rows[24] = row(Kind::Config, 1, 10);
    rows
};

impl Field {
    /// The fields that an aligned access at `offset` hits, and of which word, if it hits any.
    #[inline(always)]
    pub(super) fn at(offset: u64, width: Width) -> Option<(Self, usize)> {
        let Row { kind, registers, kept } = (*ROWS.get((offset >> 7) as usize)?)?;
        if !(width == Width::Word || (width == Width::Byte && kind == Kind::Priority)) {
            return None;
        }
        let register = byte(offset & 0x7f) >> 2;
        let word = usize::from(register.wrapping_shr(registers.into()));
        let part = register & !u8::MAX.wrapping_shl(registers.into());
        Some((Self { kind, part, kept, byte: byte(offset & 3), width }, word))
    }

    /// The register among those of its kind that share the word.
    #[inline]
    pub(super) fn part(self) -> usize {
        self.part.into()
    }

    /// The first interrupt, 0 to 31, that its register is for.
    #[inline]
    pub(super) fn first(self) -> u32 {
        let interrupts = match self.kind {
            Kind::Priority => 4,
            Kind::Config => 16,
            Kind::Group | Kind::Enable | Kind::Disable | Kind::State(_) => 32,
        };
        u32::from(self.part).wrapping_mul(interrupts)
    }

    /// The bits of its register that it is.
    #[inline]
    pub(super) fn mask(self) -> u32 {
        self.shifted(!0)
    }

    /// What a store of `value` puts there.
    #[inline]
    pub(super) fn shifted(self, value: u32) -> u32 {
        (value & low(self.width.mask())).wrapping_shl(u32::from(self.byte) << 3)
    }

    /// The register's place among those that are kept of the word.
    #[inline(always)]
    fn place(self) -> usize {
        usize::from(self.kept.wrapping_add(self.part))
    }
}

/// The copy of one word.
pub(super) struct Settings([AtomicU32; 12]);

impl Settings {
    /// Makes the settings that interrupts have at reset.
    pub(super) const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; 12])
    }

    /// What an access to `field` sees, which is none of [`State`].
    #[inline(always)]
    pub(super) fn read(&self, field: Field) -> u64 {
        let register = self.0.get(field.place()).map_or(0, |kept| kept.load(Ordering::Acquire));
        u64::from(register.wrapping_shr(u32::from(field.byte) << 3)) & field.width.mask()
    }

    /// Notes that the whole register of `field` now reads as `value`.
    #[inline]
    pub(super) fn keep(&self, field: Field, value: u32) {
        if let Some(kept) = self.0.get(field.place()) {
            kept.store(value, Ordering::Release);
        }
    }

    /// Notes that each register reads as `show` says.
    pub(super) fn keep_all(&self, show: impl Fn(Field) -> u32) {
        // GICD_IGROUPR, GICD_ISENABLER, GICD_IPRIORITYR and GICD_ICFGR of the first word.
        let priorities = (0x400..0x420).step_by(4);
        for offset in [0x80, 0x100, 0xc00, 0xc04].into_iter().chain(priorities) {
            if let Some((field, _)) = Field::at(offset, Width::Word) {
                self.keep(field, show(field));
            }
        }
    }
}
