//! What an instruction moves between registers and memory, byte for byte.

use core::ops::Range;

use super::registers::Registers;
use crate::esr::{Access, Direction, Width};
use crate::fault::{load_result, store_value};

/// The most bytes that one instruction moves: four Q registers.
pub const MOST_BYTES: usize = 64;

/// What an instruction moves, in the order of memory.
pub type Image = [u8; MOST_BYTES];

/// Elements of one size that follow each other in memory, and the registers they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// 1 to 64.
    elements: u8,
    /// log2 of an element's bytes, 0 to 4.
    log2: u8,
    places: Places,
}

/// Which register element `n` belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Places {
    /// One or two general registers.
    General { registers: [u8; 2], sign_extend: bool, is_64bit: bool },
    /// All of one or two vector registers, which are zero beyond the element.
    Scalar { registers: [u8; 2] },
    /// `structure` registers from `first` on take turns, lane after lane, `lanes` of each; then
    /// the next ones. Registers of which half is used are zero beyond.
    Lanes { first: u8, structure: u8, lanes: u8 },
    /// The same lane of the registers from `first` on.
    Lane { first: u8, lane: u8 },
    /// Every lane of the registers from `first` on, `lanes` of each.
    Replicated { first: u8, lanes: u8 },
}

impl Transfer {
    /// One general register, or two.
    pub(super) const fn general(
        width: Width,
        first: u8,
        second: Option<u8>,
        sign_extend: bool,
        is_64bit: bool,
    ) -> Self {
        let (elements, registers) = one_or_two(first, second);
        let places = Places::General { registers, sign_extend, is_64bit };
        Self { elements, log2: width as u8, places }
    }

    /// One vector register as a scalar of `1 << log2` bytes, 1 to 16, or two.
    pub(super) const fn scalar(log2: u8, first: u8, second: Option<u8>) -> Self {
        let (elements, registers) = one_or_two(first, second);
        let log2 = if log2 > 4 { 4 } else { log2 };
        Self { elements, log2, places: Places::Scalar { registers } }
    }

    /// `repeat` times `structure` registers, interleaved, of 16 or else 8 bytes. One of the two
    /// numbers is 1, neither is above 4.
    pub(super) const fn structures(
        log2: u8,
        first: u8,
        repeat: u8,
        structure: u8,
        is_128bit: bool,
    ) -> Self {
        let lanes = lanes(log2, is_128bit);
        let elements = lanes.saturating_mul(repeat).saturating_mul(structure);
        Self { elements, log2, places: Places::Lanes { first, structure, lanes } }
    }

    /// One lane of 1 to 4 registers.
    pub(super) const fn lane(log2: u8, first: u8, registers: u8, lane: u8) -> Self {
        Self { elements: registers, log2, places: Places::Lane { first, lane } }
    }

    /// One element for each of 1 to 4 registers of 16 or else 8 bytes, repeated in all lanes.
    pub(super) const fn replicated(log2: u8, first: u8, registers: u8, is_128bit: bool) -> Self {
        let places = Places::Replicated { first, lanes: lanes(log2, is_128bit) };
        Self { elements: registers, log2, places }
    }

    /// Bytes moved, 1 to 64.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        (self.elements as usize).wrapping_shl(self.log2 as u32)
    }

    /// The accesses that memory sees, lowest address first: offset and width. One of 16 bytes is
    /// two of 8.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, Width)> + use<> {
        let log2 = u32::from(self.log2.min(3));
        let pieces = self.bytes().wrapping_shr(log2);
        (0..pieces).map(move |n| (n.wrapping_shl(log2), Width::from_log2(u64::from(log2))))
    }

    /// Whether vector registers take part.
    #[must_use]
    pub const fn is_vector(&self) -> bool {
        !matches!(self.places, Places::General { .. })
    }

    /// Puts what was loaded into the registers. `big_endian` is the guest's setting.
    pub fn load(&self, image: &Image, big_endian: bool, registers: &mut impl Registers) {
        for n in 0..self.elements {
            let Some(element) = image.get(self.range(n)) else { break };
            let Place { register, lane, kept, copies } = self.place(n);
            if !self.is_vector() {
                let value = load_result(self.access(Direction::Read), number(element), big_endian);
                registers.set_general(register, value);
                continue;
            }
            let mut value = registers.vector(register).to_le_bytes();
            value.iter_mut().skip(usize::from(kept)).for_each(|byte| *byte = 0);
            for lane in lane..lane.wrapping_add(copies) {
                if let Some(lane) = value.get_mut(self.range(lane)) {
                    copy(lane, element, big_endian);
                }
            }
            registers.set_vector(register, u128::from_le_bytes(value));
        }
    }

    /// What a store of the registers writes. `big_endian` is the guest's setting.
    pub fn store(&self, big_endian: bool, registers: &impl Registers) -> Image {
        let mut image = [0; MOST_BYTES];
        for n in 0..self.elements {
            let Some(element) = image.get_mut(self.range(n)) else { break };
            let Place { register, lane, .. } = self.place(n);
            if self.is_vector() {
                let value = registers.vector(register).to_le_bytes();
                if let Some(lane) = value.get(self.range(lane)) {
                    copy(element, lane, big_endian);
                }
            } else {
                let value = registers.general(register);
                let value = store_value(self.access(Direction::Write), value, big_endian);
                copy(element, &value.to_le_bytes(), false);
            }
        }
        image
    }

    /// Where element `n` belongs.
    fn place(&self, n: u8) -> Place {
        match self.places {
            Places::General { registers, .. } | Places::Scalar { registers } => {
                Place { register: pick(registers, n), lane: 0, kept: 0, copies: 1 }
            }
            Places::Lanes { first, structure, lanes } => {
                let (register, lane) = turn(first, structure, lanes, n);
                Place { register, lane, kept: lanes.wrapping_shl(u32::from(self.log2)), copies: 1 }
            }
            Places::Lane { first, lane } => {
                Place { register: nth(first, n), lane, kept: 16, copies: 1 }
            }
            Places::Replicated { first, lanes } => {
                Place { register: nth(first, n), lane: 0, kept: 0, copies: lanes }
            }
        }
    }

    /// The bytes of element `n`, of memory or of a register.
    const fn range(&self, n: u8) -> Range<usize> {
        let log2 = self.log2 as u32;
        (n as usize).wrapping_shl(log2)..(n as usize).wrapping_add(1).wrapping_shl(log2)
    }

    /// The access of one general register.
    fn access(&self, direction: Direction) -> Access {
        let (sign_extend, is_64bit) = match self.places {
            Places::General { sign_extend, is_64bit, .. } => (sign_extend, is_64bit),
            _ => (false, true),
        };
        let width = Width::from_log2(u64::from(self.log2));
        Access::new(direction, width, 0, sign_extend, is_64bit)
    }
}

/// Where one element belongs.
struct Place {
    register: u8,
    /// Counted in elements.
    lane: u8,
    /// How many of a vector register's lowest bytes stay when one of its lanes is loaded; the others
    /// become zero.
    kept: u8,
    /// How many lanes are loaded with it.
    copies: u8,
}

/// How many registers there are, and which.
const fn one_or_two(first: u8, second: Option<u8>) -> (u8, [u8; 2]) {
    match second {
        Some(second) => (2, [first, second]),
        None => (1, [first; 2]),
    }
}

/// How many elements a register of 16 or else 8 bytes has.
const fn lanes(log2: u8, is_128bit: bool) -> u8 {
    let bytes: u8 = if is_128bit { 16 } else { 8 };
    bytes.wrapping_shr(log2 as u32)
}

const fn pick([first, second]: [u8; 2], n: u8) -> u8 {
    if n == 0 { first } else { second }
}

/// The register `n` behind `first`; 0 follows 31.
const fn nth(first: u8, n: u8) -> u8 {
    first.wrapping_add(n) & 31
}

/// Register and lane of element `n`.
fn turn(first: u8, structure: u8, lanes: u8, n: u8) -> (u8, u8) {
    let row = n.checked_div(structure).unwrap_or(0);
    let column = n.checked_rem(structure).unwrap_or(0);
    let registers = row.checked_div(lanes).unwrap_or(0).saturating_add(column);
    (nth(first, registers), row.checked_rem(lanes).unwrap_or(0))
}

/// The number that `bytes`, at most 8, stand for, lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Fills `to` with the first of `from`, turned round if `reverse`.
fn copy(to: &mut [u8], from: &[u8], reverse: bool) {
    let (mut n, step) = if reverse { (to.len().wrapping_sub(1), usize::MAX) } else { (0, 1) };
    for to in to {
        *to = from.get(n).copied().unwrap_or(0);
        n = n.wrapping_add(step);
    }
}
