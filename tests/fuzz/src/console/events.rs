//! The queue of events, the pages that were seen, and the words that choose what is traced.

use std::collections::{BTreeSet, VecDeque};

use hyp_core::addr::{Ipa, Va};
use hyp_core::events::trace::{Groups, SeenPages};
use hyp_core::events::{Event, EventLog, Reason, Touch};

use crate::bytes::Bytes;

/// Places in the queue.
const SLOTS: usize = 256;
/// Pages for which there is room in any case.
const MOST_PAGES: usize = 512;

fn event(bytes: &mut Bytes<'_>) -> Event {
    let form = bytes.u8();
    Event {
        vm: form & 3,
        vcpu: form >> 6,
        reason: Reason::from_code(1 + (form >> 2 & 0xf) % 12).unwrap(),
        touch: Touch::from_code(1 + bytes.u8() % 7).unwrap(),
        bytes: bytes.u8(),
        // Kernels and programs leave the upper 16 bits at one value.
        pc: (u64::from(bytes.u32()) << 2) | 0xffff_0000_0000_0000,
        va: Va(bytes.u64()),
        ipa: Ipa(bytes.u64()),
    }
}

/// What is to be told.
#[derive(Default)]
struct Model {
    told: BTreeSet<(u8, Reason, u64)>,
    waiting: VecDeque<Event>,
    lost: u64,
}

impl Model {
    /// Records `event` on both sides.
    fn record(&mut self, log: &EventLog, event: Event) {
        let Event { vm, reason, pc, .. } = event;
        let is_news = log.is_news(vm, reason, pc);
        if log.record(event) {
            assert!(is_news && self.told.insert((vm, reason, pc)), "{event:?} is told twice");
            self.waiting.push_back(event);
        } else if is_news {
            // Only a full queue is a reason.
            assert_eq!(self.waiting.len(), SLOTS);
            self.lost += 1;
        }
        assert!(self.waiting.len() <= SLOTS);
    }
}

/// Events are recorded, some of them in great number, and told.
pub(super) fn check(bytes: &mut Bytes<'_>) {
    let log = Box::new(EventLog::new());
    let mut model = Model::default();
    let mut pages = BTreeSet::new();
    let seen = Box::new(SeenPages::new());
    while !bytes.is_empty() {
        match bytes.u8() {
            0..=0x7f => model.record(&log, event(bytes)),
            0x80..=0x8f => {
                let first = event(bytes);
                for step in 0..u64::from(bytes.u8()) {
                    model.record(&log, Event { pc: first.pc.wrapping_add(step * 4), ..first });
                }
            }
            0x90..=0xbf => assert_eq!(log.pop(), model.waiting.pop_front()),
            0xc0..=0xcf => assert_eq!(log.take_lost(), std::mem::take(&mut model.lost)),
            0xd0..=0xef => {
                let page = u64::from(bytes.u16() & 0xfff) << 12 | u64::from(bytes.u8());
                if pages.len() < MOST_PAGES {
                    assert_eq!(seen.is_first(Ipa(page)), pages.insert(page >> 12));
                }
            }
            0xf0 => {
                log.forget_sites();
                model.told.clear();
            }
            _ => {
                let text = String::from_utf8_lossy(bytes.take(24));
                let words: Vec<_> = text.split(',').collect();
                let known =
                    ["on", "off", "calls", "guard", "faults", "memory", "devices", "counts"];
                let is_known = words.iter().all(|word| known.contains(word));
                let groups = Groups::parse(&text);
                assert_eq!(groups.is_ok(), is_known);
                assert!(!words.contains(&"on") || groups.is_err() || groups == Ok(Groups::all()));
            }
        }
        assert_eq!(log.is_quiet(), model.waiting.is_empty() && model.lost == 0);
    }
    while let Some(event) = log.pop() {
        assert_eq!(Some(event), model.waiting.pop_front());
    }
    assert!(model.waiting.is_empty());
}
