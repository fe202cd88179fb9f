use super::queue::SLOTS;
use super::sites::SITES;
use super::*;
use crate::addr::{Ipa, Va};
use core::sync::atomic::Ordering;
use std::string::ToString;
use std::vec::Vec;

fn event(pc: u64) -> Event {
    Event {
        vm: 0,
        vcpu: 1,
        reason: Reason::Unguarded,
        touch: Touch::Load,
        bytes: 4,
        pc,
        va: Va(0xffff_0000_0b00_0010),
        ipa: Ipa(0x0b00_0010),
    }
}

#[test]
fn comes_out_as_it_went_in_and_in_order() {
    let log = EventLog::new();
    let odd = Event { reason: Reason::WalkOffMemory, touch: Touch::Walk, vcpu: 7, ..event(2) };
    log.record(event(1));
    log.record(odd);
    log.record(event(1));
    let drained: Vec<_> = core::iter::from_fn(|| log.pop()).collect();
    assert_eq!(drained, [event(1), odd], "a repeat is no news");
}

#[test]
fn text_names_everything() {
    assert_eq!(
        event(0xffff_8000_0010_2030).to_string(),
        "vm 0 vcpu 1: load of 4 bytes at IPA 0xb000010 (VA 0xffff00000b000010, \
         PC 0xffff800000102030): the page is neither memory nor guarded"
    );
}

/// A log whose queue is full.
fn full() -> EventLog {
    let log = EventLog::new();
    let mut pc = 1000;
    for _ in 0..SLOTS {
        // Sites have places only in part of their table: those that find none are no matter here.
        while !log.record(event(pc)) {
            pc += 1;
            log.forget_sites();
        }
        pc += 1;
    }
    log.forget_sites();
    log
}

#[test]
fn a_full_queue_drops_counts_and_recovers() {
    let log = full();
    for pc in 0..44 {
        assert!(!log.record(event(pc)));
    }
    assert_eq!(log.take_lost(), 44);
    assert_eq!(log.take_lost(), 0);
    assert_eq!(core::iter::from_fn(|| log.pop()).count(), SLOTS);
    // Two more laps, to see slots used again.
    for pc in 0..600 {
        log.forget_sites();
        log.record(event(pc));
        assert_eq!(log.pop().map(|event| event.pc), Some(pc));
    }
    assert_eq!(log.take_lost(), 0);
}

/// The first event of a site is not used up by finding the queue full.
#[test]
fn a_dropped_event_is_still_a_first_one_later() {
    let log = full();
    log.record(event(2));
    assert_eq!(log.take_lost(), 1);
    while log.pop().is_some() {}
    log.record(event(2));
    assert_eq!(log.pop(), Some(event(2)));
}

#[test]
fn sites_differ_by_reason_and_vm_and_can_be_forgotten() {
    let log = EventLog::new();
    log.record(event(1));
    log.record(Event { reason: Reason::NoDevice, ..event(1) });
    log.record(Event { vm: 1, ..event(1) });
    assert_eq!(core::iter::from_fn(|| log.pop()).count(), 3);
    assert!(!log.record(event(1)));
    log.forget_sites();
    assert!(log.record(event(1)));
    assert_eq!(log.pop(), Some(event(1)));
}

/// A guest that invents sites without end stops reaching the console.
#[test]
fn endless_sites_fall_silent() {
    let log = EventLog::new();
    let mut firsts = 0;
    for pc in 0..100_000 {
        log.record(event(pc * 4));
        firsts += usize::from(log.pop().is_some());
    }
    assert!(firsts <= SITES, "{firsts}");
}

#[test]
fn what_many_writers_announce_a_reader_gets() {
    const EACH: u64 = 2_000;
    let log = EventLog::new();
    let announced = std::sync::atomic::AtomicU64::new(0);
    let writers = std::sync::atomic::AtomicUsize::new(4);
    let mut drained = 0u64;
    std::thread::scope(|scope| {
        for vcpu in 0..4 {
            let (log, writers, announced) = (&log, &writers, &announced);
            scope.spawn(move || {
                for pc in 0..EACH {
                    // Each event has a site of its own: repeats may be dropped.
                    let pc = pc + EACH * u64::from(vcpu);
                    let is_first = log.record(Event { vcpu, va: Va(pc ^ 0x55), ..event(pc) });
                    announced.fetch_add(is_first.into(), Ordering::Relaxed);
                }
                writers.fetch_sub(1, Ordering::Release);
            });
        }
        loop {
            let done = writers.load(Ordering::Acquire) == 0;
            while let Some(event) = log.pop() {
                // Words of one event stay together.
                assert_eq!(event.va.0, event.pc ^ 0x55);
                drained += 1;
            }
            log.forget_sites();
            if done {
                break;
            }
            std::thread::yield_now();
        }
    });
    assert_eq!(drained, announced.into_inner());
    assert!(drained >= SITES as u64 / 2, "{drained}");
}

/// One site in a loop leaves room for the first event of another.
#[test]
fn a_guest_in_a_loop_hides_nothing() {
    let log = EventLog::new();
    for _ in 0..10_000 {
        log.record(event(1));
    }
    assert!(log.record(event(2)));
    assert_eq!(log.take_lost(), 0);
    assert_eq!(std::iter::from_fn(|| log.pop()).count(), 2);
}
