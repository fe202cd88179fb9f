//! What an instruction moves between registers and memory, byte for byte.

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
    elements: usize,
    /// log2 of an element's bytes, 0 to 4.
    log2: u32,
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
    Lanes { first: u8, structure: usize, lanes: usize },
    /// The same lane of the registers from `first` on.
    Lane { first: u8, lane: usize },
    /// Every lane of the registers from `first` on, `lanes` of each.
    Replicated { first: u8, lanes: usize },
}

impl Transfer {
    /// One general register, or two.
    pub(super) fn general(
        width: Width,
        first: u8,
        second: Option<u8>,
        sign_extend: bool,
        is_64bit: bool,
    ) -> Self {
        let registers = [first, second.unwrap_or(first)];
        let places = Places::General { registers, sign_extend, is_64bit };
        Self { elements: count(second), log2: width.bytes().trailing_zeros(), places }
    }

    /// One vector register as a scalar of `1 << log2` bytes, 1 to 16, or two.
    pub(super) fn scalar(log2: u32, first: u8, second: Option<u8>) -> Self {
        let places = Places::Scalar { registers: [first, second.unwrap_or(first)] };
        Self { elements: count(second), log2: log2.min(4), places }
    }

    /// `repeat` times `structure` registers, interleaved, of 16 or else 8 bytes. One of the two
    /// numbers is 1, neither is above 4.
    pub(super) fn structures(
        log2: u32,
        first: u8,
        repeat: usize,
        structure: usize,
        is_128bit: bool,
    ) -> Self {
        let lanes = lanes(log2, is_128bit);
        let elements = lanes.saturating_mul(repeat).saturating_mul(structure);
        Self { elements, log2, places: Places::Lanes { first, structure, lanes } }
    }

    /// One lane of 1 to 4 registers.
    pub(super) const fn lane(log2: u32, first: u8, registers: usize, lane: usize) -> Self {
        Self { elements: registers, log2, places: Places::Lane { first, lane } }
    }

    /// One element for each of 1 to 4 registers of 16 or else 8 bytes, repeated in all lanes.
    pub(super) fn replicated(log2: u32, first: u8, registers: usize, is_128bit: bool) -> Self {
        let places = Places::Replicated { first, lanes: lanes(log2, is_128bit) };
        Self { elements: registers, log2, places }
    }

    /// Bytes moved, 1 to 64.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.elements.wrapping_shl(self.log2)
    }

    /// The accesses that memory sees, lowest address first: offset and width. One of 16 bytes is
    /// two of 8.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, Width)> + use<> {
        let log2 = self.log2.min(3);
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
        let elements = image.chunks_exact(self.element_bytes()).take(self.elements);
        for (n, element) in elements.enumerate() {
            let value = number(element, big_endian);
            match self.places {
                Places::General { registers: numbers, .. } => {
                    let access = self.access(Direction::Read);
                    let [raw, _] = halves(number(element, false));
                    let value = load_result(&access, raw, big_endian);
                    registers.set_general(pick(numbers, n), value);
                }
                Places::Scalar { registers: numbers } => {
                    registers.set_vector(pick(numbers, n), value);
                }
                Places::Lanes { first, structure, lanes } => {
                    let (register, lane) = turn(first, structure, lanes, n);
                    let kept = registers.vector(register) & self.mask(lanes);
                    registers.set_vector(register, self.insert(kept, lane, value));
                }
                Places::Lane { first, lane } => {
                    let register = nth(first, n);
                    let kept = registers.vector(register);
                    registers.set_vector(register, self.insert(kept, lane, value));
                }
                Places::Replicated { first, lanes } => {
                    let whole = (0..lanes).fold(0, |whole, lane| self.insert(whole, lane, value));
                    registers.set_vector(nth(first, n), whole);
                }
            }
        }
    }

    /// What a store of the registers writes. `big_endian` is the guest's setting.
    pub fn store(&self, big_endian: bool, registers: &impl Registers) -> Image {
        let mut image = [0; MOST_BYTES];
        let elements = image.chunks_exact_mut(self.element_bytes()).take(self.elements);
        for (n, element) in elements.enumerate() {
            match self.places {
                Places::General { registers: numbers, .. } => {
                    let access = self.access(Direction::Write);
                    let value = registers.general(pick(numbers, n));
                    put(element, u128::from(store_value(&access, value, big_endian)), false);
                }
                Places::Scalar { registers: numbers } => {
                    put(element, registers.vector(pick(numbers, n)), big_endian);
                }
                Places::Lanes { first, structure, lanes } => {
                    let (register, lane) = turn(first, structure, lanes, n);
                    put(element, self.extract(registers.vector(register), lane), big_endian);
                }
                Places::Lane { first, lane } => {
                    let value = registers.vector(nth(first, n));
                    put(element, self.extract(value, lane), big_endian);
                }
                // There is no such store.
                Places::Replicated { .. } => {}
            }
        }
        image
    }

    fn element_bytes(&self) -> usize {
        1usize.wrapping_shl(self.log2)
    }

    /// The access of one general register.
    fn access(&self, direction: Direction) -> Access {
        let (sign_extend, is_64bit) = match self.places {
            Places::General { sign_extend, is_64bit, .. } => (sign_extend, is_64bit),
            _ => (false, true),
        };
        let width = Width::from_log2(u64::from(self.log2));
        Access { direction, width, register: 0, sign_extend, is_64bit }
    }

    /// All-ones in the lowest `lanes` lanes.
    fn mask(&self, lanes: usize) -> u128 {
        let bits = self.shift(lanes);
        u128::MAX.checked_shr(128u32.saturating_sub(bits)).unwrap_or(0)
    }

    /// Bits below lane `lane`.
    fn shift(&self, lane: usize) -> u32 {
        u32::try_from(lane).unwrap_or(0).wrapping_shl(self.log2).saturating_mul(8)
    }

    fn insert(&self, vector: u128, lane: usize, value: u128) -> u128 {
        let at = self.shift(lane);
        let mask = self.mask(1).checked_shl(at).unwrap_or(0);
        (vector & !mask) | (value.checked_shl(at).unwrap_or(0) & mask)
    }

    fn extract(&self, vector: u128, lane: usize) -> u128 {
        vector.checked_shr(self.shift(lane)).unwrap_or(0) & self.mask(1)
    }
}

fn count(second: Option<u8>) -> usize {
    if second.is_some() { 2 } else { 1 }
}

/// How many elements a register of 16 or else 8 bytes has.
const fn lanes(log2: u32, is_128bit: bool) -> usize {
    let bytes: usize = if is_128bit { 16 } else { 8 };
    bytes.wrapping_shr(log2)
}

const fn pick([first, second]: [u8; 2], n: usize) -> u8 {
    if n == 0 { first } else { second }
}

/// The register `n` behind `first`; 0 follows 31.
fn nth(first: u8, n: usize) -> u8 {
    first.wrapping_add(u8::try_from(n).unwrap_or(0)) & 31
}

/// Register and lane of element `n`.
fn turn(first: u8, structure: usize, lanes: usize, n: usize) -> (u8, usize) {
    let row = n.checked_div(structure).unwrap_or(0);
    let column = n.checked_rem(structure).unwrap_or(0);
    let registers = row.checked_div(lanes).unwrap_or(0).saturating_add(column);
    (nth(first, registers), row.checked_rem(lanes).unwrap_or(0))
}

/// The low and the high half of `value`.
const fn halves(value: u128) -> [u64; 2] {
    [(value & 0xffff_ffff_ffff_ffff) as u64, (value >> 64) as u64]
}

/// The number that `bytes`, at most 16, stand for.
fn number(bytes: &[u8], big_endian: bool) -> u128 {
    let push = |value: u128, byte: &u8| (value << 8) | u128::from(*byte);
    if big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
}

/// Writes `value` into `bytes`, at most 16.
fn put(bytes: &mut [u8], value: u128, big_endian: bool) {
    let value = value.to_le_bytes();
    if big_endian {
        bytes.iter_mut().rev().zip(value).for_each(|(to, from)| *to = from);
    } else {
        bytes.iter_mut().zip(value).for_each(|(to, from)| *to = from);
    }
}
