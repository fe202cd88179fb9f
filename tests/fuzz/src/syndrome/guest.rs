//! What the guest finds at its vector, and behind an instruction that EL2 carries out.

use hyp_core::addr::Va;
use hyp_core::inject::{
    AbortCause, Exception, GuestState, PstateFeatures, advance, advance_aarch32, is_big_endian,
    take,
};

use super::bits;
use crate::bytes::Bytes;

/// The guest's registers at the trap. In AArch64 state the hardware knows EL0t, EL1t and EL1h.
pub(super) fn state(bytes: &mut Bytes<'_>) -> GuestState {
    let (pc, mut pstate) = (bytes.u64(), bytes.u64());
    if bits(pstate, 4, 4) == 0 {
        pstate = pstate >> 5 << 5
            | [0b0000, 0b0100, 0b0101, 0b0101][usize::try_from(bits(pstate, 1, 0)).unwrap()];
    }
    GuestState { pc, pstate, vbar_el1: bytes.u64(), sctlr_el1: bytes.u64() }
}

/// Any exception, and registers.
pub(super) fn check(bytes: &mut Bytes<'_>) {
    let guest = state(bytes);
    let features = PstateFeatures::from_bits_truncate(bytes.u8());
    let address = Va(bytes.u64());
    let cause = match bytes.u8() % 7 {
        0 => AbortCause::Access,
        1 => AbortCause::Unsupported,
        level => AbortCause::Walk { level: level.cast_signed() - 3 },
    };
    let exception = match bytes.u8() % 3 {
        0 => Exception::DataAbort { address, cause },
        1 => Exception::FetchAbort { address, cause },
        _ => Exception::Undefined,
    };
    taken(exception, &guest, features);
    stepped(&guest);
}

/// `AArch64.TakeException` for a target of EL1, and `AArch64.ExceptionClass`.
pub(super) fn taken(exception: Exception, guest: &GuestState, features: PstateFeatures) {
    let old = guest.pstate;
    let is_aarch32 = bits(old, 4, 4) == 1;
    // AArch32 user mode is 0b0000; the others of AArch32 are at EL1, of which no VM has any.
    let from_el0 = if is_aarch32 { bits(old, 3, 0) == 0 } else { bits(old, 3, 2) == 0 };
    let found = take(exception, guest, features);
    let offset = match (is_aarch32, from_el0, bits(old, 0, 0)) {
        (true, ..) => 0x600,
        (false, true, _) => 0x400,
        (false, false, 1) => 0x200,
        (false, false, _) => 0,
    };
    assert_eq!(found.pc, (guest.vbar_el1 >> 11 << 11).wrapping_add(offset));
    assert_eq!((found.elr_el1, found.spsr_el1), (guest.pc, old));
    let status = |cause| match cause {
        AbortCause::Access => 0b01_0000,
        AbortCause::Walk { level: -1 } => 0b01_0011,
        AbortCause::Walk { level } => 0b01_0100 | u64::from(level.cast_unsigned()),
        AbortCause::Unsupported => 0b11_0101,
    };
    let (class, iss, far) = match exception {
        Exception::DataAbort { address, cause } => (0x25, status(cause), Some(address.get())),
        Exception::FetchAbort { address, cause } => (0x21, status(cause), Some(address.get())),
        Exception::Undefined => (0, 0, None),
    };
    let class = class - u64::from(class != 0 && from_el0);
    assert_eq!(found.esr_el1, class << 26 | 1 << 25 | iss);
    assert_eq!(found.far_el1, far);
    // PSTATE.{N,Z,C,V} and DIT stay, {D,A,I,F} are set, EL1 with its own stack pointer.
    let mut pstate = bits(old, 31, 28) << 28 | bits(old, 24, 24) << 24 | 0xf << 6 | 0b0101;
    let sctlr = |at| bits(guest.sctlr_el1, at, at) == 1;
    if features.contains(PstateFeatures::PAN) && (bits(old, 22, 22) == 1 || !sctlr(23)) {
        pstate |= 1 << 22;
    }
    if features.contains(PstateFeatures::SSBS) && sctlr(44) {
        pstate |= 1 << 12;
    }
    if features.contains(PstateFeatures::MTE) {
        pstate |= 1 << 25;
    }
    if features.contains(PstateFeatures::NMI) && !sctlr(62) {
        pstate |= 1 << 13;
    }
    assert_eq!(found.pstate, pstate, "from {old:#x}");
}

/// What an instruction leaves behind (`AArch32.ITAdvance`; PSTATE.SS and BTYPE).
fn stepped(guest: &GuestState) {
    let cleared = 1 << 21 | 3 << 10;
    assert_eq!(
        advance(guest.pc, guest.pstate),
        (guest.pc.wrapping_add(4), guest.pstate & !cleared)
    );
    let it = bits(guest.pstate, 15, 10) << 2 | bits(guest.pstate, 26, 25);
    let next = if bits(it, 2, 0) == 0 { 0 } else { bits(it, 7, 5) << 5 | bits(it << 1, 4, 0) };
    let rest = guest.pstate & !(1 << 21 | 0x3f << 10 | 3 << 25);
    let pstate = rest | bits(next, 7, 2) << 10 | bits(next, 1, 0) << 25;
    for is_16bit in [false, true] {
        let length = if is_16bit && bits(guest.pstate, 5, 5) == 1 { 2 } else { 4 };
        let pc = bits(guest.pc.wrapping_add(length), 31, 0);
        assert_eq!(advance_aarch32(guest.pc, guest.pstate, is_16bit), (pc, pstate));
    }
    let big = match (bits(guest.pstate, 4, 4), bits(guest.pstate, 3, 2)) {
        (1, _) => bits(guest.pstate, 9, 9),
        (_, 0) => bits(guest.sctlr_el1, 24, 24),
        _ => bits(guest.sctlr_el1, 25, 25),
    };
    assert_eq!(is_big_endian(guest.pstate, guest.sctlr_el1), big == 1);
}
