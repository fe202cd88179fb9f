//! Instructions that move several pieces, on the VM of `tests.rs`.

use super::*;

/// The span of a load that faulted; the page that did not fault is the device's.
fn span(fault: &Fault, start: u64, bytes: usize) -> Option<Span> {
    Span::new(fault, start, bytes, Some(Direction::Read), |_| Some(Ipa(DEVICE)))
}

#[test]
fn a_span_lies_where_the_pages_are() {
    let fault = Fault { va: Va(0x7000_0ff8), ..data(TRANSLATION, DEVICE + 0xff8) };
    let one = span(&fault, 0x7000_0ff8, 8).unwrap();
    assert_eq!((one.ipa(0), one.ipa(7)), (Ipa(DEVICE + 0xff8), Ipa(DEVICE + 0xfff)));
    // The second page is wherever the guest's tables say.
    let two = Span::new(&fault, 0x7000_0ff8, 16, Some(Direction::Read), |va| {
        assert_eq!(va.page(), Va(0x7000_1000));
        Some(Ipa(EMPTY + 7))
    })
    .unwrap();
    assert_eq!((two.ipa(7), two.ipa(8)), (Ipa(DEVICE + 0xfff), Ipa(EMPTY)));
    // It is the second page that faulted; the tag of the address is not reported.
    let fault = Fault { va: Va(0x7000_1000), ..data(TRANSLATION, EMPTY) };
    let second = span(&fault, 0xab00_0000_7000_0ff8, 16).unwrap();
    assert_eq!((second.ipa(0), second.ipa(8)), (Ipa(DEVICE + 0xff8), Ipa(EMPTY)));
}

#[test]
fn a_fault_that_is_not_the_instructions() {
    let fault = Fault { va: Va(0x7000_0010), ..data(TRANSLATION, DEVICE + 0x10) };
    assert!(span(&fault, 0x7000_0000, 17).is_some());
    assert_eq!(span(&fault, 0x7000_0000, 16), None);
    assert_eq!(span(&fault, 0x7000_0011, 16), None);
    assert_eq!(span(&fault, 0x7000_0010, 0), None);
    // A store faulted, and there is a load now. An atomic may fault either way.
    let store = Fault { va: Va(0x7000_0010), ..data(TRANSLATION | WNR, DEVICE + 0x10) };
    assert_eq!(span(&store, 0x7000_0010, 8), None);
    for fault in [fault, store] {
        assert!(Span::new(&fault, 0x7000_0010, 8, None, |_| None).is_some());
    }
    // The other page is not mapped by the guest itself.
    assert_eq!(Span::new(&fault, 0x7000_0ff8 - 0x1000, 0x20, None, |_| None), None);
}

#[test]
fn every_piece_is_asked_about() {
    let enrolled = Vm { is_enrolled: true, ..NORMAL };
    let denied = |vm: &Vm, ipa: u64, bytes: usize, next: u64, width: Width| {
        let fault = Fault { va: Va(0x7000_0000 | ipa & 0xfff), ..data(TRANSLATION, ipa) };
        let span = Span::new(&fault, fault.va.0, bytes, None, |_| Some(Ipa(next))).unwrap();
        let step = usize::try_from(width.bytes()).unwrap();
        admit(vm, &fault, &span, (0..bytes).step_by(step).map(|at| (at, width))).map_err(|denied| {
            // What the guest is told of: the same fault, at that piece.
            let piece = denied.narrow(&fault);
            assert_eq!(Fault { va: fault.va, ipa: fault.ipa, ..piece }, fault);
            (piece.va.0 - fault.va.0, piece.ipa.0, denied.reason)
        })
    };
    let (word, double) = (Width::Word, Width::Double);
    assert_eq!(denied(&enrolled, DEVICE, 64, 0, word), Ok(()));
    assert_eq!(denied(&NORMAL, FORGOTTEN + 0xfe0, 32, 0, double), Ok(()));
    // Its second half lies in a page without a device, an unguarded one, and memory.
    assert_eq!(
        denied(&enrolled, DEVICE + 0xff8, 16, EMPTY, double),
        Err((8, EMPTY, Reason::NoDevice))
    );
    assert_eq!(
        denied(&enrolled, DEVICE + 0xff8, 16, FORGOTTEN, double),
        Err((8, FORGOTTEN, Reason::Unguarded))
    );
    assert_eq!(
        denied(&NORMAL, FORGOTTEN + 0xffc, 8, RAM, word),
        Err((0, FORGOTTEN + 0xffc, Reason::NoSyndrome))
    );
    // The end of memory, where nothing is behind it.
    assert_eq!(
        denied(&NORMAL, NOWHERE + 0xffc, 8, RAM, word),
        Err((0, NOWHERE + 0xffc, Reason::NoDevice))
    );
    // One piece across two pages: both are asked about, and no register lies there.
    assert_eq!(
        denied(&enrolled, DEVICE + 0xffc, 8, NOWHERE, double),
        Err((0, DEVICE + 0xffc, Reason::Unguarded))
    );
    assert_eq!(
        denied(&enrolled, DEVICE + 0xffc, 8, DEVICE, double),
        Err((0, DEVICE + 0xffc, Reason::NoDevice))
    );
}
