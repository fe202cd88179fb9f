//! Operands of an instruction in assembly text, in any of the decoders' dialects.

/// The kinds of registers, by the letter of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// W: 32 bits of a general register.
    W,
    /// X: a general register.
    X,
    /// B, H, S, D or Q: that many bytes of a vector register.
    Vector(usize),
}

impl Class {
    /// Bytes of a register of that kind.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::W => 4,
            Self::X => 8,
            Self::Vector(bytes) => bytes,
        }
    }
}

/// A register; number 31 of a general class is the zero register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// Its kind.
    pub class: Class,
    /// Its number.
    pub number: u8,
}

/// What an address starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// X0 to X30.
    General(u8),
    /// The stack pointer.
    StackPointer,
    /// The instruction.
    Pc,
}

/// What is added to a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    /// Bytes.
    Bytes(i64),
    /// A register: the low 32 bits with their sign, the low 32 bits, or all of it, shifted left.
    Register {
        /// Its number; 31 is zero.
        number: u8,
        /// What of it.
        extend: Extend,
        /// By how many bits.
        shift: u32,
    },
}

/// How a register becomes an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extend {
    /// UXTW.
    Low,
    /// SXTW.
    SignedLow,
    /// LSL and SXTX.
    Whole,
}

/// When the base register changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Never.
    Offset,
    /// Before the access.
    Pre,
    /// After it.
    Post,
}

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// What it starts from.
    pub base: Base,
    /// What is added.
    pub offset: Offset,
    /// When.
    pub mode: Mode,
}

/// Vector registers in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Their numbers.
    pub registers: Vec<u8>,
    /// Bytes of an element.
    pub element: usize,
    /// Elements of a register; 0 where a lane is named.
    pub lanes: usize,
    /// The lane.
    pub lane: Option<usize>,
}

/// One operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Register(Register),
    /// Registers in braces.
    List(List),
    /// The address.
    Address(Address),
    /// Anything else: what a prefetch is for.
    Other,
}

fn register(text: &str) -> Option<Register> {
    let class = match text.chars().next()? {
        'w' => Class::W,
        'x' => Class::X,
        'b' => Class::Vector(1),
        'h' => Class::Vector(2),
        's' => Class::Vector(4),
        'd' => Class::Vector(8),
        'q' => Class::Vector(16),
        _ => return None,
    };
    let number = match (class, text.get(1..)?) {
        (Class::W | Class::X, "zr") => 31,
        (_, number) => number.parse().ok().filter(|&n| n < 32)?,
    };
    Some(Register { class, number })
}

fn base(text: &str) -> Option<Base> {
    match (text, register(text)) {
        ("sp", _) => Some(Base::StackPointer),
        (_, Some(Register { class: Class::X, number: number @ 0..31 })) => {
            Some(Base::General(number))
        }
        _ => None,
    }
}

/// `#8`, `#-0x10`, `$+0x8`, `$-8`.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('#').or_else(|| text.strip_prefix('$'))?;
    let (is_negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let value = value.cast_signed();
    Some(if is_negative { value.wrapping_neg() } else { value })
}

/// A register offset: `x1`, `x1, lsl #3`, `w1, sxtw`.
fn index(text: &str) -> Option<Offset> {
    let mut parts = text.split(", ");
    let Register { class, number } = register(parts.next()?)?;
    let (extend, shift) = match parts.next() {
        None => ("lsl", 0),
        Some(extend) => match extend.split_once(' ') {
            Some((extend, shift)) => (extend, u32::try_from(self::number(shift)?).ok()?),
            None => (extend, 0),
        },
    };
    let extend = match (extend, class) {
        ("lsl" | "sxtx", Class::X) => Extend::Whole,
        ("uxtw", Class::W) => Extend::Low,
        ("sxtw", Class::W) => Extend::SignedLow,
        _ => return None,
    };
    Some(Offset::Register { number, extend, shift })
}

fn offset(text: &str) -> Option<Offset> {
    number(text).map(Offset::Bytes).or_else(|| index(text))
}

/// `[x1]`, `[x1, #4]!`, `[x1], x2` and so on.
fn address(text: &str) -> Option<Address> {
    let (inside, behind) = text.strip_prefix('[')?.split_once(']')?;
    let (base, inside) = match inside.split_once(", ") {
        Some((base, offset)) => (base, Some(offset)),
        None => (inside, None),
    };
    let base = self::base(base)?;
    let (offset, mode) = match (inside, behind) {
        (None, "") => (Offset::Bytes(0), Mode::Offset),
        (Some(inside), "") => (offset(inside)?, Mode::Offset),
        (None, "!") => (Offset::Bytes(0), Mode::Pre),
        (Some(inside), "!") => (offset(inside)?, Mode::Pre),
        (None, behind) => (offset(behind.strip_prefix(", ")?)?, Mode::Post),
        _ => return None,
    };
    Some(Address { base, offset, mode })
}

/// `{v0.2d, v1.2d}` and `{v0.b}[1]`; answers what follows, too.
fn list(text: &str) -> Option<(List, &str)> {
    let (inside, behind) = text.strip_prefix('{')?.split_once('}')?;
    let mut registers = Vec::new();
    let mut arrangement = "";
    for name in inside.split(", ") {
        let (number, this) = name.trim().strip_prefix('v')?.split_once('.')?;
        if !registers.is_empty() && this != arrangement {
            return None;
        }
        arrangement = this;
        registers.push(number.parse().ok()?);
    }
    let element = match arrangement.chars().last()? {
        'b' => 1,
        'h' => 2,
        's' => 4,
        'd' => 8,
        _ => return None,
    };
    let lanes = arrangement.get(..arrangement.len() - 1)?.parse().unwrap_or(0);
    let (lane, behind) = match behind.strip_prefix('[') {
        Some(lane) => {
            let (lane, behind) = lane.split_once(']')?;
            let lane = self::number(&format!("#{lane}"))?;
            (Some(usize::try_from(lane).ok()?), behind)
        }
        None => (None, behind),
    };
    Some((List { registers, element, lanes, lane }, behind))
}

/// The operands in `text`; the address is the last of them. `None` for what is not understood.
#[must_use]
pub(crate) fn operands(text: &str) -> Option<Vec<Operand>> {
    let mut operands = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if rest.starts_with('[') {
            operands.push(Operand::Address(address(rest)?));
            break;
        }
        if rest.starts_with('{') {
            let (list, behind) = list(rest)?;
            operands.push(Operand::List(list));
            rest = behind.trim_start_matches([',', ' ']);
            continue;
        }
        let (this, behind) = rest.split_once(", ").unwrap_or((rest, ""));
        operands.push(match (register(this), number(this)) {
            (Some(register), _) => Operand::Register(register),
            // A number at the end is an address, of a literal.
            (None, Some(bytes)) if behind.is_empty() => Operand::Address(Address {
                base: Base::Pc,
                offset: Offset::Bytes(bytes),
                mode: Mode::Offset,
            }),
            _ => Operand::Other,
        });
        rest = behind;
    }
    Some(operands)
}
