//! What an instruction in assembly text does with memory.

use crate::operand::{Address, Class, List, Mode, Register};

/// What an instruction does, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// What.
    pub effect: Effect,
    /// Where.
    pub address: Address,
}

/// What an instruction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A hint.
    Prefetch,
    /// An exclusive access.
    Exclusive,
    /// Memory to registers.
    Load(Moved),
    /// Registers to memory.
    Store(Moved),
    /// Memory to `target`, and memory with `operand` to memory.
    Atomic {
        /// How the two are combined.
        operation: Operation,
        /// Bytes of memory.
        bytes: usize,
        /// A general register.
        operand: u8,
        /// Another.
        target: u8,
    },
    /// `new` to memory if that is as `expected`; memory to `expected`.
    CompareSwap {
        /// Bytes of memory for each register.
        bytes: usize,
        /// One or two general registers.
        expected: Vec<u8>,
        /// As many.
        new: Vec<u8>,
    },
}

/// The registers of a load or store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// One after the other.
    Registers {
        /// Which.
        registers: Vec<Register>,
        /// Bytes of memory for each.
        bytes: usize,
        /// Whether a load copies the sign.
        is_signed: bool,
    },
    /// Elements of vectors.
    Structure {
        /// Which.
        list: List,
        /// How many elements belong together.
        count: usize,
        /// Whether each goes to all lanes.
        is_replicated: bool,
    },
}

/// What an atomic does (DDI 0487, C3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// LDADD.
    Add,
    /// LDCLR.
    Clear,
    /// LDEOR.
    Xor,
    /// LDSET.
    Set,
    /// LDSMAX.
    SignedMax,
    /// LDSMIN.
    SignedMin,
    /// LDUMAX.
    UnsignedMax,
    /// LDUMIN.
    UnsignedMin,
    /// SWP.
    Swap,
}

const OPERATIONS: [(&str, Operation); 8] = [
    ("add", Operation::Add),
    ("clr", Operation::Clear),
    ("eor", Operation::Xor),
    ("set", Operation::Set),
    ("smax", Operation::SignedMax),
    ("smin", Operation::SignedMin),
    ("umax", Operation::UnsignedMax),
    ("umin", Operation::UnsignedMin),
];

/// Loads and stores of one register; a suffix for the size follows. A stem that begins as another
/// one stands before it.
const SINGLE: [(&str, bool); 13] = [
    ("ldapur", true),
    ("ldapr", true),
    ("ldlar", true),
    ("ldar", true),
    ("ldtr", true),
    ("ldur", true),
    ("ldr", true),
    ("stllr", false),
    ("stlur", false),
    ("stlr", false),
    ("sttr", false),
    ("stur", false),
    ("str", false),
];

/// Bytes and whether there is a sign.
fn suffix(suffix: &str, register: Register) -> Option<(usize, bool)> {
    match (suffix, register.class) {
        ("", class) => Some((class.bytes(), false)),
        (_, Class::Vector(_)) => None,
        ("b", Class::W) => Some((1, false)),
        ("h", Class::W) => Some((2, false)),
        ("sb", _) => Some((1, true)),
        ("sh", _) => Some((2, true)),
        ("sw", Class::X) => Some((4, true)),
        _ => None,
    }
}

/// `""`, `"a"`, `"l"` or `"al"`, then `""`, `"b"` or `"h"`: the size of an atomic on `register`.
fn ordered(text: &str, register: Register) -> Option<usize> {
    let size = ["al", "a", "l"].iter().find_map(|o| text.strip_prefix(o)).unwrap_or(text);
    match (size, register.class) {
        ("", Class::W | Class::X) => Some(register.class.bytes()),
        ("b", Class::W) => Some(1),
        ("h", Class::W) => Some(2),
        _ => None,
    }
}

fn structure(mnemonic: &str, list: &List) -> Option<Effect> {
    let (is_load, rest) = match mnemonic.strip_prefix("ld") {
        Some(rest) => (true, rest),
        None => (false, mnemonic.strip_prefix("st")?),
    };
    let (count, is_replicated) = match rest.strip_suffix('r') {
        Some(count) => (count, true),
        None => (rest, false),
    };
    let count = count.parse().ok().filter(|count| (1..=4).contains(count))?;
    // A lane, or a load to all of them, has as many registers as the structure has elements; of
    // whole registers the structures of one element have up to four.
    let registers = list.registers.len();
    if registers != count && (count != 1 || list.lane.is_some() || is_replicated) {
        return None;
    }
    let moved = Moved::Structure { list: list.clone(), count, is_replicated };
    Some(if is_load { Effect::Load(moved) } else { Effect::Store(moved) })
}

fn atomic(mnemonic: &str, registers: &[Register]) -> Option<Effect> {
    let (&first, last) = (registers.first()?, registers.last()?);
    let numbers = |registers: &[Register]| registers.iter().map(|r| r.number).collect::<Vec<u8>>();
    if let Some(order) = mnemonic.strip_prefix("casp") {
        let bytes = ordered(order, first).filter(|_| registers.len() == 4)?;
        let (expected, new) = registers.split_at(2);
        return Some(Effect::CompareSwap { bytes, expected: numbers(expected), new: numbers(new) });
    }
    let bytes = |order| ordered(order, first);
    let atomic = |operation, order, target| {
        let (bytes, operand) = (bytes(order)?, first.number);
        Some(Effect::Atomic { operation, bytes, operand, target })
    };
    match (registers.len(), mnemonic.split_at_checked(2)?) {
        (2, ("ca", rest)) => {
            let bytes = bytes(rest.strip_prefix('s')?)?;
            let (expected, new) = (vec![first.number], vec![last.number]);
            Some(Effect::CompareSwap { bytes, expected, new })
        }
        (2, ("sw", rest)) => atomic(Operation::Swap, rest.strip_prefix('p')?, last.number),
        // STADD is LDADD to the zero register, and so on.
        (count @ (1 | 2), (kind, rest)) if kind == if count == 2 { "ld" } else { "st" } => {
            let (operation, order) = OPERATIONS
                .iter()
                .find_map(|(name, operation)| Some((*operation, rest.strip_prefix(name)?)))?;
            atomic(operation, order, if count == 2 { last.number } else { 31 })
        }
        _ => None,
    }
}

pub(crate) fn effect(
    mnemonic: &str,
    registers: &[Register],
    list: Option<&List>,
) -> Option<Effect> {
    if ["prfm", "prfum", "rprfm"].contains(&mnemonic) {
        return Some(Effect::Prefetch);
    }
    if ["ldxr", "ldaxr", "stxr", "stlxr", "ldxp", "ldaxp", "stxp", "stlxp"]
        .iter()
        .any(|stem| mnemonic.strip_prefix(stem).is_some_and(|size| ["", "b", "h"].contains(&size)))
    {
        return Some(Effect::Exclusive);
    }
    if let Some(list) = list {
        return structure(mnemonic, list);
    }
    let first = *registers.first()?;
    let moved = |bytes, is_signed, is_load| {
        let moved = Moved::Registers { registers: registers.to_vec(), bytes, is_signed };
        Some(if is_load { Effect::Load(moved) } else { Effect::Store(moved) })
    };
    match mnemonic {
        "ldp" | "ldnp" => return moved(first.class.bytes(), false, true),
        "stp" | "stnp" => return moved(first.class.bytes(), false, false),
        "ldpsw" => return moved(4, true, true),
        _ => {}
    }
    let single = SINGLE.iter().find_map(|&(stem, is_load)| {
        let (bytes, is_signed) = suffix(mnemonic.strip_prefix(stem)?, first)?;
        moved(bytes, is_signed, is_load).filter(|_| !is_signed || is_load)
    });
    single.filter(|_| registers.len() == 1).or_else(|| atomic(mnemonic, registers))
}

impl Meaning {
    /// Whether the base register changes.
    #[must_use]
    pub fn writes_back(&self) -> bool {
        self.address.mode != Mode::Offset
    }
}
