//! What a guest is made to take.

use super::*;
use crate::addr::Va;
use crate::testing::cpu::Traced;
use crate::trap::serror;

/// D1.3.1.5: from EL1 with SP_EL0, from EL0, from AArch32.
#[test]
fn the_vector_and_the_class_are_those_of_where_it_came_from() {
    for (pstate, offset, esr, taken) in [
        (0x3c4, 0x000, 0x9600_0010, 0x3c5),
        (0x000, 0x400, 0x9200_0010, 0x3c5),
        (0x010, 0x600, 0x9200_0010, 0x3c5),
        // DIT and the flags stay; IL, PAN, which this CPU has not, and UAO do not.
        (0xf1d0_0005, 0x200, 0x9600_0010, 0xf100_03c5),
    ] {
        let mut guest = Guest::normal();
        guest.cpu.pstate.set(pstate);
        assert_eq!(guest.abort(NOWHERE, iss(Width::Word, 1)), Next::Resume);
        assert_eq!(guest.cpu.get(El1::Esr), esr, "{pstate:#x}");
        assert_eq!(guest.cpu.get(El1::Spsr), pstate);
        assert_eq!((guest.cpu.pc.get(), guest.cpu.pstate.get()), (VBAR + offset, taken));
    }
}

/// PSTATE.PAN (22) is set unless SCTLR_EL1.SPAN (23) is; PSTATE.SSBS (12) is SCTLR_EL1.DSSBS (44).
#[test]
fn pstate_is_what_the_home_and_sctlr_make_of_it() {
    for (sctlr, pstate) in [(1 << 23, 0x3c5), (0, 0x40_03c5), (1 << 44, 0x40_13c5)] {
        let mut guest = Guest::normal();
        guest.vcpu.home.pstate = PstateFeatures::PAN | PstateFeatures::SSBS;
        guest.cpu.set(El1::Sctlr, sctlr);
        guest.cpu.pstate.set(0x5);
        guest.trap(0);
        assert_eq!(guest.cpu.pstate.get(), pstate, "{sctlr:#x}");
    }
}

#[test]
fn what_is_refused_is_traced_where_that_is_wanted() {
    let mut guest = Guest::normal().traced();
    guest.abort(NOWHERE, iss(Width::Word, 1));
    guest.trap(0);
    assert_eq!(*guest.cpu.traced.borrow(), [Traced::Refused, Traced::Undefined]);
    let mut guest = Guest::normal();
    guest.abort(NOWHERE, iss(Width::Word, 1));
    guest.trap(0);
    assert_eq!(*guest.cpu.traced.borrow(), []);
}

#[test]
fn an_serror_is_recorded_and_pended() {
    let guest = Guest::normal();
    serror(&guest.vcpu, guest.cpu);
    assert_eq!(guest.cpu.serrors.get(), 1);
    let expected = Guest::expected(Reason::SError, Touch::Unknown, 0, 0);
    assert_eq!(guest.event(), Event { va: Va(0), ..expected });
    assert_eq!((guest.cpu.pc.get(), guest.cpu.pstate.get()), (PC, PSTATE));
}

/// A guest whose vectors lie off memory: the instruction that took the exception is to blame.
#[test]
fn vectors_off_memory_are_blamed_on_where_the_exception_came_from() {
    const ORIGIN: u64 = RAM + 0x2000;
    for (kind, spsr, elr, reason, pc) in [
        (0x200, 0x3c5, ORIGIN, Reason::NoVectors, ORIGIN),
        // An IRQ from EL0.
        (0x480, 0, ORIGIN, Reason::NoVectors, ORIGIN),
        // Not where SPSR_EL1 says; a jump; out of the vectors themselves.
        (0x400, 0x3c5, ORIGIN, Reason::FetchOffMemory, NOWHERE + 0x400),
        (0x204, 0x3c5, ORIGIN, Reason::FetchOffMemory, NOWHERE + 0x204),
        (0x200, 0x3c5, NOWHERE + 0x200, Reason::FetchOffMemory, NOWHERE + 0x200),
    ] {
        let mut guest = Guest::normal();
        guest.cpu.set(El1::Vbar, NOWHERE);
        guest.cpu.set(El1::Elr, elr);
        guest.cpu.set(El1::Spsr, spsr);
        guest.cpu.pc.set(NOWHERE + kind);
        guest.cpu.pstate.set(0x3c5);
        assert_eq!(guest.abort(NOWHERE + kind, FETCH | TRANSLATION), Next::Resume);
        let expected = Guest::expected(reason, Touch::Fetch, 0, NOWHERE + kind);
        assert_eq!(guest.event(), Event { pc, ..expected });
        assert_eq!(guest.cpu.get(El1::Elr), NOWHERE + kind);
        assert_eq!(guest.cpu.pc.get(), NOWHERE + 0x200);
    }
    // A load off memory is what it is, wherever it comes from.
    let mut guest = Guest::normal();
    guest.cpu.set(El1::Elr, ORIGIN);
    guest.cpu.set(El1::Spsr, 0x3c5);
    guest.cpu.pc.set(VBAR + 0x200);
    guest.abort(NOWHERE, iss(Width::Word, 1));
    assert_eq!((guest.event().reason, guest.event().pc), (Reason::NoDevice, VBAR + 0x200));
}
