//! Loads and stores without a syndrome in a normal VM. The words are an assembler's.

use super::*;
use crate::addr::{Pa, Va};
use crate::esr::Access;
use crate::inject::Rights;
use crate::testing::cpu::{Lists, Traced};
use crate::testing::vm::{CONSOLE, DEVICE, GIC, RAM_PA};

const LDP_X1_X2: u32 = 0xa940_0801;
const STP_X1_X2: u32 = 0xa900_0801;
const LDP_W1_W2: u32 = 0x2940_0801;
/// STR w1, [x0], #4.
const STR_POST: u32 = 0xb800_4401;
/// LDR w1, [x0, #4]!
const LDR_PRE: u32 = 0xb840_4c01;
/// LDR w1, [sp], #4.
const LDR_SP: u32 = 0xb840_47e1;
const LDR_S1: u32 = 0xbd40_0001;
const STR_D1: u32 = 0xfd00_0001;
/// LDADD w1, w2, [x0].
const LDADD: u32 = 0xb821_0002;
/// CAS w1, w2, [x0].
const CAS: u32 = 0x88a1_7c02;
const LDXR: u32 = 0x885f_7c01;
const PRFM: u32 = 0xf980_0000;
const LDTR: u32 = 0xb840_0801;
const NOP: u32 = 0xd503_201f;
/// LDR w1, with this instruction as its place.
const LDR_LITERAL: u32 = 0x1800_0001;

/// No ISV.
const LOAD: u64 = DATA | TRANSLATION;
const STORE: u64 = LOAD | WNR;
const SEA: u64 = 0x9600_0010;

/// GICD_IROUTER of SPI 40; IPRIORITYR of 40 to 43; five bits of each are there.
const ROUTER: u64 = GIC + 0x6000 + 8 * 40;
const PRIORITY: u64 = GIC + 0x400 + 40;

/// CPACR_EL1.FPEN: no trap; EL0's trap.
const FPEN: u64 = 3 << 20;
const FPEN_EL1: u64 = 1 << 20;

/// A normal VM whose next instruction is `word`, with `x0`.
fn at(word: u32, x0: u64) -> Guest {
    let mut guest = Guest::normal();
    let _ = guest.vm.space.populate(Ipa(RAM), || false).unwrap();
    for (n, byte) in (0..).zip(word.to_le_bytes()) {
        guest.machine.poke(Pa(RAM_PA + PC - RAM + n), byte);
    }
    guest.vcpu.frame.x[0] = x0;
    guest.cpu.set(El1::Cpacr, FPEN);
    guest
}

impl Guest {
    fn set_router(&self, n: u64, value: u64) {
        self.gic_write(ROUTER - GIC + 8 * n, Width::Double, value);
    }

    fn router(&self, n: u64) -> u64 {
        let mut lists = &self.cpu.lists;
        let read = self.vm.gic.read(
            SELF,
            RegisterFile::Distributor,
            ROUTER - GIC + 8 * n,
            Width::Double,
            &mut lists,
        );
        let Read::Value(value) = read else { panic!() };
        value
    }

    fn priorities(&self) -> u64 {
        (0..4).map(|n| self.gic_byte(PRIORITY - GIC + n) << (8 * n)).sum()
    }

    /// Nothing was moved and nothing changed; the guest executes its instruction again.
    #[track_caller]
    fn assert_untouched(&self, next: Next, before: &crate::vcpu::Frame) {
        self.assert_again(next);
        assert_eq!(&self.vcpu.frame, before);
        assert!(self.vcpu.liveness.is_quiet);
    }
}

#[test]
fn a_pair_is_loaded_and_stored() {
    let mut guest = at(LDP_X1_X2, va(ROUTER));
    guest.set_router(0, 2);
    guest.set_router(1, 1);
    let mut after = guest.vcpu.frame.clone();
    let next = guest.abort(ROUTER, LOAD);
    guest.assert_done(next);
    (after.x[1], after.x[2]) = (2, 1);
    assert_eq!(guest.vcpu.frame, after);

    let mut guest = at(STP_X1_X2, va(ROUTER));
    (guest.vcpu.frame.x[1], guest.vcpu.frame.x[2]) = (2, 1);
    let before = guest.vcpu.frame.clone();
    // It is the second that faulted: both are done.
    let next = guest.abort(ROUTER + 8, STORE);
    guest.assert_done(next);
    assert_eq!((guest.router(0), guest.router(1)), (2, 1));
    assert_eq!(guest.vcpu.frame, before);
}

#[test]
fn each_piece_is_traced() {
    let mut guest = at(LDP_X1_X2, va(ROUTER)).traced();
    guest.abort(ROUTER, LOAD);
    let access = Access::new(Direction::Read, Width::Double, 31, false, true);
    let piece = |ipa| Traced::Access { ipa: Ipa(ipa), access, value: 0 };
    assert_eq!(*guest.cpu.traced.borrow(), [piece(ROUTER), piece(ROUTER + 8)]);
    let mut guest = at(STP_X1_X2, va(ROUTER)).traced();
    (guest.vcpu.frame.x[1], guest.vcpu.frame.x[2]) = (2, 1);
    guest.abort(ROUTER, STORE);
    let access = Access::new(Direction::Write, Width::Double, 31, false, true);
    let piece = |ipa, value| Traced::Access { ipa: Ipa(ipa), access, value };
    assert_eq!(*guest.cpu.traced.borrow(), [piece(ROUTER, 2), piece(ROUTER + 8, 1)]);
}

#[test]
fn the_base_register_is_written_back() {
    let mut guest = at(STR_POST, va(PRIORITY));
    guest.vcpu.frame.x[1] = 0xffff_ffff_b0a0_9080;
    let mut after = guest.vcpu.frame.clone();
    let next = guest.abort(PRIORITY, STORE);
    guest.assert_done(next);
    after.x[0] = va(PRIORITY) + 4;
    assert_eq!((guest.priorities(), &guest.vcpu.frame), (0xb0a0_9080, &after));

    let mut guest = at(LDR_PRE, va(PRIORITY) - 4);
    guest.gic_write(PRIORITY - GIC, Width::Word, 0xb0a0_9080);
    let mut after = guest.vcpu.frame.clone();
    let next = guest.abort(PRIORITY, LOAD);
    guest.assert_done(next);
    (after.x[0], after.x[1]) = (va(PRIORITY), 0xb0a0_9080);
    assert_eq!(guest.vcpu.frame, after);
}

/// PSTATE.SP selects the stack pointer.
#[test]
fn the_base_may_be_either_stack_pointer() {
    for (pstate, used, other) in [
        (0x3c5, El1::SpEl1, El1::SpEl0),
        (0x3c4, El1::SpEl0, El1::SpEl1),
        (0x000, El1::SpEl0, El1::SpEl1),
    ] {
        let mut guest = at(LDR_SP, 0);
        guest.cpu.pstate.set(pstate);
        guest.cpu.set(used, va(PRIORITY));
        guest.cpu.set(other, 0x5000);
        guest.gic_write(PRIORITY - GIC, Width::Word, 0xb0a0_9080);
        assert_eq!(guest.abort(PRIORITY, LOAD), Next::Resume);
        assert_eq!(guest.vcpu.frame.x[1], 0xb0a0_9080);
        assert_eq!(guest.cpu.get(used), va(PRIORITY) + 4);
        assert_eq!(guest.cpu.get(other), 0x5000);
        assert_eq!(guest.cpu.pc.get(), PC + 4);
    }
}

#[test]
fn vector_registers_are_moved() {
    let mut guest = at(LDR_S1, va(PRIORITY));
    guest.gic_write(PRIORITY - GIC, Width::Word, 0xb0a0_9080);
    *guest.cpu.vectors.borrow_mut() = core::array::from_fn(|n| u128::MAX - n as u128);
    let mut after = *guest.cpu.vectors.borrow();
    let frame = guest.vcpu.frame.clone();
    let next = guest.abort(PRIORITY, LOAD);
    guest.assert_done(next);
    after[1] = 0xb0a0_9080;
    assert_eq!((*guest.cpu.vectors.borrow(), guest.cpu.vector_writes.get()), (after, 1));
    assert_eq!(guest.vcpu.frame, frame);

    let mut guest = at(STR_D1, va(ROUTER));
    guest.cpu.vectors.borrow_mut()[1] = 0xdead << 64 | 2;
    let next = guest.abort(ROUTER, STORE);
    guest.assert_done(next);
    assert_eq!((guest.router(0), guest.cpu.vector_writes.get()), (2, 0));
}

/// CPACR_EL1.FPEN: what faulted was another instruction, since this one would have trapped to EL1.
#[test]
fn vector_registers_that_the_guest_may_not_use_are_not_reached() {
    for (cpacr, pstate, is_done) in [
        (0, PSTATE, false),
        (FPEN_EL1, PSTATE, true),
        (FPEN_EL1, PSTATE & !0xf, false),
        (FPEN, PSTATE & !0xf, true),
    ] {
        let mut guest = at(LDR_S1, va(PRIORITY));
        guest.cpu.set(El1::Cpacr, cpacr);
        guest.cpu.pstate.set(pstate);
        guest.abort(PRIORITY, LOAD);
        assert_eq!(guest.cpu.pc.get() != PC, is_done, "{cpacr:#x} {pstate:#x}");
        assert_eq!(guest.cpu.vector_writes.get(), u32::from(is_done));
        // General registers do not ask.
        let mut guest = at(LDP_W1_W2, va(PRIORITY));
        guest.cpu.set(El1::Cpacr, cpacr);
        guest.cpu.pstate.set(pstate);
        guest.abort(PRIORITY, LOAD);
        assert_ne!(guest.cpu.pc.get(), PC);
    }
}

/// B2.2, "Atomic instructions": one load, one store.
#[test]
fn atomics_are_a_load_and_a_store() {
    for esr in [LOAD, STORE] {
        let mut guest = at(LDADD, va(PRIORITY));
        guest.gic_write(PRIORITY - GIC, Width::Word, 0x1010_1010);
        guest.vcpu.frame.x[1] = 0x8070_6050;
        let mut after = guest.vcpu.frame.clone();
        let next = guest.abort(PRIORITY, esr);
        guest.assert_done(next);
        after.x[2] = 0x1010_1010;
        assert_eq!((guest.priorities(), &guest.vcpu.frame), (0x9080_7060, &after));
        // A write is asked about, in the rights of EL1.
        let asked = guest.cpu.asked.borrow();
        assert!(asked.contains(&(Va(va(PRIORITY)), true, Rights::Kernel)), "{asked:?}");
    }
    // A compare that fails stores nothing.
    for (compared, stored) in [(0x1010_1010, 0x8888_8888), (0x1010_1018, 0x1010_1010)] {
        let mut guest = at(CAS, va(PRIORITY));
        guest.gic_write(PRIORITY - GIC, Width::Word, 0x1010_1010);
        (guest.vcpu.frame.x[1], guest.vcpu.frame.x[2]) = (compared, 0x8888_8888);
        let next = guest.abort(PRIORITY, LOAD);
        guest.assert_done(next);
        assert_eq!((guest.priorities(), guest.vcpu.frame.x[1]), (stored, 0x1010_1010));
    }
}

/// A load of a page that the guest may only read faulted, and another CPU put an atomic in its place.
#[test]
fn an_atomic_must_be_allowed_to_write() {
    let mut guest = at(LDADD, va(PRIORITY));
    guest.cpu.read_only.borrow_mut().push((va(PRIORITY) & !0xfff) << 8 >> 8);
    let before = guest.vcpu.frame.clone();
    let next = guest.abort(PRIORITY, LOAD);
    guest.assert_untouched(next, &before);
    // Nor may it have been mapped elsewhere.
    let mut guest = at(LDADD, va(PRIORITY));
    guest.cpu.par.borrow_mut().insert((va(PRIORITY) & !0xfff) << 8 >> 8, CONSOLE);
    let before = guest.vcpu.frame.clone();
    let next = guest.abort(PRIORITY, LOAD);
    guest.assert_untouched(next, &before);
    // A plain load is not asked.
    let mut guest = at(LDP_W1_W2, va(PRIORITY));
    guest.cpu.read_only.borrow_mut().push((va(PRIORITY) & !0xfff) << 8 >> 8);
    let next = guest.abort(PRIORITY, LOAD);
    guest.assert_done(next);
}

/// DFSC 0x35: the device supports no exclusives.
#[test]
fn exclusives_are_refused() {
    let mut guest = at(LDXR, va(PRIORITY));
    let next = guest.abort(PRIORITY, LOAD);
    guest.assert_taken(next, 0x9600_0035, va(PRIORITY));
    assert_eq!(guest.event(), Guest::expected(Reason::Unsupported, Touch::Load, 0, PRIORITY));
    let mut guest = at(LDXR, va(NOWHERE));
    let next = guest.abort(NOWHERE, LOAD);
    guest.assert_taken(next, SEA, va(NOWHERE));
    assert_eq!(guest.event(), Guest::expected(Reason::NoDevice, Touch::Load, 0, NOWHERE));
}

#[test]
fn a_prefetch_is_stepped_over() {
    let mut guest = at(PRFM, va(NOWHERE));
    let before = guest.vcpu.frame.clone();
    let next = guest.abort(NOWHERE, LOAD);
    guest.assert_done(next);
    assert_eq!(guest.vcpu.frame, before);
}

/// Another CPU changed the instruction after it faulted.
#[test]
fn an_instruction_that_cannot_have_faulted_is_refused() {
    for (word, x0, esr) in [
        (NOP, va(PRIORITY), LOAD),
        // A load faulted and a store is there; and the other way.
        (STR_POST, va(PRIORITY), LOAD),
        (LDR_PRE, va(PRIORITY) - 4, STORE),
        // It goes elsewhere.
        (LDP_X1_X2, va(PRIORITY) + 0x100, LOAD),
    ] {
        let mut guest = at(word, x0);
        guest.gic_write(PRIORITY - GIC, Width::Word, 0x1010_1010);
        let before = guest.vcpu.frame.clone();
        let next = guest.abort(PRIORITY, esr);
        guest.assert_taken(next, SEA, va(PRIORITY));
        assert_eq!(guest.vcpu.frame, before);
        assert_eq!(guest.priorities(), 0x1010_1010);
        let touch = if esr == LOAD { Touch::Load } else { Touch::Store };
        assert_eq!(guest.event(), Guest::expected(Reason::NoSyndrome, touch, 0, PRIORITY));
    }
}

/// Its page is not there any more: fetched again, it is, or the guest takes what it has coming.
#[test]
fn an_instruction_that_went_away_is_fetched_again() {
    let mut guest = at(LDP_X1_X2, va(ROUTER));
    guest.cpu.par.borrow_mut().insert(PC & !0xfff, 1 | 0x7 << 1);
    let before = guest.vcpu.frame.clone();
    let next = guest.abort(ROUTER, LOAD);
    guest.assert_untouched(next, &before);
    // The guest's tables lead to where nothing was touched yet, or to no memory.
    for place in [vm::HIGH, NOWHERE] {
        guest.cpu.par.borrow_mut().insert(PC & !0xfff, place);
        let next = guest.abort(ROUTER, LOAD);
        guest.assert_untouched(next, &before);
    }
}

#[test]
fn the_first_piece_in_the_way_is_blamed() {
    // GICD_IPRIORITYR and the end of its page; the page behind it is the guest's choice.
    const LAST: u64 = GIC + 0xff8;
    let mut guest = at(LDP_X1_X2, va(LAST));
    guest.cpu.par.borrow_mut().insert((va(GIC + 0x1000)) << 8 >> 8, NOWHERE);
    let next = guest.abort(LAST, LOAD);
    guest.assert_taken(next, SEA, va(LAST + 8));
    let expected = Guest::expected(Reason::NoDevice, Touch::Load, 0, LAST + 8);
    assert_eq!(guest.event(), Event { ipa: Ipa(NOWHERE), ..expected });
    // In a VM that enrolled, the second page is to be guarded as well as the first.
    let mut guest = at(LDP_X1_X2, va(LAST));
    guest.vm.space.enroll().unwrap();
    guest.vm.space.guard_map(Ipa(GIC), None).unwrap();
    let next = guest.abort(LAST, LOAD);
    guest.assert_taken(next, SEA, va(LAST + 8));
    let expected = Guest::expected(Reason::Unguarded, Touch::Load, 0, LAST + 8);
    assert_eq!(guest.event(), expected);
}

/// The rights with which the guest's tables are asked about the other page.
#[test]
fn the_other_page_is_asked_about_with_the_rights_of_the_access() {
    const LAST: u64 = GIC + 0xffc;
    let other = Va(va(GIC + 0x1000));
    for (word, pstate, is_write, rights) in [
        (LDP_W1_W2, 0x3c5, false, Rights::Kernel),
        (LDP_W1_W2, 0x40_03c5, false, Rights::KernelAlone),
        (LDP_W1_W2, 0, false, Rights::User),
        (0x2900_0801, 0x3c5, true, Rights::Kernel),
    ] {
        let mut guest = at(word, va(LAST));
        guest.cpu.pstate.set(pstate);
        assert_eq!(guest.abort(LAST, if is_write { STORE } else { LOAD }), Next::Resume);
        let asked = guest.cpu.asked.borrow();
        let pages: std::vec::Vec<_> =
            asked.iter().map(|(va, is_write, rights)| (va.page(), *is_write, *rights)).collect();
        assert_eq!(pages[1..], [(other, is_write, rights)], "{word:#x} {pstate:#x}");
    }
    // An unaligned LDTR is EL0's.
    let mut guest = at(LDTR, va(LAST + 2));
    guest.cpu.pstate.set(0x3c5);
    guest.abort(LAST + 2, LOAD);
    let asked = guest.cpu.asked.borrow();
    assert_eq!(asked[1].2, Rights::User);
}

/// A literal is counted from the instruction.
#[test]
fn the_base_may_be_the_instruction() {
    let mut guest = at(LDR_LITERAL, 0);
    // The guest has its code twice, and reads it where the device is.
    guest.cpu.pc.set(va(PRIORITY));
    guest.cpu.par.borrow_mut().insert(va(PRIORITY) << 8 >> 20 << 12, RAM + 0x1000);
    let place = RAM_PA + 0x1000 + (PRIORITY & 0xfff);
    for (n, byte) in (0..).zip(LDR_LITERAL.to_le_bytes()) {
        guest.machine.poke(Pa(place + n), byte);
    }
    guest.gic_write(PRIORITY - GIC, Width::Word, 0x1010_1010);
    assert_eq!(guest.abort(PRIORITY, LOAD), Next::Resume);
    assert_eq!((guest.vcpu.frame.x[1], guest.cpu.pc.get()), (0x1010_1010, va(PRIORITY) + 4));
}

#[test]
fn a_big_endian_guests_elements_are_turned() {
    let mut guest = at(LDP_W1_W2, va(PRIORITY));
    guest.cpu.set(El1::Sctlr, EE);
    guest.gic_write(PRIORITY - GIC, Width::Word, 0xb0a0_9080);
    let next = guest.abort(PRIORITY, LOAD);
    guest.assert_done(next);
    assert_eq!((guest.vcpu.frame.x[1], guest.vcpu.frame.x[2]), (0x8090_a0b0, 0));
}

/// A32 and T32 are not decoded.
#[test]
fn aarch32_state_takes_an_abort() {
    let mut guest = at(LDP_X1_X2, PRIORITY);
    guest.cpu.pstate.set(0x10);
    assert_eq!(guest.abort(PRIORITY, LOAD), Next::Resume);
    assert_eq!(guest.event().reason, Reason::NoSyndrome);
    assert_eq!((guest.cpu.get(El1::Esr), guest.cpu.pc.get()), (0x9200_0010, VBAR + 0x600));
}

#[test]
fn an_assigned_device_is_mapped_whatever_the_instruction() {
    let mut guest = at(NOP, 0);
    let next = guest.abort(DEVICE, LOAD);
    guest.assert_again(next);
}

/// GICD_ISACTIVER1 and 2, whose state vCPUs 0 and 2 have: asked anew until both have answered.
#[test]
fn a_load_that_other_cpus_must_answer_is_made_again() {
    let mut guest = at(LDP_W1_W2, va(GIC + 0x304));
    let others = <[Lists; 2]>::default();
    guest.gic_write(0, Width::Word, 3);
    for (lists, vcpu, intid) in [(&others[0], 0, 40), (&others[1], 2, 72)] {
        let _ = guest.vm.gic.vcpu_on(vcpu, &mut &*lists);
        guest.gic_write(0x6000 + 8 * intid, Width::Double, vcpu as u64);
        for set in [0x80, 0x100, 0x200] {
            guest.gic_write(set + intid / 32 * 4, Width::Word, 1 << (intid % 32));
        }
        let _ = guest.vm.gic.sync(vcpu, &mut &*lists);
        assert!(lists.is_pending(u32::try_from(intid).unwrap()));
        // The guest has acknowledged it.
        for lr in lists.lrs.iter().filter(|lr| lr.get().is_pending()) {
            lr.set(crate::vgic::ListRegister::from_raw(lr.get().raw() ^ 3 << 62));
        }
    }
    let mut turns = 0;
    let before = guest.vcpu.frame.clone();
    loop {
        guest.cpu.desk.kicked.set(Kicks::NONE);
        let next = guest.abort(GIC + 0x304, LOAD);
        if guest.cpu.pc.get() != PC {
            break guest.assert_done(next);
        }
        guest.assert_untouched(next, &before);
        turns += 1;
        assert!(turns < 5);
        assert_eq!(guest.cpu.given_way.get(), turns);
        for (lists, vcpu) in [(&others[0], 0), (&others[1], 2)] {
            if guest.cpu.desk.kicked.get().contains(usize::from(HOMES[vcpu])) {
                let _ = guest.vm.gic.sync(vcpu, &mut &*lists);
            }
        }
    }
    assert_eq!(turns, 2);
    assert_eq!((guest.vcpu.frame.x[1], guest.vcpu.frame.x[2]), (1 << 8, 1 << 8));
}
