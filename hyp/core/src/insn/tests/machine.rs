//! Registers and memory that remember what was done to them.

use std::collections::BTreeMap;

use crate::insn::Registers;

/// A vCPU and its memory. Memory holds something at every address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) x: [u64; 31],
    pub(super) sp: u64,
    pub(super) v: [[u8; 16]; 32],
    pub(super) pc: u64,
    pub(super) big_endian: bool,
    pub(super) written: BTreeMap<u64, u8>,
}

/// A well-mixed number for each `n`.
pub(super) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n ^ (n >> 32)
}

impl Machine {
    pub(super) fn new(seed: u64, big_endian: bool) -> Self {
        Self {
            x: core::array::from_fn(|n| mix(seed + n as u64)),
            sp: mix(seed + 31) & !15,
            v: core::array::from_fn(|n| {
                let half = |m| mix(seed + 100 + 2 * n as u64 + m).to_le_bytes();
                core::array::from_fn(
                    |byte| if byte < 8 { half(0)[byte] } else { half(1)[byte - 8] },
                )
            }),
            pc: mix(seed + 32) & !3,
            big_endian,
            written: BTreeMap::new(),
        }
    }

    pub(super) fn byte(&self, address: u64) -> u8 {
        self.written.get(&address).copied().unwrap_or_else(|| mix(address).to_le_bytes()[3])
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
        u128::from_le_bytes(self.v[usize::from(number)])
    }

    fn set_vector(&mut self, number: u8, value: u128) {
        self.v[usize::from(number)] = value.to_le_bytes();
    }

    fn pc(&self) -> u64 {
        self.pc
    }
}
