use std::collections::BTreeMap;

use super::super::report::Word;
use super::*;

const BASE: u64 = 0x1000;
const INFORMATION: u64 = 0x8000;
const SP: u64 = 0x7000;

const NOP: u32 = 0xd503_201f;
const BLR: u32 = 0xd63f_0000;

/// Where each function is, and the address behind the call in it.
const ENTRY_CALL: u64 = BASE + 4;
const OUTER: u64 = BASE + 0x10;
const OUTER_CALL: u64 = OUTER + 12;
const FRAMED: u64 = BASE + 0x30;
const FRAMED_CALL: u64 = FRAMED + 16;
const INNER: u64 = BASE + 0x60;
const INNER_CALL: u64 = INNER + 16;
const LEAF: u64 = BASE + 0x80;
const CODE_END: u64 = BASE + 0x100;

/// `sub sp, sp, #bytes`.
fn lower(bytes: u32) -> u32 {
    0xd100_03ff | bytes << 10
}

/// An entry of call frame information (Linux Standard Base Core, 10.6.1; DWARF 5, 6.4.1), with its length.
fn entry(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0); // DW_CFA_nop
    let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// What is said of `functions`: start and instructions, each 0x20 bytes long.
fn information(functions: &[(u64, &[u8])]) -> Vec<u8> {
    // Version 1, addresses as they are; units of 1 and -8 bytes; x30 has the return address.
    let mut bytes =
        entry(&[&[0; 4][..], &[1], b"zR\0", &[1, 0x78, 30, 1, 0], &[0x0c, 31, 0]].concat());
    for (start, instructions) in functions {
        let to_common = u32::try_from(bytes.len() + 4).unwrap().to_le_bytes();
        let place = [start.to_le_bytes(), 0x20_u64.to_le_bytes()].concat();
        bytes.extend(entry(&[&to_common[..], &place, &[0], instructions].concat()));
    }
    bytes.extend([0; 4]);
    bytes
}

/// Calls lead from assembly, of which nothing is said, to `outer`, which keeps x30 at the top of its 32
/// bytes; `framed`, which finds its caller from x29 and takes 16 and 64; `inner`, which keeps x29, which it
/// changes, and x30 at the top of its 48, all of which is said only of what is behind its prologue; and
/// `leaf`.
fn unwinder() -> Unwinder {
    let mut words = vec![NOP; 0x40];
    let mut put = |at: u64, instructions: &[u32]| {
        let place = usize::try_from((at - BASE) / 4).unwrap();
        words[place..place + instructions.len()].copy_from_slice(instructions);
    };
    put(BASE, &[0x9400_0004]);
    put(OUTER, &[lower(32), 0xf900_0ffe, 0x9400_0006]);
    put(FRAMED, &[0xa9bf_7bfd, 0x9100_03fd, lower(64), 0x9400_0009]);
    put(INNER, &[lower(48), 0xa902_7bfd, 0xaa00_03fd, BLR]);
    // DW_CFA_advance_loc; def_cfa_offset or def_cfa; offset of x30, of x29.
    let information = information(&[
        (OUTER, &[0x48, 0x0e, 32, 0x80 | 30, 1]),
        (FRAMED, &[0x48, 0x0c, 29, 16, 0x80 | 30, 1, 0x80 | 29, 2]),
        (INNER, &[0x48, 0x0e, 48, 0x80 | 30, 1, 0x80 | 29, 2]),
        (LEAF, &[]),
    ]);
    let code = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Unwinder::new(information, INFORMATION, vec![(BASE, code)])
}

/// The stack under `leaf`: 48 bytes of `inner`, 80 of `framed`, 32 of `outer`.
fn stack() -> BTreeMap<u64, Word> {
    let plain = |address| Word { address, frame: None };
    BTreeMap::from([
        // A word that is left over.
        (SP + 8, plain(OUTER_CALL)),
        (SP + 40, Word { address: FRAMED_CALL, frame: Some(SP + 112) }),
        (SP + 56, plain(INNER_CALL)),
        (SP + 120, plain(OUTER_CALL)),
        (SP + 152, plain(ENTRY_CALL)),
        (SP + 168, plain(INNER_CALL)),
        // Not behind a call.
        (SP + 176, plain(LEAF)),
    ])
}

/// A crash in `leaf`.
fn report() -> Report {
    Report { pc: LEAF + 4, lr: INNER_CALL, fp: 0x1234, sp: SP, stack: stack() }
}

fn callers(report: &Report) -> Vec<u64> {
    let Chain { callers, guesses } = unwinder().chain(report);
    assert_eq!(guesses, [0; 0]);
    callers
}

#[test]
fn callers_are_told_from_what_is_left_over() {
    assert_eq!(callers(&report()), [INNER_CALL, FRAMED_CALL, OUTER_CALL, ENTRY_CALL]);
}

#[test]
fn registers_at_the_crash_count_in_its_function() {
    // Where `framed` calls `inner`, which has not begun.
    let at = Report { pc: INNER, lr: FRAMED_CALL, fp: SP + 112, sp: SP + 48, stack: stack() };
    assert_eq!(callers(&at), [FRAMED_CALL, OUTER_CALL, ENTRY_CALL]);
    // Within `framed`, x30 having been used for something else.
    let at = Report { pc: FRAMED + 12, lr: 0, ..at };
    assert_eq!(callers(&at), [OUTER_CALL, ENTRY_CALL]);
}

#[test]
fn a_prologue_is_followed_instruction_by_instruction() {
    // The frame is made, nothing is in it: what is where x30 will be is left over.
    let mut at = Report { pc: INNER + 4, lr: FRAMED_CALL, fp: SP + 112, ..report() };
    at.stack.insert(SP + 40, Word { address: INNER_CALL, frame: None });
    assert_eq!(callers(&at), [FRAMED_CALL, OUTER_CALL, ENTRY_CALL]);
    // x29 and x30 are on the stack, which nothing says yet; `outer` is found by where the stack was.
    let at = Report { pc: FRAMED + 4, lr: OUTER_CALL, fp: 0, sp: SP + 112, stack: stack() };
    assert_eq!(callers(&at), [OUTER_CALL, ENTRY_CALL]);
}

#[test]
fn a_frame_that_is_gone_leaves_the_caller_in_x30() {
    let at = Report { pc: INNER + 12, lr: FRAMED_CALL, fp: SP + 112, sp: SP + 48, stack: stack() };
    assert_eq!(callers(&at), [FRAMED_CALL, OUTER_CALL, ENTRY_CALL]);
}

#[test]
fn a_call_of_what_is_no_code_has_a_caller() {
    for pc in [0, CODE_END, u64::MAX - 3] {
        assert_eq!(callers(&Report { pc, ..report() })[0], INNER_CALL, "{pc:#x}");
    }
    // In assembly x30 can be anything.
    assert_eq!(callers(&Report { pc: BASE, ..report() }), [0; 0]);
}

#[test]
fn where_nothing_is_certain_there_are_guesses() {
    let chain = |report: &Report| {
        let Chain { callers, guesses } = unwinder().chain(report);
        (callers, guesses)
    };
    // The report does not go as far up, or the word was overwritten.
    let mut cut = report();
    cut.stack.remove(&(SP + 152));
    let certain = vec![INNER_CALL, FRAMED_CALL, OUTER_CALL];
    assert_eq!(chain(&cut), (certain, vec![INNER_CALL]));
    // x29 is lost.
    let mut lost = report();
    lost.stack.insert(SP + 40, Word { address: FRAMED_CALL, frame: None });
    let above = vec![INNER_CALL, OUTER_CALL, ENTRY_CALL, INNER_CALL];
    assert_eq!(chain(&lost), (vec![INNER_CALL, FRAMED_CALL], above));
    // A frame below the stack pointer would lead in a circle.
    lost.stack.insert(SP + 40, Word { address: FRAMED_CALL, frame: Some(SP) });
    assert_eq!(chain(&lost).0, [INNER_CALL, FRAMED_CALL]);
    // Neither a function nor a caller.
    let nowhere = Report { pc: 0, lr: u64::MAX, sp: SP + 100, ..report() };
    assert_eq!(chain(&nowhere), (vec![], vec![OUTER_CALL, ENTRY_CALL, INNER_CALL]));
}

#[test]
fn a_chain_has_an_end() {
    // A function that calls itself.
    let word = Word { address: OUTER_CALL, frame: None };
    let stack = (0..5000).map(|depth| (SP + 24 + 32 * depth, word));
    let report = Report { pc: OUTER_CALL - 4, lr: 0, fp: 0, sp: SP, stack: stack.collect() };
    assert_eq!(unwinder().chain(&report).callers, vec![OUTER_CALL; MOST]);
}

#[test]
fn frames_have_the_extent_that_is_said() {
    let unwinder = unwinder();
    let extent = |bytes, is_by_x29| Some(Extent { bytes, is_by_x29 });
    assert_eq!(unwinder.frame(OUTER), extent(32, false));
    assert_eq!(unwinder.frame(FRAMED), extent(0, true));
    assert_eq!(unwinder.frame(INNER), extent(48, false));
    assert_eq!(unwinder.frame(LEAF), extent(0, false));
    assert_eq!(unwinder.frame(BASE), None, "assembly");
    assert_eq!(unwinder.frame(OUTER + 4), None, "not its first instruction");
}

#[test]
fn what_is_no_hypervisor_is_refused() {
    assert!(Unwinder::of(b"\x7fELF").is_err());
}
