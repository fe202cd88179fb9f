//! What an instruction sees of a vCPU.

/// The register number that stands for the stack pointer in a base and for zero in a transfer.
pub const REGISTER_31: u8 = 31;

/// The registers of the vCPU whose instruction is carried out.
pub trait Registers {
    /// X`number`, 0 to 31; [`REGISTER_31`] reads as zero.
    fn general(&self, number: u8) -> u64;
    /// Writes X`number`; what is written to [`REGISTER_31`] vanishes.
    fn set_general(&mut self, number: u8, value: u64);
    /// The stack pointer that PSTATE.SP selects.
    fn stack_pointer(&self) -> u64;
    /// Writes that stack pointer.
    fn set_stack_pointer(&mut self, value: u64);
    /// V`number`, 0 to 31.
    fn vector(&self, number: u8) -> u128;
    /// Writes all of V`number`, 0 to 31.
    fn set_vector(&mut self, number: u8, value: u128);
    /// Address of the instruction.
    fn pc(&self) -> u64;
}
