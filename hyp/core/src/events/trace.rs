//! The trace: everything worth telling about a VM, for a reader outside of the machine.
//!
//! Each CPU has a ring of its own, so a record costs a few stores and no waiting. The layout, and
//! how the reader knows what it missed, is that of [`hyp_abi::trace`].

use bitflags::bitflags;
use hyp_abi::trace::{
    ARGUMENTS, EL0, FREQUENCY, HEAD_STRIDE, HEADER_BYTES, HEADS, Kind, MAGIC, PLACE, RECORD_WORDS,
    RINGS, SLOTS,
};
use thiserror::Error;

use crate::addr::{Ipa, PAGE_SIZE, Pa};
use crate::sync::{AtomicU64, Ordering};

/// Records in the ring of one CPU: half a mebibyte.
const RING: usize = 8192;
const HEADER_WORDS: usize = (HEADER_BYTES / 8) as usize;
const RING_WORDS: usize = RING * RECORD_WORDS;
const RING_BYTES: u64 = RING_WORDS as u64 * 8;
const _: () = assert!(RING.is_power_of_two());

bitflags! {
    /// Which records are made.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Groups: u32 {
        /// Every HVC and SMC: who called, with what, and the answer.
        const CALLS = 1 << 0;
        /// The same, but only for calls of the guard and of sharing.
        const GUARD = 1 << 1;
        /// Refused accesses and undefined instructions.
        const FAULTS = 1 << 2;
        /// Memory that is backed on its first touch.
        const MEMORY = 1 << 3;
        /// First uses of pages of devices.
        const DEVICES = 1 << 4;
        /// How many calls, emulated accesses and interrupts there were, once a second.
        const COUNTS = 1 << 5;
    }
}

/// A word that is no group.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "`{0}` is nothing to trace; write on, off, or some of calls, guard, faults, memory, devices, \
     counts with commas between"
)]
pub struct UnknownGroup<'a>(pub &'a str);

/// What may stand in a list of groups.
static WORDS: [(&str, Groups); 8] = [
    ("on", Groups::all()),
    ("off", Groups::empty()),
    ("calls", Groups::CALLS),
    ("guard", Groups::GUARD),
    ("faults", Groups::FAULTS),
    ("memory", Groups::MEMORY),
    ("devices", Groups::DEVICES),
    ("counts", Groups::COUNTS),
];

impl Groups {
    /// The groups in a list like `guard,faults`; `on` is all of them, `off` none.
    ///
    /// # Errors
    ///
    /// [`UnknownGroup`] with the first word that is no group.
    pub fn parse(list: &str) -> Result<Self, UnknownGroup<'_>> {
        let mut groups = Self::empty();
        let mut rest = Some(list);
        while let Some(list) = rest {
            let end = list.as_bytes().iter().position(|byte| *byte == b',');
            let word = end.map_or(list, |end| list.get(..end).unwrap_or_default());
            let known = WORDS.iter().find(|(known, _)| *known == word);
            groups |= known.map(|(_, group)| *group).ok_or(UnknownGroup(word))?;
            rest = end.and_then(|end| list.get(end.checked_add(1)?..));
        }
        Ok(groups)
    }
}

/// One record, but for its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRecord {
    /// What it is about.
    pub kind: Kind,
    /// The VM's number.
    pub vm: u8,
    /// The vCPU's number within the VM.
    pub vcpu: u8,
    /// The CPU's number.
    pub cpu: u8,
    /// Ticks of the physical counter.
    pub time: u64,
    /// The instruction.
    pub pc: u64,
    /// Whether it was executed at EL0.
    pub is_el0: bool,
    /// See [`Kind`].
    pub arguments: [u64; ARGUMENTS],
}

impl TraceRecord {
    /// The record as record number `number` of its CPU.
    #[must_use]
    pub const fn pack(&self, number: u64) -> [u64; RECORD_WORDS] {
        let [n0, n1, n2, n3, ..] = number.to_le_bytes();
        let vcpu = self.vcpu | if self.is_el0 { EL0 } else { 0 };
        let head = [self.kind as u8, self.vm, vcpu, self.cpu, n0, n1, n2, n3];
        let [a, b, c, d, e] = self.arguments;
        [u64::from_le_bytes(head), self.time, self.pc, a, b, c, d, e]
    }
}

/// The rings of all CPUs, in memory that somebody outside reads.
#[derive(Debug)]
pub struct Trace<'a> {
    words: &'a [AtomicU64],
    groups: Groups,
}

impl<'a> Trace<'a> {
    /// Bytes of a trace of `cpus` CPUs.
    #[must_use]
    pub const fn bytes(cpus: usize) -> u64 {
        RING_BYTES.saturating_mul(cpus as u64).saturating_add(HEADER_BYTES)
    }

    /// An empty trace in `words`, which lie at `place`, with as many rings as fit. `frequency` is
    /// that of the counter in Hz.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], place: Pa, frequency: u64, groups: Groups) -> Self {
        let rings = words.len().saturating_sub(HEADER_WORDS) / RING_WORDS;
        for word in words.iter().take(HEADER_WORDS) {
            word.store(0, Ordering::Relaxed);
        }
        for (at, value) in [
            (PLACE, place.get()),
            (FREQUENCY, frequency),
            (SLOTS, RING as u64),
            (RINGS, rings as u64),
            // Last: whoever sees it sees the others.
            (0, MAGIC),
        ] {
            if let Some(word) = words.get(at) {
                word.store(value, Ordering::Release);
            }
        }
        Self { words, groups }
    }

    /// What is traced.
    #[must_use]
    pub const fn groups(&self) -> Groups {
        self.groups
    }

    /// Writes `record` into the ring of its CPU: only that CPU may, and not from within itself.
    pub fn push(&self, record: &TraceRecord) {
        let cpu = usize::from(record.cpu);
        let head =
            cpu.checked_mul(HEAD_STRIDE).and_then(|at| self.words.get(HEADS.checked_add(at)?));
        let ring = cpu.checked_mul(RING_WORDS).and_then(|at| {
            let from = HEADER_WORDS.checked_add(at)?;
            self.words.get(from..from.checked_add(RING_WORDS)?)
        });
        let (Some(head), Some(ring)) = (head, ring) else { return };
        let number = head.load(Ordering::Relaxed);
        let place = usize::try_from(number).unwrap_or(0) & (RING - 1);
        let slot = ring.iter().skip(place.wrapping_mul(RECORD_WORDS));
        for (word, value) in slot.zip(record.pack(number)) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: whoever sees the number sees the record.
        head.store(number.wrapping_add(1), Ordering::Release);
    }
}

/// Pages that have been seen, so that each is told of once. For at most half as many pages as
/// there are places: then each finds one.
#[derive(Debug)]
pub struct SeenPages([AtomicU64; Self::PLACES]);

impl Default for SeenPages {
    fn default() -> Self {
        Self::new()
    }
}

impl SeenPages {
    /// Twice as many as all emulated devices of a VM have pages.
    const PLACES: usize = 1024;

    /// None seen.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; Self::PLACES])
    }

    /// Notes the page of `ipa`; whether this is its first time.
    pub fn is_first(&self, ipa: Ipa) -> bool {
        let page = ipa.get() / PAGE_SIZE;
        let home = usize::try_from(page).unwrap_or(0) % Self::PLACES;
        let key = page.wrapping_add(1);
        for place in self.0.iter().cycle().skip(home).take(Self::PLACES) {
            match place.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) if other == key => return false,
                Err(_) => {}
            }
        }
        false
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        for place in &self.0 {
            place.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
