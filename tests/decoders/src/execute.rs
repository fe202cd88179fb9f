//! Carries out instructions on a [`Machine`]: once as the decoders' text says, once as hyp-core does.

use hyp_core::insn::{self, Image, MOST_BYTES, Registers, Transfer};

use crate::machine::Machine;
use crate::meaning::{Effect, Meaning, Moved, Operation};
use crate::operand::{Address, Base, Class, Extend, List, Mode, Offset, Register};

/// What an instruction means beside what it does to registers and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Ordinary,
    /// It is a hint: it does nothing.
    Prefetch,
    /// It is refused with the fault for exclusives.
    Exclusive,
}

impl Address {
    /// Where the access goes, and what the base register holds afterwards.
    #[must_use]
    pub fn resolve(&self, machine: &Machine) -> (u64, u64) {
        let base = match self.base {
            Base::General(number) => machine.general(number),
            Base::StackPointer => machine.sp,
            Base::Pc => machine.pc,
        };
        let offset = match self.offset {
            Offset::Bytes(bytes) => bytes.cast_unsigned(),
            Offset::Register { number, extend, shift } => {
                let value = machine.general(number);
                let value = match extend {
                    Extend::Whole => value,
                    Extend::Low => value % (1 << 32),
                    Extend::SignedLow if value & 1 << 31 != 0 => value | !0 << 32,
                    Extend::SignedLow => value % (1 << 32),
                };
                value << shift
            }
        };
        let sum = base.wrapping_add(offset);
        match self.mode {
            Mode::Offset => (sum, base),
            Mode::Pre => (sum, sum),
            Mode::Post => (base, sum),
        }
    }
}

fn low(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0)
}

fn sign_extended(value: u128, bytes: usize) -> u128 {
    let unused = 128 - 8 * u32::try_from(bytes).unwrap_or(16);
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}

fn get(machine: &Machine, register: Register) -> u128 {
    match register.class {
        Class::Vector(_) => machine.v[usize::from(register.number)],
        Class::W | Class::X => u128::from(machine.general(register.number)),
    }
}

fn set(machine: &mut Machine, register: Register, value: u128) {
    match register.class {
        Class::Vector(_) => machine.v[usize::from(register.number)] = value,
        Class::W => machine.set_general(register.number, low(value) % (1 << 32)),
        Class::X => machine.set_general(register.number, low(value)),
    }
}

/// Register and lane of each element, in the order of memory; a replicated one has the lane 0.
fn elements(list: &List, count: usize, is_replicated: bool) -> Vec<(u8, usize)> {
    if let Some(lane) = list.lane {
        return list.registers.iter().map(|&register| (register, lane)).collect();
    }
    let lanes = if is_replicated { 1 } else { list.lanes };
    let groups = list.registers.chunks(count);
    groups
        .flat_map(|group| {
            (0..lanes).flat_map(move |lane| group.iter().map(move |&register| (register, lane)))
        })
        .collect()
}

impl Meaning {
    /// Carries it out.
    pub fn execute(&self, machine: &mut Machine) -> Kind {
        let (mut at, base) = self.address.resolve(machine);
        match &self.effect {
            Effect::Prefetch => return Kind::Prefetch,
            Effect::Exclusive => return Kind::Exclusive,
            Effect::Load(Moved::Registers { registers, bytes, is_signed }) => {
                for &register in registers {
                    let value = machine.load(at, *bytes);
                    let value = if *is_signed { sign_extended(value, *bytes) } else { value };
                    set(machine, register, value);
                    at = at.wrapping_add(*bytes as u64);
                }
            }
            Effect::Store(Moved::Registers { registers, bytes, .. }) => {
                for &register in registers {
                    machine.store(at, *bytes, get(machine, register));
                    at = at.wrapping_add(*bytes as u64);
                }
            }
            Effect::Load(Moved::Structure { list, count, is_replicated }) => {
                load_structure(machine, at, list, *count, *is_replicated);
            }
            Effect::Store(Moved::Structure { list, count, .. }) => {
                for (register, lane) in elements(list, *count, false) {
                    let value = machine.v[usize::from(register)] >> (8 * list.element * lane);
                    machine.store(at, list.element, value);
                    at = at.wrapping_add(list.element as u64);
                }
            }
            Effect::Atomic { operation, bytes, operand, target } => {
                let old = machine.load(at, *bytes);
                let operand = machine.general(*operand);
                machine.store(at, *bytes, operation.combine(old, operand, *bytes));
                machine.set_general(*target, low(old));
            }
            Effect::CompareSwap { bytes, expected, new } => {
                let step = |n: usize| at.wrapping_add((n * bytes) as u64);
                let old: Vec<u128> =
                    (0..expected.len()).map(|n| machine.load(step(n), *bytes)).collect();
                let cut = |value: u64| u128::from(value) & (u128::MAX >> (128 - 8 * bytes));
                let is_same =
                    expected.iter().zip(&old).all(|(&n, old)| cut(machine.general(n)) == *old);
                if is_same {
                    for (n, &register) in new.iter().enumerate() {
                        machine.store(step(n), *bytes, machine.general(register).into());
                    }
                }
                for (&register, old) in expected.iter().zip(old) {
                    machine.set_general(register, low(old));
                }
            }
        }
        if self.writes_back() {
            match self.address.base {
                Base::General(number) => machine.set_general(number, base),
                Base::StackPointer => machine.sp = base,
                Base::Pc => {}
            }
        }
        Kind::Ordinary
    }

    /// What memory has to hold where a comparison is to succeed.
    #[must_use]
    pub fn expectation(&self, machine: &Machine) -> Vec<(u64, u8)> {
        let Effect::CompareSwap { bytes, expected, .. } = &self.effect else { return Vec::new() };
        let mut scratch = Machine { written: Vec::new(), ..machine.clone() };
        let (at, _) = self.address.resolve(machine);
        for (n, &register) in expected.iter().enumerate() {
            let value = machine.general(register).into();
            scratch.store(at.wrapping_add((n * bytes) as u64), *bytes, value);
        }
        scratch.written
    }
}

fn load_structure(machine: &mut Machine, at: u64, list: &List, count: usize, is_replicated: bool) {
    if list.lane.is_none() {
        for &register in &list.registers {
            machine.v[usize::from(register)] = 0;
        }
    }
    let mut at = at;
    let mask = u128::MAX >> (128 - 8 * list.element);
    for (register, lane) in elements(list, count, is_replicated) {
        let value = machine.load(at, list.element);
        let copies = if is_replicated { 0..list.lanes } else { lane..lane + 1 };
        for lane in copies {
            let shift = 8 * list.element * lane;
            let vector = &mut machine.v[usize::from(register)];
            *vector = *vector & !(mask << shift) | value << shift;
        }
        at = at.wrapping_add(list.element as u64);
    }
}

impl Operation {
    fn combine(self, old: u128, operand: u64, bytes: usize) -> u128 {
        let operand = u128::from(operand) & (u128::MAX >> (128 - 8 * bytes));
        let is_less =
            sign_extended(old, bytes).cast_signed() < sign_extended(operand, bytes).cast_signed();
        match self {
            Self::Add => old.wrapping_add(operand),
            Self::Clear => old & !operand,
            Self::Xor => old ^ operand,
            Self::Set => old | operand,
            Self::SignedMax if is_less => operand,
            Self::SignedMin if !is_less => operand,
            Self::SignedMax | Self::SignedMin => old,
            Self::UnsignedMax => old.max(operand),
            Self::UnsignedMin => old.min(operand),
            Self::Swap => operand,
        }
    }
}

fn bytes(transfer: &Transfer) -> impl Iterator<Item = usize> + use<> {
    transfer.pieces().flat_map(|(at, width)| {
        let bytes = width.mask().count_ones() as usize / 8;
        at..at + bytes
    })
}

fn load(machine: &mut Machine, at: u64, transfer: &Transfer) -> Image {
    let mut image = [0; MOST_BYTES];
    for n in bytes(transfer) {
        image[n] = machine.load_byte(at.wrapping_add(n as u64));
    }
    image
}

fn store(machine: &mut Machine, at: u64, transfer: &Transfer, image: &Image) {
    for n in bytes(transfer) {
        machine.store_byte(at.wrapping_add(n as u64), image[n]);
    }
}

/// Carries out `instruction` as the shell does.
pub fn perform(machine: &mut Machine, instruction: &insn::Instruction) -> Kind {
    let at = instruction.address.resolve(machine);
    let big_endian = machine.big_endian;
    match &instruction.effect {
        insn::Effect::Nothing => return Kind::Prefetch,
        insn::Effect::Exclusive => return Kind::Exclusive,
        insn::Effect::Load(transfer) => {
            let image = load(machine, at, transfer);
            transfer.load(&image, big_endian, machine);
        }
        insn::Effect::Store(transfer) => {
            let image = transfer.store(big_endian, machine);
            store(machine, at, transfer, &image);
        }
        insn::Effect::Atomic(atomic) => {
            let old = load(machine, at, &atomic.old);
            if let Some(new) = atomic.replacement(&old, big_endian, machine) {
                store(machine, at, &atomic.old, &new);
            }
            atomic.old.load(&old, big_endian, machine);
        }
    }
    instruction.address.write_back(machine);
    Kind::Ordinary
}
