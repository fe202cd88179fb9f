//! What guests did wrong: binary records made on the trap path, text made where they are drained.
//!
//! [`EventLog`] is a bounded queue of atomics that any CPU may write and any CPU may drain; no
//! writer waits for another. Beside it stands a small table of sites, a site being a reason at a
//! PC of a VM, so that a guest in a loop reaches the console once. Both have fixed sizes: a guest
//! that floods them loses records, which are counted, and never costs EL2 memory or time.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::addr::{Ipa, Va};

/// Declares a field-less enum over `u8` with a text for each value.
macro_rules! coded {
    (
        $(#[$outer:meta])*
        $name:ident { $($(#[$doc:meta])* $value:ident = $code:literal, $text:literal;)* }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $value = $code,)*
        }

        impl $name {
            /// The value with this code.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$value),)*
                    _ => None,
                }
            }

            /// What it is in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }
        }
    };
}

coded! {
    /// Which check failed.
    Reason {
        /// The VM is enrolled and the page is neither memory nor guarded.
        Unguarded = 1, "the page is neither memory nor guarded";
        /// The page may be touched, but no device is there.
        NoDevice = 2, "no device is there";
        /// The hardware did not describe the access, or the instruction cannot be decoded.
        NoSyndrome = 3, "this form of instruction cannot be emulated";
        /// An instruction fetch outside memory.
        FetchOffMemory = 4, "instructions are fetched from memory only";
        /// A guest translation table outside memory.
        WalkOffMemory = 5, "a translation table lies outside memory";
        /// Memory or a device that does not allow this access.
        Permission = 6, "the page does not allow this access";
        /// The bus answered with an error.
        External = 7, "the bus answered with an error";
        /// A fault that Postern does not handle, such as an unsupported exclusive access.
        Unsupported = 8, "the access is not supported there";
        /// `MMIO_GUARD_MAP` refused: the VM's quota of table frames is used up.
        GuardQuota = 9, "too many guarded pages far apart: table quota used up";
        /// A protected VM's vCPU was found in AArch32 state.
        AArch32State = 10, "AArch32 state in a protected VM";
        /// A system error, which says neither what was touched nor by which instruction.
        SError = 12, "a system error (SError), passed on to the guest";
        /// No memory is left to back a page.
        NoMemory = 11, "no memory to back the page";
    }
}

coded! {
    /// What the guest was doing.
    Touch {
        /// A load.
        Load = 1, "load";
        /// A store.
        Store = 2, "store";
        /// An instruction fetch.
        Fetch = 3, "instruction fetch";
        /// A walk of the guest's translation tables.
        Walk = 4, "translation table walk";
        /// Cache maintenance.
        Maintenance = 5, "cache maintenance";
        /// A hypercall.
        Call = 6, "hypercall";
        /// Nobody knows.
        Unknown = 7, "an access of some kind";
    }
}

/// One failed check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The VM's number.
    pub vm: u8,
    /// The vCPU's number within the VM.
    pub vcpu: u8,
    /// Which check failed.
    pub reason: Reason,
    /// What the guest was doing.
    pub touch: Touch,
    /// Bytes that the access moves, 1 to 8; 0 where that is not known.
    pub bytes: u8,
    /// The instruction.
    pub pc: u64,
    /// The virtual address touched.
    pub va: Va,
    /// The intermediate physical address touched.
    pub ipa: Ipa,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, vcpu, reason, touch, bytes, pc, va, ipa } = *self;
        write!(f, "vm {vm} vcpu {vcpu}: {}", touch.text())?;
        match bytes {
            0 => {}
            1 => write!(f, " of 1 byte")?,
            _ => write!(f, " of {bytes} bytes")?,
        }
        write!(f, " at IPA {ipa} (VA {va}, PC {pc:#x}): {}", reason.text())
    }
}

/// An event as it was drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// How often this site has been recorded, this time included; at most 65,535.
    pub count: u16,
}

impl Record {
    /// Whether this is the site's first event: the one for the console.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.count == 1
    }
}

/// Words of one packed event.
const WORDS: usize = 4;

impl Record {
    fn pack(&self) -> [u64; WORDS] {
        let Event { vm, vcpu, reason, touch, bytes, pc, va, ipa } = self.event;
        let [low, high] = self.count.to_le_bytes();
        [
            u64::from_le_bytes([vm, vcpu, reason as u8, touch as u8, bytes, low, high, 0]),
            pc,
            va.get(),
            ipa.get(),
        ]
    }

    fn unpack(words: [u64; WORDS]) -> Option<Self> {
        let [head, pc, va, ipa] = words;
        let [vm, vcpu, reason, touch, bytes, low, high, _] = head.to_le_bytes();
        Some(Self {
            event: Event {
                vm,
                vcpu,
                reason: Reason::from_code(reason)?,
                touch: Touch::from_code(touch)?,
                bytes,
                pc,
                va: Va(va),
                ipa: Ipa(ipa),
            },
            count: u16::from_le_bytes([low, high]),
        })
    }
}

/// One place in the queue.
#[derive(Debug)]
struct Slot {
    /// Twice the lap in which the slot is to be filled; one more while it is filled.
    turn: AtomicUsize,
    words: [AtomicU64; WORDS],
}

impl Slot {
    const fn new() -> Self {
        Self { turn: AtomicUsize::new(0), words: [const { AtomicU64::new(0) }; WORDS] }
    }
}

/// How many events wait for the drain at most.
const SLOTS: usize = 256;
/// How many sites are told apart; beyond that a new site stays off the console.
const SITES: usize = 256;
/// How many neighbours of its home place a site may take.
const PROBES: usize = 8;

/// Events of all VMs on their way to whoever prints them.
#[derive(Debug)]
pub struct EventLog {
    slots: [Slot; SLOTS],
    head: AtomicUsize,
    tail: AtomicUsize,
    lost: AtomicU64,
    sites: Sites,
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new()
    }
}

impl EventLog {
    /// An empty log.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; SLOTS],
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            sites: Sites::new(),
        }
    }

    /// The slot of position `at` in the endless sequence, and the lap that position is in.
    fn slot(&self, at: usize) -> Option<(&Slot, usize)> {
        let place = at.checked_rem(SLOTS)?;
        let lap = at.checked_div(SLOTS)?;
        Some((self.slots.get(place)?, lap))
    }

    /// Records `event`. Never waits. Answers whether it is the first of its site: then somebody
    /// should drain the log soon.
    ///
    /// Repeats of a site use at most half of the queue and are dropped without a word beyond
    /// that, so that a guest in a loop cannot hide another site's first event. An event that finds
    /// the queue full is counted as lost.
    pub fn record(&self, event: Event) -> bool {
        let is_repeat = self.sites.find(&event).is_some();
        if is_repeat && self.waiting() >= SLOTS / 2 {
            self.sites.count(&event);
            return false;
        }
        let Some((slot, lap)) = self.claim() else {
            // Not counted at its site: its first event is still to come.
            self.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let count = self.sites.count(&event);
        for (word, value) in slot.words.iter().zip((Record { event, count }).pack()) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: whoever sees the turn sees the words.
        slot.turn.store(lap.wrapping_mul(2).wrapping_add(1), Ordering::Release);
        count == 1
    }

    /// Whether there is nothing to drain, roughly: others come and go meanwhile.
    #[inline]
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.waiting() == 0 && self.lost.load(Ordering::Relaxed) == 0
    }

    /// How many events wait, roughly: others come and go meanwhile.
    #[inline]
    fn waiting(&self) -> usize {
        self.tail.load(Ordering::Relaxed).wrapping_sub(self.head.load(Ordering::Relaxed))
    }

    /// Takes the next free slot for writing.
    fn claim(&self) -> Option<(&Slot, usize)> {
        let mut at = self.tail.load(Ordering::Relaxed);
        loop {
            let (slot, lap) = self.slot(at)?;
            if slot.turn.load(Ordering::Acquire) != lap.wrapping_mul(2) {
                let now = self.tail.load(Ordering::Relaxed);
                if now == at {
                    return None;
                }
                at = now;
                continue;
            }
            let next = at.wrapping_add(1);
            match self.tail.compare_exchange_weak(at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some((slot, lap)),
                Err(now) => at = now,
            }
        }
    }

    /// Takes the oldest event out, if there is one.
    pub fn pop(&self) -> Option<Record> {
        let mut at = self.head.load(Ordering::Relaxed);
        loop {
            let (slot, lap) = self.slot(at)?;
            if slot.turn.load(Ordering::Acquire) != lap.wrapping_mul(2).wrapping_add(1) {
                let now = self.head.load(Ordering::Relaxed);
                if now == at {
                    return None;
                }
                at = now;
                continue;
            }
            let next = at.wrapping_add(1);
            match self.head.compare_exchange_weak(at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    let mut words = [0; WORDS];
                    for (value, word) in words.iter_mut().zip(&slot.words) {
                        *value = word.load(Ordering::Relaxed);
                    }
                    // Release: the words were read before the slot is free again.
                    slot.turn.store(lap.wrapping_mul(2).wrapping_add(2), Ordering::Release);
                    return Record::unpack(words);
                }
                Err(now) => at = now,
            }
        }
    }

    /// How many events found the queue full since the last call.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Forgets all sites, so that each may reach the console again: after a VM's reset.
    pub fn forget_sites(&self) {
        self.sites.forget();
    }
}

/// How often each site was seen.
#[derive(Debug)]
struct Sites {
    keys: [AtomicU64; SITES],
    counts: [AtomicU32; SITES],
}

impl Sites {
    const fn new() -> Self {
        Self {
            keys: [const { AtomicU64::new(0) }; SITES],
            counts: [const { AtomicU32::new(0) }; SITES],
        }
    }

    /// Counts `event` at its site and says how often that was seen. A site that finds no place
    /// counts as seen before.
    fn count(&self, event: &Event) -> u16 {
        let key = Self::key(event);
        for place in Self::places(key) {
            let (Some(slot), Some(count)) = (self.keys.get(place), self.counts.get(place)) else {
                continue;
            };
            let seen = slot
                .compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed)
                .unwrap_or_else(|other| other);
            if seen == 0 || seen == key {
                let before = count
                    .try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1))
                    .unwrap_or(u32::MAX);
                return u16::try_from(before.saturating_add(1)).unwrap_or(u16::MAX);
            }
        }
        u16::MAX
    }

    /// Where the site of `event` is, if it has been counted before.
    fn find(&self, event: &Event) -> Option<usize> {
        let key = Self::key(event);
        Self::places(key)
            .find(|&place| self.keys.get(place).is_some_and(|k| k.load(Ordering::Relaxed) == key))
    }

    /// What stands for the site of `event`; never 0.
    const fn key(event: &Event) -> u64 {
        let tag = u64::from_le_bytes([event.vm, event.reason as u8, 0, 0, 0, 0, 0, 1]);
        mix(mix(event.pc) ^ tag) | 1
    }

    /// Where the site with this key may be.
    fn places(key: u64) -> impl Iterator<Item = usize> {
        let home = usize::try_from(key >> 40).unwrap_or(0);
        (0..PROBES).map(move |probe| home.wrapping_add(probe) & (SITES - 1))
    }

    fn forget(&self) {
        for (key, count) in self.keys.iter().zip(&self.counts) {
            count.store(0, Ordering::Relaxed);
            key.store(0, Ordering::Relaxed);
        }
    }
}

/// Spreads the bits of `value` (the finalizer of SplitMix64).
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
