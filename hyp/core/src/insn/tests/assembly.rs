//! Instructions carried out from their assembly source: an oracle that never sees an encoding.
#![expect(clippy::cast_possible_truncation, reason = "a register takes the low bits")]

use std::string::String;
use std::vec::Vec;

use super::machine::Machine;

/// What a source means beside its effect on registers and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Ordinary,
    Exclusive,
    Prefetch,
}

/// A register operand: its letter and its number; 31 is the zero register, `sp` is `('s', 99)`.
type Operand = (char, usize);

fn operand(text: &str) -> Operand {
    match text {
        "sp" => ('s', 99),
        "wzr" => ('w', 31),
        "xzr" => ('x', 31),
        _ => (text.chars().next().unwrap(), text[1..].parse().unwrap()),
    }
}

fn bytes_of((letter, _): Operand) -> usize {
    match letter {
        'b' => 1,
        'h' => 2,
        'w' | 's' => 4,
        'x' | 'd' => 8,
        'q' => 16,
        other => panic!("{other}"),
    }
}

impl Machine {
    fn read(&self, address: u64, size: usize) -> u128 {
        (0..size).fold(0, |value, n| {
            let at = if self.big_endian { size - 1 - n } else { n };
            value | u128::from(self.byte(address.wrapping_add(at as u64))) << (8 * n)
        })
    }

    fn write(&mut self, address: u64, size: usize, value: u128) {
        for n in 0..size {
            let at = if self.big_endian { size - 1 - n } else { n };
            self.written.insert(address.wrapping_add(at as u64), (value >> (8 * n)) as u8);
        }
    }

    fn get(&self, (letter, number): Operand) -> u128 {
        match (letter, number) {
            (_, 99) => u128::from(self.sp),
            ('w', 31) | ('x', 31) => 0,
            ('w', n) => u128::from(self.x[n] as u32),
            ('x', n) => u128::from(self.x[n]),
            (_, n) => {
                let size = bytes_of((letter, number));
                (0..size).fold(0, |value, i| value | u128::from(self.v[n][i]) << (8 * i))
            }
        }
    }

    fn set(&mut self, (letter, number): Operand, value: u128) {
        match (letter, number) {
            (_, 99) => self.sp = value as u64,
            ('w', 31) | ('x', 31) => {}
            ('w', n) => self.x[n] = u64::from(value as u32),
            ('x', n) => self.x[n] = value as u64,
            (_, n) => {
                let size = bytes_of((letter, number));
                self.v[n] = [0; 16];
                self.v[n][..size].copy_from_slice(&value.to_le_bytes()[..size]);
            }
        }
    }

    /// Lane `lane` of `size` bytes.
    fn lane(&mut self, register: usize, lane: usize, size: usize) -> &mut [u8] {
        &mut self.v[register % 32][lane * size..(lane + 1) * size]
    }
}

/// An addressing mode: the address, and the base register with its new value.
fn address(machine: &Machine, text: &str) -> (u64, Option<(Operand, u64)>) {
    if let Some(distance) = text.strip_prefix(". + ") {
        return (machine.pc.wrapping_add_signed(distance.parse().unwrap()), None);
    }
    let (inside, behind) = text.strip_prefix('[').unwrap().split_once(']').unwrap();
    let (base, offset) = inside.split_once(", ").unwrap_or((inside, "#0"));
    let base = operand(base);
    let start = machine.get(base) as u64;
    let at = start.wrapping_add(amount(machine, offset));
    match behind {
        "" => (at, None),
        "!" => (at, Some((base, at))),
        post => (start, Some((base, start.wrapping_add(amount(machine, &post[2..]))))),
    }
}

/// `#imm` or a register with its extension.
fn amount(machine: &Machine, text: &str) -> u64 {
    if let Some(immediate) = text.strip_prefix('#') {
        return immediate.parse::<i64>().unwrap() as u64;
    }
    let (register, how) = text.split_once(", ").unwrap_or((text, "lsl"));
    let value = machine.get(operand(register)) as u64;
    let (extend, shift) = how.split_once(" #").unwrap_or((how, "0"));
    let value = match extend {
        "lsl" | "sxtx" => value,
        "uxtw" => value & 0xffff_ffff,
        "sxtw" => i64::from(value as i32) as u64,
        other => panic!("{other}"),
    };
    value << shift.parse::<u32>().unwrap()
}

/// Carries out `source` on `machine`. Every register is read before one is written.
pub(super) fn execute(machine: &mut Machine, source: &str) -> Meaning {
    let (mnemonic, rest) = source.split_once(' ').unwrap();
    if mnemonic.starts_with("prf") {
        return Meaning::Prefetch;
    }
    if mnemonic.contains("xr") || mnemonic.contains("xp") {
        return Meaning::Exclusive;
    }
    let is_load = mnemonic.starts_with("ld");
    if let Some(list) = rest.strip_prefix('{') {
        structure(machine, is_load, mnemonic, list);
        return Meaning::Ordinary;
    }
    let at = rest.find(['[', '.']).unwrap();
    let registers: Vec<Operand> =
        rest[..at].split(", ").filter(|text| !text.is_empty()).map(operand).collect();
    let (address, writeback) = address(machine, &rest[at..]);
    if ["swp", "cas", "ldadd", "ldclr", "ldeor", "ldset", "ldsm", "ldum"]
        .iter()
        .any(|atomic| mnemonic.starts_with(atomic))
    {
        atomic(machine, mnemonic, &registers, address);
        return Meaning::Ordinary;
    }
    let (size, is_signed) = match mnemonic {
        "ldpsw" => (4, true),
        _ if registers.len() == 2 || bytes_of(registers[0]) == 16 => {
            (bytes_of(registers[0]), false)
        }
        _ if mnemonic.ends_with("sb") => (1, true),
        _ if mnemonic.ends_with("sh") => (2, true),
        _ if mnemonic.ends_with("sw") => (4, true),
        _ if mnemonic.ends_with('b') => (1, false),
        _ if mnemonic.ends_with('h') => (2, false),
        _ => (bytes_of(registers[0]), false),
    };
    let places = registers.iter().zip((0..).map(|n| address.wrapping_add(n * size as u64)));
    let old = machine.clone();
    for (&register, place) in places {
        if is_load {
            let value = old.read(place, size);
            let unused = 128 - 8 * size;
            let signed = ((value << unused) as i128 >> unused) as u128;
            machine.set(register, if is_signed { signed } else { value });
        } else {
            machine.write(place, size, old.get(register));
        }
    }
    if let Some((base, value)) = writeback {
        machine.set(base, u128::from(value));
    }
    Meaning::Ordinary
}

fn atomic(machine: &mut Machine, mnemonic: &str, registers: &[Operand], address: u64) {
    let size = match mnemonic.chars().last().unwrap() {
        'b' => 1,
        'h' => 2,
        _ => bytes_of(registers[0]),
    };
    let cut = |value: u128| value & (u128::MAX >> (128 - 8 * size));
    if mnemonic.starts_with("cas") {
        let half = registers.len() / 2;
        let (compared, new) = registers.split_at(half);
        let place = |n: usize| address.wrapping_add((n * size) as u64);
        let old: Vec<u128> = (0..half).map(|n| machine.read(place(n), size)).collect();
        if compared.iter().zip(&old).all(|(&register, old)| cut(machine.get(register)) == *old) {
            for (n, &register) in new.iter().enumerate() {
                let value = machine.get(register);
                machine.write(place(n), size, value);
            }
        }
        compared.iter().zip(old).for_each(|(&register, old)| machine.set(register, old));
        return;
    }
    let old = machine.read(address, size);
    let value = cut(machine.get(registers[0]));
    let sign = |value: u128| (value << (128 - 8 * size)) as i128;
    let new = match &mnemonic[..5.min(mnemonic.len())] {
        name if name.starts_with("swp") => value,
        "ldadd" => old.wrapping_add(value),
        "ldclr" => old & !value,
        "ldeor" => old ^ value,
        "ldset" => old | value,
        "ldsma" if sign(old) < sign(value) => value,
        "ldsmi" if sign(old) > sign(value) => value,
        "lduma" if old < value => value,
        "ldumi" if old > value => value,
        _ => old,
    };
    machine.write(address, size, new);
    machine.set(registers[1], old);
}

/// `ld3r`, `st2 {...}[1]` and so on; `rest` begins behind the brace.
fn structure(machine: &mut Machine, is_load: bool, mnemonic: &str, rest: &str) {
    let (list, mode) = rest.split_once('}').unwrap();
    let (index, mode) = match mode.strip_prefix('[') {
        Some(indexed) => {
            let (index, mode) = indexed.split_once(']').unwrap();
            (Some(index.parse::<usize>().unwrap()), mode)
        }
        None => (None, mode),
    };
    let mut names = list.split(", ").map(|name| name[1..].split_once('.').unwrap()).peekable();
    let arrangement = String::from(names.peek().unwrap().1);
    let registers: Vec<usize> = names.map(|(number, _)| number.parse().unwrap()).collect();
    let count: usize = mnemonic[2..3].parse().unwrap();
    let size = match arrangement.chars().last().unwrap() {
        'b' => 1,
        'h' => 2,
        's' => 4,
        _ => 8,
    };
    let lanes: usize = arrangement[..arrangement.len() - 1].parse().unwrap_or(0);
    let (mut at, writeback) = address(machine, mode.strip_prefix(", ").unwrap());
    // Pairs of register and lane in the order of memory.
    let order: Vec<(usize, usize)> = match index {
        Some(lane) => registers.iter().map(|&register| (register, lane)).collect(),
        None if mnemonic.ends_with('r') => {
            registers.iter().map(|&register| (register, 0)).collect()
        }
        None => registers
            .chunks(count)
            .flat_map(|group| {
                (0..lanes).flat_map(move |lane| group.iter().map(move |&register| (register, lane)))
            })
            .collect(),
    };
    if is_load && index.is_none() {
        registers.iter().for_each(|&register| machine.v[register] = [0; 16]);
    }
    for (register, lane) in order {
        if is_load {
            let value = machine.read(at, size).to_le_bytes();
            let copies = if mnemonic.ends_with('r') { 0..lanes } else { lane..lane + 1 };
            copies.for_each(|lane| {
                machine.lane(register, lane, size).copy_from_slice(&value[..size])
            });
        } else {
            let mut value = [0; 16];
            value[..size].copy_from_slice(machine.lane(register, lane, size));
            machine.write(at, size, u128::from_le_bytes(value));
        }
        at = at.wrapping_add(size as u64);
    }
    if let Some((base, value)) = writeback {
        machine.set(base, u128::from(value));
    }
}
