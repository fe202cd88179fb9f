//! Words for the values in records.

use hyp_abi::trace::{Range, Stop};
use hyp_core::events::Reason;
use serde_json::Value;

use super::record::Counts;

/// Counts with their names.
pub fn named(counts: &Counts) -> [(u32, &'static str); 8] {
    [
        (counts.calls, "calls"),
        (counts.emulated, "emulated_accesses"),
        (counts.registers, "trapped_registers"),
        (counts.sgis, "sgis_sent"),
        (counts.timers, "timer_interrupts"),
        (counts.kicks, "kicks"),
        (counts.maintenance, "maintenance_interrupts"),
        (counts.others, "other_interrupts"),
    ]
}

/// A number as text: JSON's numbers end at 2^53.
pub fn hex(value: u64) -> Value {
    Value::String(format!("{value:#x}"))
}

/// `ticks` in seconds with `digits` decimals, cut.
pub fn seconds(ticks: u64, frequency: u64, digits: u32) -> String {
    let (ticks, frequency) = (u128::from(ticks), u128::from(frequency.max(1)));
    let unit = 10_u128.pow(digits);
    let whole = ticks * unit / frequency;
    format!("{}.{:0width$}", whole / unit, whole % unit, width = digits as usize)
}

/// A reason as a word for programs.
pub const fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Unguarded => "unguarded",
        Reason::NoDevice => "no-device",
        Reason::NoSyndrome => "no-syndrome",
        Reason::FetchOffMemory => "fetch-off-memory",
        Reason::WalkOffMemory => "walk-off-memory",
        Reason::Permission => "permission",
        Reason::External => "external",
        Reason::Unsupported => "unsupported",
        Reason::GuardQuota => "guard-quota",
        Reason::AArch32State => "aarch32-state",
        Reason::SError => "serror",
        Reason::NoMemory => "no-memory",
        Reason::NoVectors => "no-vectors",
    }
}

/// What a range of addresses is.
pub fn range_word(range: Range) -> &'static str {
    match range {
        Range::Memory => "memory",
        Range::Emulated => "emulated device",
        Range::Assigned => "real device",
        Range::Guarded => "guarded from the start",
        Range::Loaded => "loaded payload",
    }
}

/// Why a VM stopped.
pub fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::Off => "powered off",
        Stop::Reset => "reset",
        Stop::Crash => "cannot go on",
    }
}
