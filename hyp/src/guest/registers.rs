//! A vCPU's registers for an instruction that EL2 carries out.

use hyp_core::insn::Registers;

use crate::arch::context::Frame;
use crate::arch::simd::Vectors;
use crate::arch::sysreg;

/// SPSR_EL2.M of EL1 on its own stack pointer.
const EL1H: u64 = 0b0_0101;

/// The registers of the vCPU that trapped on this CPU, x19 to x28 included.
pub(crate) struct GuestRegisters<'a> {
    frame: &'a mut Frame,
    /// Those that the instruction needs are here until [`GuestRegisters::finish`].
    vectors: Option<Vectors>,
    has_changed: bool,
}

impl<'a> GuestRegisters<'a> {
    /// The registers in `frame`, and in the hardware. `with_vectors` for an instruction that names
    /// vector registers.
    pub(crate) fn new(frame: &'a mut Frame, with_vectors: bool) -> Self {
        Self { frame, vectors: with_vectors.then(Vectors::read), has_changed: false }
    }

    /// Puts the vector registers back.
    pub(crate) fn finish(self) {
        if let Some(vectors) = self.vectors.filter(|_| self.has_changed) {
            vectors.write();
        }
    }

    fn is_on_sp_el1() -> bool {
        sysreg::spsr_el2() & 0x1f == EL1H
    }
}

impl Registers for GuestRegisters<'_> {
    fn general(&self, number: u8) -> u64 {
        self.frame.get(usize::from(number))
    }

    fn set_general(&mut self, number: u8, value: u64) {
        self.frame.set(usize::from(number), value);
    }

    fn stack_pointer(&self) -> u64 {
        if Self::is_on_sp_el1() { sysreg::sp_el1() } else { sysreg::sp_el0() }
    }

    fn set_stack_pointer(&mut self, value: u64) {
        if Self::is_on_sp_el1() {
            sysreg::set_sp_el1(value);
        } else {
            sysreg::set_sp_el0(value);
        }
    }

    fn vector(&self, number: u8) -> u128 {
        let vectors = self.vectors.as_ref();
        vectors.and_then(|all| all.0.get(usize::from(number))).copied().unwrap_or(0)
    }

    fn set_vector(&mut self, number: u8, value: u128) {
        let vectors = self.vectors.as_mut();
        if let Some(register) = vectors.and_then(|all| all.0.get_mut(usize::from(number))) {
            *register = value;
            self.has_changed = true;
        }
    }

    fn pc(&self) -> u64 {
        sysreg::elr_el2()
    }
}
