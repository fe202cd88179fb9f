//! Who called whom when EL2 crashed, by the call frame information of its ELF file.
//!
//! That says for each instruction how far above the stack pointer (or above x29, in functions that use it
//! so) the caller's stack pointer is, and where x29 and x30 were put (DWARF 5, 6.4; AAPCS64 DWARF,
//! 4.1). The crash report has the words of the stack that can be return addresses: the one at that place
//! is it, and the others are left over from earlier calls.
//!
//! The compiler describes small functions only from the end of their prologue on; within it the
//! instructions before are looked at.

use addr2line::gimli::{
    AArch64, BaseAddresses, CfaRule, EhFrame, EndianSlice, LittleEndian, Register, RegisterRule,
    UnwindContext, UnwindSection as _, UnwindTableRow,
};
use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, SectionKind};

use super::report::Report;
use crate::audit::insn::{self, Op};

/// More calls than fit on a stack.
const MOST: usize = 1000;

/// What the search came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Return addresses, the innermost function's caller first.
    pub callers: Vec<u64>,
    /// Words further up that follow a call, where the search could not go on.
    pub guesses: Vec<u64>,
}

/// Call frame information and code.
#[derive(Debug)]
pub struct Unwinder {
    information: Vec<u8>,
    /// Where that is linked, which its entries are relative to.
    base: u64,
    /// Pieces of code and where they are linked.
    code: Vec<(u64, Vec<u8>)>,
}

/// How a function's frame is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The most bytes between the stack pointer and the caller's, as far as told so.
    pub bytes: u64,
    /// In parts of the function the caller's is found from x29.
    pub is_by_x29: bool,
}

/// Registers of a function at one instruction.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// The instruction that is executed: in a caller, the call.
    pc: u64,
    sp: u64,
    fp: Option<u64>,
    /// x30, while it is known.
    lr: Option<u64>,
}

/// What is said of one instruction.
struct Rules {
    cfa: CfaRule<usize>,
    fp: Option<RegisterRule<usize>>,
    lr: Option<RegisterRule<usize>>,
    /// The function's first instruction, if this is one of its prologue.
    entry: Option<u64>,
}

impl Unwinder {
    /// Reads an ELF file.
    ///
    /// # Errors
    ///
    /// It is none, or has no call frame information.
    pub fn of(elf_file: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf_file).context("not an ELF file")?;
        let section = file.section_by_name(".eh_frame").context("no call frame information")?;
        let mut code = Vec::new();
        for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
            code.push((section.address(), section.data()?.to_vec()));
        }
        Ok(Self::new(section.data()?.to_vec(), section.address(), code))
    }

    fn new(information: Vec<u8>, base: u64, code: Vec<(u64, Vec<u8>)>) -> Self {
        Self { information, base, code }
    }

    /// Who called whom.
    pub fn chain(&self, report: &Report) -> Chain {
        let mut frame =
            Frame { pc: report.pc, sp: report.sp, fp: Some(report.fp), lr: Some(report.lr) };
        let mut callers = Vec::new();
        while callers.len() < MOST {
            match self.caller(&frame, report) {
                Step::Caller(address, caller) => {
                    callers.push(address);
                    frame = caller;
                }
                Step::End => return Chain { callers, guesses: Vec::new() },
                Step::Lost => break,
            }
        }
        let above = report.stack.range(frame.sp..).map(|(_, word)| word.address);
        Chain { callers, guesses: above.filter(|address| self.is_behind_call(*address)).collect() }
    }

    /// One step outward.
    fn caller(&self, frame: &Frame, report: &Report) -> Step {
        // Without a frame of its own.
        let leaf = || {
            let address = frame.lr.filter(|address| self.is_behind_call(*address))?;
            Some(Step::to(address, Frame { lr: None, ..*frame }))
        };
        let Some(rules) = self.rules(frame.pc) else {
            // Assembly has nothing above it; what is no code of ours was called by somebody.
            return if self.instruction(frame.pc).is_some() {
                Step::End
            } else {
                leaf().unwrap_or(Step::Lost)
            };
        };
        let cfa = match rules.cfa {
            CfaRule::RegisterAndOffset { register: AArch64::SP, offset } => frame
                .sp
                .checked_add_signed(offset)
                .and_then(|cfa| cfa.checked_add(self.pushed(&rules, frame.pc))),
            CfaRule::RegisterAndOffset { register: AArch64::X29, offset } => {
                frame.fp.and_then(|fp| fp.checked_add_signed(offset))
            }
            _ => None,
        };
        let Some(cfa) = cfa.filter(|cfa| *cfa >= frame.sp) else { return Step::Lost };
        let at = |offset: i64| cfa.checked_add_signed(offset);
        let address = match rules.lr {
            Some(RegisterRule::Offset(offset)) => {
                at(offset).and_then(|place| report.stack.get(&place)).map(|word| word.address)
            }
            _ => frame.lr,
        };
        let fp = match rules.fp {
            // The word above it is the return address, and the report has what is below one.
            Some(RegisterRule::Offset(offset)) => at(offset + 8)
                .and_then(|place| report.stack.get(&place))
                .and_then(|word| word.frame),
            _ => frame.fp,
        };
        match address.filter(|address| self.is_behind_call(*address)) {
            Some(address) => Step::to(address, Frame { pc: 0, sp: cfa, fp, lr: None }),
            // Perhaps the frame is already gone again, or never was, on the way through the function.
            None => leaf().unwrap_or(Step::Lost),
        }
    }

    /// What is said of the function whose first instruction is at `start`; `None` if nothing is.
    pub fn frame(&self, start: u64) -> Option<Extent> {
        let (section, bases) = self.section();
        let entry = section.fde_for_address(&bases, start, EhFrame::cie_from_offset).ok()?;
        let mut context = UnwindContext::new();
        let mut rows = entry.rows(&section, &bases, &mut context).ok()?;
        let mut extent = Extent { bytes: 0, is_by_x29: false };
        while let Some(row) = rows.next_row().ok()? {
            match *row.cfa() {
                CfaRule::RegisterAndOffset { register: AArch64::SP, offset } => {
                    extent.bytes = extent.bytes.max(u64::try_from(offset).ok()?);
                }
                CfaRule::RegisterAndOffset { register: AArch64::X29, .. } => {
                    extent.is_by_x29 = true
                }
                _ => return None,
            }
        }
        (entry.initial_address() == start).then_some(extent)
    }

    fn section(&self) -> (EhFrame<EndianSlice<'_, LittleEndian>>, BaseAddresses) {
        let mut section = EhFrame::new(&self.information, LittleEndian);
        section.set_address_size(8);
        (section, BaseAddresses::default().set_eh_frame(self.base))
    }

    /// What is said of the instruction at `pc`.
    fn rules(&self, pc: u64) -> Option<Rules> {
        let (section, bases) = self.section();
        let entry = section.fde_for_address(&bases, pc, EhFrame::cie_from_offset).ok()?;
        let mut context = UnwindContext::new();
        let row: &UnwindTableRow<usize> =
            entry.unwind_info_for_address(&section, &bases, &mut context, pc).ok()?;
        let rule = |register: Register| row.register(register);
        let first = entry.initial_address();
        Some(Rules {
            cfa: row.cfa().clone(),
            fp: rule(AArch64::X29),
            lr: rule(AArch64::X30),
            entry: (row.start_address() == first).then_some(first),
        })
    }

    /// Bytes that the prologue has put on the stack before `pc`, which the rules there do not know of.
    fn pushed(&self, rules: &Rules, pc: u64) -> u64 {
        let before = rules.entry.into_iter().flat_map(|entry| (entry..pc).step_by(4));
        let pushes = before.map(|at| match self.instruction(at) {
            Some(Op::Push(bytes)) => bytes,
            _ => 0,
        });
        pushes.sum()
    }

    fn instruction(&self, at: u64) -> Option<Op> {
        self.code.iter().find_map(|(start, bytes)| {
            let place = usize::try_from(at.checked_sub(*start)?).ok()?;
            let word = bytes.get(place..)?.first_chunk()?;
            Some(insn::decode(at, u32::from_le_bytes(*word)))
        })
    }

    fn is_behind_call(&self, address: u64) -> bool {
        let call = address.checked_sub(4).and_then(|call| self.instruction(call));
        matches!(call, Some(Op::Call(_) | Op::CallRegister))
    }
}

/// What is outside of a function.
enum Step {
    /// Another, by its return address.
    Caller(u64, Frame),
    /// The code that EL2 begins with.
    End,
    /// Nobody knows.
    Lost,
}

impl Step {
    /// To the call before `address`, with the registers of `frame`.
    fn to(address: u64, frame: Frame) -> Self {
        Self::Caller(address, Frame { pc: address.wrapping_sub(4), ..frame })
    }
}

#[cfg(test)]
#[path = "unwind_tests.rs"]
mod tests;
