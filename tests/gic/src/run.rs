//! Whole runs from bytes.

use crate::event::{Event, Source};
use crate::oracle::{Counts, Oracle};
use crate::setting::Setting;

/// How often a failing run is tried with fewer events.
const ATTEMPTS: u32 = 600;

impl Setting {
    /// What a guest does at its start.
    fn start(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for vcpu in 0..self.vcpus {
            events.push(Event::On(vcpu));
            events.push(Event::SetUp(vcpu, 0xff, true, true, false));
        }
        if !self.is_started {
            return events;
        }
        let write = |vcpu, is_distributor, offset, value| Event::Write {
            vcpu,
            is_distributor,
            offset,
            bytes: 4,
            value,
        };
        events.push(write(0, true, 0, 3));
        for word in 0..4 {
            for base in [0x80, 0x100] {
                events.push(write(0, true, base + 4 * word, 0xffff_ffff));
            }
            for four in 8 * word..8 * word + 8 {
                events.push(write(0, true, 0x400 + 4 * four, 0xa098_9080));
            }
        }
        for vcpu in 0..self.vcpus {
            let frame = crate::model::FRAMES * vcpu as u64 + 0x1_0000;
            for base in [0x80, 0x100] {
                events.push(write(
                    vcpu,
                    self.is_v2,
                    if self.is_v2 { base } else { frame + base },
                    0xffff_ffff,
                ));
            }
        }
        if self.is_v2 {
            for four in 8..32 {
                events.push(write(0, true, 0x800 + 4 * four, 0x0101_0101));
            }
        }
        events
    }

    /// Lets the guest start and `events` happen, and compares to the end.
    ///
    /// # Errors
    ///
    /// Says at which event the two differ, and in what.
    pub fn run(&self, events: &[Event]) -> Result<Counts, String> {
        let mut oracle = Oracle::new(self)?;
        for event in self.start() {
            oracle.apply(event).map_err(|error| format!("{event:x?} of the start: {error}"))?;
        }
        for (n, &event) in events.iter().enumerate() {
            let follows = match event {
                Event::Reset => self.start(),
                Event::On(vcpu) if !oracle.gic.interfaces.contains_key(&vcpu) => {
                    vec![Event::SetUp(vcpu, 0xff, true, true, false)]
                }
                _ => Vec::new(),
            };
            for event in [event].into_iter().chain(follows) {
                oracle.apply(event).map_err(|error| format!("{event:x?}, number {n}: {error}"))?;
            }
        }
        oracle.finish().map_err(|error| format!("in the end: {error}"))?;
        Ok(oracle.counts)
    }

    /// Few of `events` that `fails` still says yes to.
    pub fn reduce(&self, events: &[Event], fails: impl Fn(&Self, &[Event]) -> bool) -> Vec<Event> {
        let mut attempts = ATTEMPTS;
        let mut kept = events.to_vec();
        let mut step = kept.len().div_ceil(2);
        while step > 0 {
            let mut at = 0;
            while at < kept.len() && attempts > 0 {
                attempts -= 1;
                let mut fewer = kept.clone();
                fewer.drain(at..kept.len().min(at + step));
                if fails(self, &fewer) {
                    kept = fewer;
                } else {
                    at += step;
                }
            }
            step /= 2;
        }
        kept
    }
}

/// The setting and the events that `bytes` stand for.
#[must_use]
pub fn events(bytes: &[u8]) -> (Setting, Vec<Event>) {
    let mut source = Source(bytes);
    let setting = Setting::next(&mut source);
    let mut events = Vec::new();
    while !source.0.is_empty() {
        events.push(Event::next(&mut source, setting.is_v2, setting.vcpus));
    }
    (setting, events)
}

/// A whole run. What fails is made as short as it gets and printed.
///
/// # Errors
///
/// Says what differs, and after which events.
pub fn run(bytes: &[u8]) -> Result<Counts, String> {
    let (setting, events) = events(bytes);
    setting.run(&events).map_err(|_| {
        let fewest = setting.reduce(&events, |setting, events| setting.run(events).is_err());
        let error = setting.run(&fewest).err().unwrap_or_default();
        let list: String = fewest.iter().map(|event| format!("    {event:x?}\n")).collect();
        format!("{setting:?}\n{list}{error}")
    })
}
