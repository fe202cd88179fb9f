//! Registers and memory that remember what an instruction did to them.

use hyp_core::insn::Registers;

/// A vCPU and its memory. Memory holds something at every address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// X0 to X30.
    pub x: [u64; 31],
    /// The stack pointer.
    pub sp: u64,
    /// V0 to V31.
    pub v: [u128; 32],
    /// Where the instruction is.
    pub pc: u64,
    /// Data is big-endian.
    pub big_endian: bool,
    /// What memory holds instead of noise: address and byte.
    pub planted: Vec<(u64, u8)>,
    /// Addresses of the bytes that were read, in the order of reading.
    pub read: Vec<u64>,
    /// Addresses of the bytes that were written, with the bytes.
    pub written: Vec<(u64, u8)>,
}

/// A well-mixed number for each `n`.
const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n ^ (n >> 32)
}

impl Machine {
    /// A machine whose registers differ from each other and from those of other seeds.
    #[must_use]
    pub fn new(seed: u64, big_endian: bool) -> Self {
        let number = |n: usize| mix(seed.wrapping_mul(0x1_0000).wrapping_add(n as u64 + 1));
        Self {
            x: core::array::from_fn(number),
            sp: number(31),
            v: core::array::from_fn(|n| {
                u128::from(number(100 + 2 * n)) << 64 | u128::from(number(101 + 2 * n))
            }),
            pc: number(32) & !3,
            big_endian,
            planted: Vec::new(),
            read: Vec::new(),
            written: Vec::new(),
        }
    }

    /// The byte that memory holds at `address`.
    pub fn load_byte(&mut self, address: u64) -> u8 {
        self.read.push(address);
        let planted = self.planted.iter().find(|(at, _)| *at == address);
        planted.map_or_else(|| mix(address).to_le_bytes()[3], |&(_, byte)| byte)
    }

    /// Stores `byte` at `address`.
    pub fn store_byte(&mut self, address: u64, byte: u8) {
        self.written.push((address, byte));
    }

    /// The number of `size` bytes, at most 16, at `address`.
    pub fn load(&mut self, address: u64, size: usize) -> u128 {
        (0..size).fold(0, |value, n| {
            let at = if self.big_endian { size - 1 - n } else { n };
            value | u128::from(self.load_byte(address.wrapping_add(at as u64))) << (8 * n)
        })
    }

    /// Stores the low `size` bytes, at most 16, of `value` at `address`.
    pub fn store(&mut self, address: u64, size: usize, value: u128) {
        for (n, byte) in value.to_le_bytes().into_iter().take(size).enumerate() {
            let at = if self.big_endian { size - 1 - n } else { n };
            self.store_byte(address.wrapping_add(at as u64), byte);
        }
    }
}

impl Registers for Machine {
    fn general(&self, number: u8) -> u64 {
        self.x.get(usize::from(number)).copied().unwrap_or(0)
    }

    fn set_general(&mut self, number: u8, value: u64) {
        if let Some(register) = self.x.get_mut(usize::from(number)) {
            *register = value;
        }
    }

    fn stack_pointer(&self) -> u64 {
        self.sp
    }

    fn set_stack_pointer(&mut self, value: u64) {
        self.sp = value;
    }

    fn vector(&self, number: u8) -> u128 {
        self.v[usize::from(number)]
    }

    fn set_vector(&mut self, number: u8, value: u128) {
        self.v[usize::from(number)] = value;
    }

    fn pc(&self) -> u64 {
        self.pc
    }
}
