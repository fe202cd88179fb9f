//! Accesses to emulated devices, in the guest's registers.

use super::*;
use crate::esr::Access;
use crate::testing::cpu::{Lists, Traced};
use crate::testing::vm::{CONSOLE, GIC};

/// GICD_IPRIORITYR of SPI 40 to 43: five bits of each are there. GICD_IROUTER of SPI 40.
const PRIORITY: u64 = 0x400 + 40;
const ROUTER: u64 = 0x6000 + 8 * 40;
/// UARTIBRD of a PL011: 16 bits (DDI0183, 3.3.5).
const IBRD: u64 = CONSOLE + 0x24;

const REGISTER: u8 = 5;
const RT: usize = REGISTER as usize;

/// A protected VM that has guarded its console and the first pages of its distributor.
fn guest() -> Guest {
    let guest = Guest::protected();
    for page in [CONSOLE, GIC, GIC + 0x6000] {
        guest.vm.space.guard_map(Ipa(page), None).unwrap();
    }
    guest
}

fn load(guest: &mut Guest, ipa: u64, esr: u64) -> u64 {
    let before = guest.vcpu.frame.clone();
    let next = guest.abort(ipa, esr);
    guest.assert_done(next);
    let mut after = guest.vcpu.frame.clone();
    let value = core::mem::replace(&mut after.x[RT], before.x[RT]);
    assert_eq!(after, before, "no other register");
    value
}

#[test]
fn a_store_moves_as_many_bytes_as_it_says() {
    for (ipa, width, value, seen) in [
        (GIC + PRIORITY, Width::Byte, 0xffff_ffff_ffff_ff80, [0x80, 0, 0, 0]),
        (GIC + PRIORITY, Width::Word, 0xffff_ffff_b0a0_9080, [0x80, 0x90, 0xa0, 0xb0]),
    ] {
        let mut guest = guest();
        guest.vcpu.frame.x[RT] = value;
        let before = guest.vcpu.frame.clone();
        let next = guest.abort(ipa, iss(width, RT as u64) | WNR);
        guest.assert_done(next);
        assert_eq!(guest.vcpu.frame, before);
        let bytes: [u64; 4] = core::array::from_fn(|n| guest.gic_byte(PRIORITY + n as u64));
        assert_eq!(bytes, seen);
    }
    let mut guest = guest();
    guest.vcpu.frame.x[RT] = 0xffff_ffff_ffff_1234;
    let next = guest.abort(IBRD, iss(Width::Half, RT as u64) | WNR);
    guest.assert_done(next);
    guest.cpu.pc.set(PC);
    guest.cpu.pstate.set(PSTATE);
    assert_eq!(load(&mut guest, IBRD, iss(Width::Word, RT as u64)), 0x1234);
    guest.vcpu.frame.x[RT] = 2;
    guest.cpu.pc.set(PC);
    guest.cpu.pstate.set(PSTATE);
    let next = guest.abort(GIC + ROUTER, iss(Width::Double, RT as u64) | WNR | SF);
    guest.assert_done(next);
    guest.cpu.pc.set(PC);
    guest.cpu.pstate.set(PSTATE);
    assert_eq!(load(&mut guest, GIC + ROUTER, iss(Width::Double, RT as u64) | SF), 2);
}

/// Arm ARM, LDR*, LDRS*: a W register's upper half is zero, whatever was there.
#[test]
fn a_load_extends_as_it_says() {
    for (ipa, width, bits, value) in [
        (GIC + PRIORITY, Width::Byte, 0, 0xb0),
        (GIC + PRIORITY, Width::Byte, SF, 0xb0),
        (GIC + PRIORITY, Width::Byte, SSE, 0xffff_ffb0),
        (GIC + PRIORITY, Width::Byte, SSE | SF, 0xffff_ffff_ffff_ffb0),
        (IBRD, Width::Half, 0, 0x8765),
        (IBRD, Width::Half, SSE, 0xffff_8765),
        (IBRD, Width::Half, SSE | SF, 0xffff_ffff_ffff_8765),
        (GIC + PRIORITY, Width::Word, 0, 0x80a0_90b0),
        (GIC + PRIORITY, Width::Word, SSE | SF, 0xffff_ffff_80a0_90b0),
    ] {
        let mut guest = guest();
        guest.gic_write(PRIORITY, Width::Word, 0x80a0_90b0);
        guest.vcpu.frame.x[RT] = 0x8765;
        guest.abort(IBRD, iss(Width::Half, RT as u64) | WNR);
        guest.cpu.pc.set(PC);
        guest.cpu.pstate.set(PSTATE);
        guest.vcpu.frame.x[RT] = u64::MAX;
        assert_eq!(load(&mut guest, ipa, iss(width, RT as u64) | bits), value);
    }
}

/// SCTLR_EL1.EE is EL1's, E0E (bit 24) EL0's.
#[test]
fn a_big_endian_guests_bytes_are_turned() {
    for (sctlr, pstate, is_turned) in [
        (EE, PSTATE, true),
        (1 << 24, PSTATE, false),
        (1 << 24, PSTATE & !0xf, true),
        (EE, PSTATE & !0xf, false),
    ] {
        let mut guest = guest();
        guest.cpu.set(El1::Sctlr, sctlr);
        guest.cpu.pstate.set(pstate);
        guest.vcpu.frame.x[RT] = 0xb0a0_9080;
        guest.abort(GIC + PRIORITY, iss(Width::Word, RT as u64) | WNR);
        let bytes: [u64; 4] = core::array::from_fn(|n| guest.gic_byte(PRIORITY + n as u64));
        let seen = [0x80, 0x90, 0xa0, 0xb0];
        let turned = [0xb0, 0xa0, 0x90, 0x80];
        assert_eq!(bytes, if is_turned { turned } else { seen }, "{sctlr:#x} {pstate:#x}");
        guest.vcpu.frame.x[RT] = 0;
        guest.abort(GIC + PRIORITY, iss(Width::Word, RT as u64));
        assert_eq!(guest.vcpu.frame.x[RT], 0xb0a0_9080);
    }
}

#[test]
fn register_31_is_zero() {
    let mut guest = guest();
    guest.gic_write(PRIORITY, Width::Byte, 0xb0);
    let before = guest.vcpu.frame.clone();
    let next = guest.abort(GIC + PRIORITY, iss(Width::Byte, 31));
    guest.assert_done(next);
    assert_eq!(guest.vcpu.frame, before);
    guest.abort(GIC + PRIORITY, iss(Width::Byte, 31) | WNR);
    assert_eq!(guest.gic_byte(PRIORITY), 0);
    assert_eq!(guest.vcpu.frame, before);
}

#[test]
fn an_access_is_traced_with_what_it_writes() {
    let ipa = Ipa(GIC + PRIORITY);
    for direction in BOTH {
        let mut guest = guest().traced();
        guest.vcpu.frame.x[RT] = 0xffff_ff98;
        let is_write = direction == Direction::Write;
        guest.abort(ipa.get(), iss(Width::Byte, RT as u64) | if is_write { WNR } else { 0 });
        let (width, register) = (Width::Byte, REGISTER);
        let access = Access::new(direction, width, register, false, false);
        let value = if is_write { 0x98 } else { 0 };
        assert_eq!(*guest.cpu.traced.borrow(), [Traced::Access { ipa, access, value }]);
    }
}

/// GICD_ISACTIVER of an SPI that another vCPU has in its list registers: that one is asked, and the guest
/// loads again.
#[test]
fn a_load_that_another_cpu_must_answer_is_made_again() {
    let mut guest = guest();
    let other = Lists::default();
    let _ = guest.vm.gic.vcpu_on(2, &mut &other);
    guest.gic_write(0, Width::Word, 3);
    guest.gic_write(ROUTER, Width::Double, 2);
    for set in [0x84, 0x104, 0x204] {
        guest.gic_write(set, Width::Word, 1 << 8);
    }
    let _ = guest.vm.gic.sync(2, &mut &other);
    assert!(other.is_pending(40));
    guest.cpu.desk.kicked.set(Kicks::NONE);
    let before = guest.vcpu.frame.clone();
    let next = guest.abort(GIC + 0x304, iss(Width::Word, RT as u64));
    guest.assert_again(next);
    assert_eq!(guest.vcpu.frame, before);
    assert!(guest.vcpu.liveness.is_quiet);
    assert_eq!((guest.cpu.given_way.get(), guest.cpu.desk.kicked.get()), (1, Kicks::NONE.with(6)));
    // It is pending and not active.
    let _ = guest.vm.gic.sync(2, &mut &other);
    assert_eq!(load(&mut guest, GIC + 0x304, iss(Width::Word, RT as u64)), 0);
    assert_eq!(guest.cpu.given_way.get(), 1);
}
