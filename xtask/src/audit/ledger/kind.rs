//! What kind of thing has to be true of something unsafe.

/// An obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A function or trait says what its users must see to.
    Contract,
    /// A call of a function with a contract.
    Call,
    /// Instructions that the compiler does not know.
    Instruction,
    /// Memory or device registers by their address.
    Memory,
    /// A type keeps the promise of a trait.
    Promise,
    /// A name that the linker sees.
    Name,
}

/// What reads or writes through a pointer, or makes a reference of one.
const MEMORY: &[&str] = &[
    "&*",
    "&mut *",
    "as_mut(",
    "as_mut_slice(",
    "as_ref(",
    "byte_add(",
    "copy_nonoverlapping",
    "from_raw_parts",
    "from_utf8_unchecked",
    "offset(",
    "read_volatile",
    ".read(",
    ".read_unaligned(",
    "transmute",
    "write_bytes",
    "write_volatile",
    ".write(",
    "new_unchecked",
    ".add(",
];

impl Kind {
    /// All of them in the order of the document.
    pub const ALL: [Self; 6] =
        [Self::Contract, Self::Call, Self::Instruction, Self::Memory, Self::Promise, Self::Name];

    /// That of a block with this source.
    pub fn of_block(source: &str) -> Self {
        let dense: String = source.split_whitespace().collect();
        if dense.contains("asm!(") {
            Self::Instruction
        } else if MEMORY.iter().any(|word| dense.contains(&word.replace(' ', ""))) {
            Self::Memory
        } else {
            Self::Call
        }
    }

    /// Heading and explanation.
    pub const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Contract => (
                "Contracts",
                "Functions that ask something of their callers. Each says what, and each call of one \
                 is in the next list.",
            ),
            Self::Call => (
                "Calls of functions with a contract",
                "The claim says why the contract is kept here.",
            ),
            Self::Instruction => (
                "Instructions",
                "Assembly. The claim says what an instruction touches, and why nothing that the \
                 compiler believes becomes untrue.",
            ),
            Self::Memory => (
                "Memory by its address",
                "Pointers that are followed: the claim says what is mapped there, who else may touch \
                 it and for how long.",
            ),
            Self::Promise => {
                ("Promises about types", "Traits that other code relies on for its own safety.")
            }
            Self::Name => (
                "Names for the linker",
                "A name that is taken twice, or that is not what others believe, breaks the program \
                 without a word from the compiler.",
            ),
        }
    }
}
