use super::*;

/// Bytes as EL2 writes them, by hand from the layout's description.
fn words(bytes: [[u8; 8]; 8]) -> Words {
    bytes.map(u64::from_le_bytes)
}

const TIME: [u8; 8] = [0, 0, 0, 0, 1, 0, 0, 0];
const PC: [u8; 8] = [0x04, 0x03, 0x02, 0x01, 0x00, 0x80, 0xff, 0xff];
const NONE: [u8; 8] = [0; 8];

#[test]
fn a_call_with_its_callers_is_read_from_its_bytes() {
    let call = words([
        [16, 0, 3, 1, 0xff, 0xff, 0xff, 0xff],
        TIME,
        PC,
        // MMIO_RGUARD_MAP, 2 granules done.
        [0x0a, 0, 0, 0xc6, 2, 0, 0, 0],
        [0, 0, 0, 0x09, 0, 0, 0, 0],
        [3, 0, 0, 0, 0, 0, 0, 0],
        NONE,
        [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ]);
    let callers =
        words([[17, 0, 3, 1, 0, 0, 0, 0], TIME, PC, PC, [8, 0, 0, 0, 0, 0, 0, 0], NONE, PC, NONE]);
    let records = decode(&[call, callers]);
    assert_eq!(
        records,
        [Record {
            time: 1 << 32,
            cpu: 1,
            vm: 0,
            vcpu: 3,
            pc: 0xffff_8000_0102_0304,
            is_el0: false,
            vectors: None,
            callers: vec![0xffff_8000_0102_0304, 8],
            what: What::Call(Call {
                function: 0xc600_000a,
                registers: [0x900_0000, 3, 0],
                x0: (-3_i64).cast_unsigned(),
                x1: 2
            }),
        }]
    );
    // With a record missing between them they do not belong together.
    let mut late = callers;
    late[0] += 1 << 32;
    assert!(decode(&[call, late])[0].callers.is_empty());
}

#[test]
fn a_refused_access_is_read_from_its_bytes() {
    let record = words([
        [32, 0, 1, 1, 9, 0, 0, 0],
        TIME,
        PC,
        [0x10, 0, 0, 0x0b, 0, 0, 0, 0],
        PC,
        [1, 2, 4, 0, 0, 0, 0, 0],
        [0x45, 0, 0, 0x93, 0, 0, 0, 0],
        NONE,
    ]);
    let vectors = words([[65, 0, 1, 1, 8, 0, 0, 0], TIME, PC, PC, NONE, NONE, NONE, NONE]);
    let [decoded] = &decode(&[vectors, record])[..] else { panic!("one record") };
    assert_eq!(
        decoded.what,
        What::Refused {
            ipa: 0x0b00_0010,
            va: 0xffff_8000_0102_0304,
            reason: Reason::Unguarded,
            touch: Touch::Store,
            bytes: 4,
            esr: 0x9300_0045
        }
    );
    assert_eq!(decoded.vectors, Some(0xffff_8000_0102_0304));
    assert_eq!(number(&record), 9);
}

#[test]
fn names_and_ranges_and_counts_are_read_from_their_bytes() {
    let head = |kind| [kind, 0, 0, 0, 0, 0, 0, 0];
    let name = words([head(2), TIME, NONE, *b"conforma", *b"nce\0\0\0\0\0", NONE, NONE, NONE]);
    let range = words([
        head(3),
        TIME,
        NONE,
        [0, 0, 0, 8, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 0, 0, 0, 0],
        NONE,
        NONE,
    ]);
    let counts = words([
        head(64),
        TIME,
        NONE,
        [1, 0, 0, 0, 2, 0, 0, 0],
        [3, 0, 0, 0, 4, 0, 0, 0],
        [5, 0, 0, 0, 6, 0, 0, 0],
        [7, 0, 0, 0, 8, 0, 0, 0],
        [9, 0, 0, 0, 0, 0, 0, 0],
    ]);
    let what: Vec<_> =
        decode(&[name, range, counts]).into_iter().map(|record| record.what).collect();
    assert_eq!(
        what,
        [
            What::VmName("conformance".to_owned()),
            What::VmRange { base: 0x800_0000, bytes: 0x1_0000, range: Range::Emulated },
            What::Counts(Counts {
                calls: 1,
                emulated: 2,
                sgis: 3,
                registers: 4,
                timers: 5,
                kicks: 6,
                maintenance: 7,
                others: 8,
                ticks: 9
            }),
        ]
    );
}

/// A newer EL2 is no reason to stop reading.
#[test]
fn what_is_unknown_is_kept() {
    let odd = words([[200, 0, 0, 0, 0, 0, 0, 0], TIME, PC, PC, NONE, NONE, NONE, TIME]);
    let reason = words([
        [32, 0, 0, 0, 1, 0, 0, 0],
        TIME,
        PC,
        NONE,
        NONE,
        [99, 1, 0, 0, 0, 0, 0, 0],
        NONE,
        NONE,
    ]);
    let records = decode(&[odd, reason]);
    assert!(matches!(records[0].what, What::Unknown { kind: 200, .. }));
    assert!(matches!(records[1].what, What::Unknown { kind: 32, .. }));
}

#[test]
fn what_core_writes_is_what_is_read() {
    use hyp_core::events::trace::TraceRecord;
    for kind in Kind::ALL {
        let written = TraceRecord {
            kind,
            vm: 1,
            vcpu: 2,
            cpu: 3,
            time: 4,
            pc: 5,
            is_el0: kind == Kind::Refused,
            arguments: [1, 7, 0x0101, 9, 10],
        };
        let words = written.pack(0x1_0000_0006);
        assert_eq!(number(&words), 6);
        for record in decode(&[words]) {
            assert_eq!((record.vm, record.vcpu, record.cpu), (1, 2, 3), "{kind:?}");
            assert_eq!((record.time, record.pc), (4, 5), "{kind:?}");
            assert_eq!(record.is_el0, kind == Kind::Refused, "{kind:?}");
            assert!(!matches!(record.what, What::Unknown { .. }), "{kind:?}");
        }
    }
}
