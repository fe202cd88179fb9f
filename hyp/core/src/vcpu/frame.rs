//! The registers of a vCPU that the entry to EL2 saves.

/// x0 to x30 while EL2 runs for the vCPU, PC and PSTATE while the vCPU is not loaded.
///
/// The entry code knows the layout: see `hyp/src/arch/vectors.s`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Frame {
    /// x0 to x30. In the handlers of calls and interrupts x19 to x28 are stale.
    pub x: [u64; 31],
    /// What the entry code needs: the stack of the CPU that has the vCPU loaded.
    pub stack: u64,
    /// Where the guest goes on. In ELR_EL2 while the vCPU is loaded.
    pub pc: u64,
    /// PSTATE with which it does, as an SPSR. In SPSR_EL2 while the vCPU is loaded.
    pub pstate: u64,
}

impl Frame {
    /// All registers zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { x: [0; 31], stack: 0, pc: 0, pstate: 0 }
    }

    /// Register `index` as an instruction's operand: 31 is the zero register.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> u64 {
        self.x.get(index).copied().unwrap_or(0)
    }

    /// Sets register `index`; writes to 31 vanish.
    #[inline]
    pub fn set(&mut self, index: usize, value: u64) {
        if let Some(register) = self.x.get_mut(index) {
            *register = value;
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}
