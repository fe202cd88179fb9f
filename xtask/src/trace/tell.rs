//! Records as lines for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fold::Told;
use super::frames::brief;
use super::record::{Counts, Record, What};
use super::symbols::Symbols;
use super::words::{named, range_word, seconds, stop_word};

/// Whose the instruction is, in place of a name.
pub const EL0: &str = "(EL0, a process)";

/// Tells records one by one, in order.
pub struct Teller<'a> {
    /// Names for addresses.
    pub symbols: &'a Symbols,
    /// Ticks in a second.
    pub frequency: u64,
    vms: BTreeMap<u8, Vm>,
}

/// What later records of a VM are told with.
#[derive(Debug, Default)]
struct Vm {
    name: String,
    is_list_2021: bool,
}

impl<'a> Teller<'a> {
    /// A teller of records whose clock ticks `frequency` times a second.
    pub fn new(symbols: &'a Symbols, frequency: u64) -> Self {
        Self { symbols, frequency: frequency.max(1), vms: BTreeMap::new() }
    }

    /// Takes in what later records are told with.
    pub fn hear(&mut self, record: &Record) {
        let vm = self.vms.entry(record.vm).or_default();
        match &record.what {
            What::VmMade { list_2021, .. } => vm.is_list_2021 = *list_2021,
            What::VmName(name) => vm.name.clone_from(name),
            _ => {}
        }
    }

    /// Whether the VM of `record` hears that dialect.
    pub fn is_list_2021(&self, record: &Record) -> bool {
        self.vms.get(&record.vm).is_some_and(|vm| vm.is_list_2021)
    }

    fn vm_name(&self, record: &Record) -> String {
        match self.vms.get(&record.vm) {
            Some(vm) if !vm.name.is_empty() => vm.name.clone(),
            _ => format!("vm{}", record.vm),
        }
    }

    /// Seconds, with nanoseconds.
    pub fn seconds(&self, ticks: u64) -> String {
        seconds(ticks, self.frequency, 9)
    }

    /// A record on one line, and how often it was made.
    pub fn line(&mut self, told: &Told<'_>) -> String {
        let record = told.record;
        self.hear(record);
        let who = match record.what {
            What::VmMade { .. }
            | What::VmName(_)
            | What::VmRange { .. }
            | What::VmStopped(_)
            | What::VmReset { .. } => self.vm_name(record),
            What::Crash { .. } => format!("EL2/{}", record.cpu),
            _ => format!("{}/{}", self.vm_name(record), record.vcpu),
        };
        let mut line = format!(
            "{:>12} {who:<10} {:<50}",
            seconds(record.time, self.frequency, 6),
            self.text(record) + &self.repeats(told)
        );
        if record.pc != 0 {
            let at =
                if record.is_el0 { EL0.to_owned() } else { brief(&self.symbols.frames(record)) };
            // Writing to a string cannot fail.
            let _ = write!(line, "  @ {:#x} {at}", record.pc);
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// How often, until when and where, if more than once.
    fn repeats(&self, told: &Told<'_>) -> String {
        if told.count == 1 {
            return String::new();
        }
        let last = seconds(told.last, self.frequency, 6);
        let range = told.ipas.filter(|(low, high)| low != high);
        let range =
            range.map_or_else(String::new, |(low, high)| format!(", IPA {low:#x} to {high:#x}"));
        format!(" [{} times, last at {last}{range}]", told.count)
    }

    /// What happened, in words.
    pub fn text(&self, record: &Record) -> String {
        match &record.what {
            What::VmMade { entry, tree, vcpus, list_2021, guard, type_word } => {
                let dialect = if *list_2021 { "list-2021" } else { "pkvm" };
                let guard = if *guard { "offered" } else { "not offered" };
                format!(
                    "VM made: {vcpus} vCPU(s), type {type_word:#x}, entry {entry:#x}, tree \
                     {tree:#x}, dialect {dialect}, guard {guard}"
                )
            }
            What::VmName(name) => format!("VM {} is {name}", record.vm),
            What::VmRange { base, bytes, range } => {
                format!("{} at {base:#x}..{:#x}", range_word(*range), base.wrapping_add(*bytes))
            }
            What::VmStopped(stop) => format!("VM stopped: {}", stop_word(*stop)),
            What::VmReset { count } => format!("VM starts over, reset {count}"),
            What::VcpuOn { x0 } => format!("vCPU on, x0 {x0:#x}"),
            What::VcpuOff => "vCPU off".to_owned(),
            What::Call(call) => {
                let dialect = self.is_list_2021(record);
                format!("{} = {}", call.text(dialect), call.answer(dialect))
            }
            What::Refused { ipa, va, reason, touch, bytes, .. } => {
                let bytes = match bytes {
                    0 => String::new(),
                    1 => " of 1 byte".to_owned(),
                    more => format!(" of {more} bytes"),
                };
                format!(
                    "REFUSED {}{bytes} at IPA {ipa:#x} (VA {va:#x}): {}",
                    touch.text(),
                    reason.text()
                )
            }
            What::Undefined { esr } => format!("UNDEFINED instruction, ESR_EL2 {esr:#x}"),
            What::Populated { ipa, va } => format!("memory backed at IPA {ipa:#x} (VA {va:#x})"),
            What::DeviceUsed { ipa, is_store, bytes, value, is_guarded } => {
                let access = if *is_store { format!("store of {value:#x}") } else { "load".into() };
                let guarded = if *is_guarded { "guarded" } else { "not guarded" };
                format!("first use of the page: {access}, {bytes} bytes at IPA {ipa:#x}, {guarded}")
            }
            What::DeviceMapped { ipa } => format!("real device mapped at IPA {ipa:#x}"),
            What::Counts(counts) => self.counts(counts),
            What::Crash { esr, far, lr } => {
                format!("EL2 CRASHED: ESR_EL2 {esr:#x}, FAR_EL2 {far:#x}, x30 {lr:#x}")
            }
            What::Unknown { kind, arguments } => format!("record of kind {kind}: {arguments:x?}"),
        }
    }

    fn counts(&self, counts: &Counts) -> String {
        let mut text = format!("in {} s:", seconds(counts.ticks.into(), self.frequency, 3));
        for (count, name) in named(counts) {
            if count > 0 {
                let _ = write!(text, " {count} {},", name.replace('_', " "));
            }
        }
        text.trim_end_matches([',', ':']).to_owned()
    }
}
