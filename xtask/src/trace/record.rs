//! Records of a trace, taken apart.

use std::mem;

use hyp_abi::trace::{EL0, Kind, RECORD_WORDS, Range, Stop};
use hyp_core::console::Plain;
use hyp_core::events::{Reason, Touch};

/// A record as it lies in memory.
pub type Words = [u64; RECORD_WORDS];

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Ticks of the counter.
    pub time: u64,
    /// The CPU that wrote it.
    pub cpu: u8,
    /// The VM.
    pub vm: u8,
    /// Its vCPU.
    pub vcpu: u8,
    /// The instruction.
    pub pc: u64,
    /// Whether it is a process's, at EL0.
    pub is_el0: bool,
    /// VBAR_EL1 of that vCPU, if it is known.
    pub vectors: Option<u64>,
    /// Who called the function: x30, then return addresses, innermost first.
    pub callers: Vec<u64>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    VmMade {
        entry: u64,
        tree: u64,
        vcpus: u8,
        list_2021: bool,
        guard: bool,
        type_word: u64,
    },
    VmName(String),
    VmRange {
        base: u64,
        bytes: u64,
        range: Range,
    },
    VmStopped(Stop),
    VmReset {
        count: u64,
    },
    VcpuOn {
        x0: u64,
    },
    VcpuOff,
    Call(Call),
    Refused {
        ipa: u64,
        va: u64,
        reason: Reason,
        touch: Touch,
        bytes: u8,
        esr: u64,
    },
    Undefined {
        esr: u64,
    },
    Populated {
        ipa: u64,
        va: u64,
    },
    DeviceUsed {
        ipa: u64,
        is_store: bool,
        bytes: u64,
        value: u64,
        is_guarded: bool,
    },
    DeviceMapped {
        ipa: u64,
    },
    Counts(Counts),
    Crash {
        esr: u64,
        far: u64,
        lr: u64,
    },
    /// From an EL2 of another revision.
    Unknown {
        kind: u8,
        arguments: [u64; 5],
    },
}

/// A hypercall and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// W0.
    pub function: u32,
    /// x1 to x3.
    pub registers: [u64; 3],
    /// Answer in x0.
    pub x0: u64,
    /// Low half of the answer in x1.
    pub x1: u32,
}

/// What a CPU did in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub calls: u32,
    pub emulated: u32,
    pub sgis: u32,
    pub registers: u32,
    pub timers: u32,
    pub kicks: u32,
    pub maintenance: u32,
    pub others: u32,
    /// How much time.
    pub ticks: u32,
}

/// Low and high half.
fn halves(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// Number of a record on its CPU, modulo 2^32.
pub fn number(words: &Words) -> u32 {
    halves(words[0]).1
}

/// The records of one CPU, in the order in which it wrote them.
pub fn decode(stream: &[Words]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut vectors = None;
    let mut before = None;
    for words in stream {
        let number = number(words);
        let is_next = before.is_some_and(|before: u32| before.wrapping_add(1) == number);
        before = Some(number);
        let [head, time, pc, arguments @ ..] = *words;
        let [kind, vm, vcpu, cpu, ..] = head.to_le_bytes();
        let [a, b, c, d, e] = arguments;
        let kind_known = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
        if kind_known == Some(Kind::Vectors) {
            vectors = Some(a);
            continue;
        }
        if kind_known == Some(Kind::Callers) {
            // Of a call that was lost otherwise.
            if let Some(call) = records.last_mut().filter(|last| is_next && last.pc == pc) {
                call.callers.extend(arguments.into_iter().take_while(|address| *address != 0));
            }
            continue;
        }
        let what = kind_known.and_then(|kind| known(kind, [a, b, c, d, e]));
        let what = what.unwrap_or(What::Unknown { kind, arguments });
        let (is_el0, vcpu) = (vcpu & EL0 != 0, vcpu & !EL0);
        let callers = Vec::new();
        records.push(Record { time, cpu, vm, vcpu, pc, is_el0, vectors, callers, what });
    }
    // A kernel's first records stand before the one that tells where its vectors are.
    if let Some(first) = records.iter().find_map(|record| record.vectors) {
        for record in records.iter_mut().take_while(|record| record.vectors.is_none()) {
            record.vectors = Some(first);
        }
    }
    records
}

fn known(kind: Kind, [a, b, c, d, e]: [u64; 5]) -> Option<What> {
    let [c0, c1, c2, ..] = c.to_le_bytes();
    Some(match kind {
        Kind::VmMade => What::VmMade {
            entry: a,
            tree: b,
            vcpus: c0,
            list_2021: c1 & 1 != 0,
            guard: c1 & 2 != 0,
            type_word: d,
        },
        Kind::VmName => {
            let bytes: Vec<u8> = [a, b, c, d]
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .take_while(|b| *b != 0)
                .collect();
            What::VmName(Plain(&bytes).to_string())
        }
        Kind::VmRange => What::VmRange { base: a, bytes: b, range: range(c0)? },
        Kind::VmStopped => What::VmStopped(match a {
            1 => Stop::Off,
            2 => Stop::Reset,
            3 => Stop::Crash,
            _ => return None,
        }),
        Kind::VmReset => What::VmReset { count: a },
        Kind::VcpuOn => What::VcpuOn { x0: a },
        Kind::VcpuOff => What::VcpuOff,
        Kind::Call => {
            let (function, x1) = halves(a);
            What::Call(Call { function, registers: [b, c, d], x0: e, x1 })
        }
        Kind::Refused => What::Refused {
            ipa: a,
            va: b,
            reason: Reason::from_code(c0)?,
            touch: Touch::from_code(c1)?,
            bytes: c2,
            esr: d,
        },
        Kind::Undefined => What::Undefined { esr: a },
        Kind::Populated => What::Populated { ipa: a, va: b },
        Kind::DeviceUsed => {
            What::DeviceUsed { ipa: a, is_store: b != 0, bytes: c, value: d, is_guarded: e != 0 }
        }
        Kind::DeviceMapped => What::DeviceMapped { ipa: a },
        Kind::Counts => {
            let (calls, emulated) = halves(a);
            let (sgis, registers) = halves(b);
            let (timers, kicks) = halves(c);
            let (maintenance, others) = halves(d);
            let (ticks, _) = halves(e);
            What::Counts(Counts {
                calls,
                emulated,
                sgis,
                registers,
                timers,
                kicks,
                maintenance,
                others,
                ticks,
            })
        }
        Kind::Crash => What::Crash { esr: a, far: b, lr: c },
        Kind::Callers | Kind::Vectors => return None,
    })
}

fn range(code: u8) -> Option<Range> {
    [Range::Memory, Range::Emulated, Range::Assigned, Range::Guarded, Range::Loaded]
        .into_iter()
        .find(|range| *range as u8 == code)
}

/// The records of all CPUs by time. Those of one CPU stay in their order.
pub fn merge(streams: Vec<Vec<Record>>) -> Vec<Record> {
    let mut all: Vec<Record> =
        streams.into_iter().flat_map(|mut stream| mem::take(&mut stream)).collect();
    all.sort_by_key(|record| record.time);
    all
}

#[cfg(test)]
mod tests;
