use std::vec::Vec;

use super::*;

fn words(cpus: usize) -> Vec<AtomicU64> {
    let count = usize::try_from(Trace::bytes(cpus) / 8).unwrap();
    // What was there before.
    std::iter::repeat_with(|| AtomicU64::new(0xa5a5_a5a5_a5a5_a5a5)).take(count).collect()
}

fn values(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

fn record(cpu: u8, time: u64) -> TraceRecord {
    TraceRecord {
        kind: Kind::Refused,
        vm: 0x11,
        vcpu: 0x22,
        cpu,
        time,
        pc: 0xffff_8000_0102_0304,
        is_el0: false,
        arguments: [1, 2, 3, 4, 5],
    }
}

/// The layout is a promise to readers that are built from another revision: numbers by hand.
#[test]
fn the_layout_is_what_the_reader_expects() {
    let memory = words(2);
    let trace = Trace::new(&memory, Pa(0x7fc0_0000), 62_500_000, Groups::all());
    trace.push(&record(1, 0x55));
    trace.push(&record(1, 0x66));
    let memory = values(&memory);
    assert_eq!(memory.len(), 512 + 2 * 8192 * 8);
    assert_eq!(memory[..6], [0x3143_5254_4e54_5350, 0x7fc0_0000, 62_500_000, 8192, 2, 0]);
    assert_eq!((memory[64], memory[72], memory[80]), (0, 2, 0));
    let ring = 512 + 8192 * 8;
    assert_eq!(
        memory[ring..ring + 9],
        [0x0000_0000_0122_1120, 0x55, 0xffff_8000_0102_0304, 1, 2, 3, 4, 5, 0x0000_0001_0122_1120]
    );
    assert_eq!(memory[ring + 9], 0x66);
    assert_eq!(memory[ring + 16], 0xa5a5_a5a5_a5a5_a5a5);
    let of_a_process = TraceRecord { is_el0: true, ..record(1, 0x77) };
    assert_eq!(of_a_process.pack(2)[0], 0x0000_0002_01a2_1120);
}

#[test]
fn the_newest_records_take_the_places_of_the_oldest() {
    let memory = words(1);
    let trace = Trace::new(&memory, Pa(0), 1, Groups::all());
    for time in 0..8192 + 3 {
        trace.push(&record(0, time));
    }
    let memory = values(&memory);
    assert_eq!(memory[64], 8195);
    let time = |slot: usize| memory[512 + slot * 8 + 1];
    assert_eq!((time(0), time(2), time(3), time(8191)), (8192, 8194, 3, 8191));
    // The number goes on.
    assert_eq!(memory[512 + 2 * 8] >> 32, 8194);
}

#[test]
fn a_cpu_without_a_ring_is_left_out() {
    let memory = words(1);
    let trace = Trace::new(&memory, Pa(0), 1, Groups::all());
    let before = values(&memory);
    trace.push(&record(1, 7));
    trace.push(&record(255, 7));
    assert_eq!(values(&memory), before);
    // No memory, no trace, no harm.
    Trace::new(&[], Pa(0), 1, Groups::all()).push(&record(0, 7));
}

#[test]
fn groups_are_named_on_the_command_line() {
    for (text, groups) in [
        ("on", Groups::all()),
        ("off", Groups::empty()),
        ("guard,faults", Groups::GUARD | Groups::FAULTS),
        ("guard,guard", Groups::GUARD),
        ("calls,on", Groups::all()),
        ("calls,memory,devices,counts", Groups::all() - Groups::GUARD - Groups::FAULTS),
    ] {
        assert_eq!(Groups::parse(text), Ok(groups), "{text}");
    }
    assert_eq!(Groups::parse("guard,nonsense,x"), Err(UnknownGroup("nonsense")));
    assert_eq!(Groups::parse(""), Err(UnknownGroup("")));
}

#[test]
fn each_page_is_seen_once_until_forgotten() {
    let seen = SeenPages::new();
    for page in 0..512 {
        // Neighbours, and pages whose homes collide.
        let ipa = Ipa((page % 64) * PAGE_SIZE + (page / 64) * 1024 * PAGE_SIZE);
        assert!(seen.is_first(ipa), "{ipa:?}");
        assert!(!seen.is_first(Ipa(ipa.get() + 0xfff)), "{ipa:?}");
    }
    assert!(!seen.is_first(Ipa(0)));
    seen.forget();
    assert!(seen.is_first(Ipa(0)));
}
