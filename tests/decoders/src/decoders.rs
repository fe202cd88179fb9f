//! The decoders of others.

use std::fmt::Write;

use capstone::arch::BuildsCapstone;
use capstone::{Capstone, arch};
use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Instruction};

/// Two decoders.
pub struct Decoders {
    capstone: Capstone,
    yaxpeax: InstDecoder,
    instruction: Instruction,
}

impl Decoders {
    /// Both, ready for use.
    ///
    /// # Errors
    ///
    /// Says why capstone cannot be had.
    pub fn new() -> Result<Self, String> {
        let capstone = Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build();
        Ok(Self {
            capstone: capstone.map_err(|error| format!("capstone: {error}"))?,
            yaxpeax: InstDecoder::default(),
            instruction: Instruction::default(),
        })
    }

    /// What capstone and yaxpeax say of `word` at address 0, in this order; `None` where one says
    /// that it is no instruction.
    pub fn texts(&mut self, word: u32) -> [Option<String>; 2] {
        let bytes = word.to_le_bytes();
        let capstone = self.capstone.disasm_count(&bytes, 0, 1).ok().and_then(|found| {
            let instruction = found.iter().next()?;
            Some(format!("{} {}", instruction.mnemonic()?, instruction.op_str()?))
        });
        let mut reader = U8Reader::new(&bytes);
        let yaxpeax =
            self.yaxpeax.decode_into(&mut self.instruction, &mut reader).ok().and_then(|()| {
                let mut text = String::new();
                write!(text, "{}", self.instruction).ok()?;
                Some(text)
            });
        [capstone, yaxpeax]
    }
}
