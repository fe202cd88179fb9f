//! A bounded queue of events that any CPU may write and any CPU may drain.

use super::event::{Event, Reason, Touch};
use super::sites::{Site, Sites};
use crate::addr::{Ipa, Va};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// Words of one packed event.
const WORDS: usize = 4;

/// One event in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    event: Event,
    /// Whether it is the first of its site, and not one that another CPU recorded at the same time.
    is_first: bool,
}

impl Record {
    fn pack(&self) -> [u64; WORDS] {
        let Event { vm, vcpu, reason, touch, bytes, pc, va, ipa } = self.event;
        let first = u8::from(self.is_first);
        [
            u64::from_le_bytes([vm, vcpu, reason as u8, touch as u8, bytes, first, 0, 0]),
            pc,
            va.get(),
            ipa.get(),
        ]
    }

    fn unpack(words: [u64; WORDS]) -> Option<Self> {
        let [head, pc, va, ipa] = words;
        let [vm, vcpu, reason, touch, bytes, first, ..] = head.to_le_bytes();
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
            is_first: first != 0,
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
pub(super) const SLOTS: usize = 256;

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

    /// Records `event` if it is the first of its site. Never waits. Answers whether it was: then
    /// somebody should drain the log soon.
    ///
    /// Repeats leave no trace, so that a guest in a loop cannot hide another site's first event.
    /// An event that finds the queue full is counted as lost, and its site's first is still to come.
    #[inline]
    pub fn record(&self, event: Event) -> bool {
        self.is_news(event.vm, event.reason, event.pc) && self.record_first(event)
    }

    /// Whether [`Self::record`] of such an event would do anything; the rest of the event need not
    /// be put together before.
    #[inline(always)]
    #[must_use]
    pub fn is_news(&self, vm: u8, reason: Reason, pc: u64) -> bool {
        self.sites.find(Sites::key(vm, reason, pc)) == Site::New
    }

    #[inline(never)]
    fn record_first(&self, event: Event) -> bool {
        let Some((slot, lap)) = self.claim() else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let is_first = self.sites.enter(Sites::key(event.vm, event.reason, event.pc));
        for (word, value) in slot.words.iter().zip((Record { event, is_first }).pack()) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: whoever sees the turn sees the words.
        slot.turn.store(lap.wrapping_mul(2).wrapping_add(1), Ordering::Release);
        is_first
    }

    /// Whether there is nothing to drain, roughly: others come and go meanwhile.
    #[inline(always)]
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
    pub fn pop(&self) -> Option<Event> {
        loop {
            let record = self.pop_any()?;
            if record.is_first {
                return Some(record.event);
            }
        }
    }

    fn pop_any(&self) -> Option<Record> {
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
