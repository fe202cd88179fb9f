//! Faults of stage 2.

use core::sync::atomic::Ordering;

use super::*;
use crate::addr::{Pa, Va};
use crate::fault::Verdict;
use crate::inject::Rights;
use crate::ports::TableMemory;
use crate::stage2::Leaf;
use crate::testing::cpu::Traced;
use crate::testing::vm::{DEVICE, GIC, HIGH, HIGH_PA, RAM_PA};
use crate::trap::{answer, fault};

/// Synchronous external abort (DFSC 0x10) on data and on a fetch, from EL1 (EC 0x25, 0x21), IL.
const SEA_DATA: u64 = 0x9600_0010;
const SEA_FETCH: u64 = 0x8600_0010;
const LOAD: u64 = iss(Width::Word, 5);
const STORE: u64 = LOAD | WNR;

impl Guest {
    fn is_mapped(&self, ipa: u64) -> bool {
        matches!(self.vm.space.lookup(Ipa(ipa)), Leaf::Valid(_))
    }

    /// Damages the tables around the 1 GiB that `ipa` is in.
    fn damage(&self, ipa: u64) {
        let base = self.machine.frames().base();
        let table = TableMemory::table(&self.machine, base).unwrap();
        table.entry((ipa >> 30) as usize).unwrap().store(0xdead_0000_0003, Ordering::Release);
    }
}

#[test]
fn what_is_not_guarded_aborts_at_the_guests_handler_and_is_recorded() {
    for (esr, touch, bytes) in [
        (LOAD, Touch::Load, 4),
        (STORE, Touch::Store, 4),
        (iss(Width::Byte, 5), Touch::Load, 1),
        (iss(Width::Half, 5) | WNR, Touch::Store, 2),
        (iss(Width::Double, 5) | SF, Touch::Load, 8),
        (DATA | TRANSLATION, Touch::Load, 0),
    ] {
        // The guest learns neither that it was a store nor anything else of the access.
        for ipa in [GIC + 0x428, NOWHERE, DEVICE] {
            let mut guest = Guest::protected();
            let before = guest.vcpu.frame.clone();
            let next = guest.abort(ipa, esr);
            guest.assert_taken(next, SEA_DATA, va(ipa));
            assert_eq!(guest.event(), Guest::expected(Reason::Unguarded, touch, bytes, ipa));
            assert_eq!(guest.vcpu.frame, before);
            assert!(guest.vcpu.liveness.is_quiet, "no sign of life");
        }
    }
}

#[test]
fn where_nothing_is_aborts_in_any_vm() {
    let mut guest = Guest::normal();
    let next = guest.abort(NOWHERE, STORE);
    guest.assert_taken(next, SEA_DATA, va(NOWHERE));
    assert_eq!(guest.event(), Guest::expected(Reason::NoDevice, Touch::Store, 4, NOWHERE));
    let mut guest = Guest::protected();
    let next = guest.abort(vm::PRE_GUARDED, LOAD);
    guest.assert_taken(next, SEA_DATA, va(vm::PRE_GUARDED));
    let expected = Guest::expected(Reason::NoDevice, Touch::Load, 4, vm::PRE_GUARDED);
    assert_eq!(guest.event(), expected);
}

#[test]
fn a_guarded_device_without_a_syndrome_aborts_in_a_protected_vm() {
    let mut guest = Guest::protected();
    guest.vm.space.guard_map(Ipa(GIC), None).unwrap();
    let next = guest.abort(GIC + 0x428, DATA | TRANSLATION | WNR);
    guest.assert_taken(next, SEA_DATA, va(GIC + 0x428));
    assert_eq!(guest.event(), Guest::expected(Reason::NoSyndrome, Touch::Store, 0, GIC + 0x428));
}

#[test]
fn instructions_are_fetched_from_memory_only() {
    let mut guest = Guest::normal();
    let next = guest.abort(GIC, FETCH | TRANSLATION);
    guest.assert_taken(next, SEA_FETCH, va(GIC));
    assert_eq!(guest.event(), Guest::expected(Reason::FetchOffMemory, Touch::Fetch, 0, GIC));
}

/// Memory is backed, and the guest comes again; no sign of life while it is not yet.
#[test]
fn memory_that_is_touched_is_populated() {
    for esr in [LOAD, STORE, FETCH | TRANSLATION, DATA | TRANSLATION | S1PTW, DATA | TRANSLATION] {
        for is_protected in [false, true] {
            let mut guest = Guest::new(is_protected, true).traced();
            guest.cpu.desk.pending.set(true);
            let next = guest.abort(RAM + 0x5008, esr);
            guest.assert_again(next);
            assert!(!guest.is_mapped(RAM + 0x5008) && guest.vcpu.liveness.is_quiet);
            assert_eq!(*guest.cpu.traced.borrow(), []);
            guest.cpu.desk.pending.set(false);
            let next = guest.abort(RAM + 0x5008, esr);
            guest.assert_again(next);
            assert!(guest.is_mapped(RAM + 0x5008) && !guest.vcpu.liveness.is_quiet);
            // A walk leaves only the page in HPFAR_EL2.
            let traced = guest.cpu.traced.borrow();
            let [Traced::Populated(ipa)] = traced[..] else { panic!("{traced:?}") };
            assert_eq!(ipa.page(), Ipa(RAM + 0x5000));
        }
    }
}

#[test]
fn what_is_mapped_meanwhile_is_tried_again() {
    let mut guest = Guest::normal().traced();
    let _ = guest.vm.space.populate(Ipa(RAM), || false).unwrap();
    let next = guest.abort(RAM, STORE);
    guest.assert_again(next);
    assert_eq!(*guest.cpu.traced.borrow(), []);
}

#[test]
fn memory_that_cannot_be_backed_ends_the_vm() {
    let mut guest = Guest::normal();
    guest.damage(RAM);
    let next = guest.abort(RAM + 0x18, LOAD);
    let why = "memory at IPA 0x40000018 cannot be backed: the tables above are damaged";
    guest.assert_crashed(next, why);
    assert!(guest.cpu.events.borrow().is_empty());
}

#[test]
fn the_page_of_an_assigned_device_is_mapped() {
    for esr in [LOAD, STORE, DATA | TRANSLATION] {
        let mut guest = Guest::normal().traced();
        let next = guest.abort(DEVICE + 0x1010, esr);
        guest.assert_again(next);
        assert!(guest.is_mapped(DEVICE + 0x1010) && !guest.is_mapped(DEVICE));
        assert!(!guest.vcpu.liveness.is_quiet);
        assert_eq!(*guest.cpu.traced.borrow(), [Traced::DeviceMapped(Ipa(DEVICE + 0x1010))]);
    }
}

#[test]
fn a_device_that_cannot_be_mapped_ends_the_vm() {
    let mut guest = Guest::normal();
    guest.damage(DEVICE);
    let next = guest.abort(DEVICE, LOAD);
    let why = "the device at IPA 0xa000000 cannot be mapped: the tables above are damaged";
    guest.assert_crashed(next, why);
}

/// Between the verdict and the lock another vCPU enrolled the VM: the guest comes again.
#[test]
fn a_device_of_a_vm_that_enrolled_meanwhile_is_not_mapped() {
    let mut guest = Guest::protected();
    let seen = crate::fault::Fault {
        ipa: Ipa(DEVICE),
        va: Va(va(DEVICE)),
        cause: crate::esr::Cause::Translation { level: 3 },
        kind: crate::fault::Kind::Fetch,
        is_fetch: false,
    };
    let next = crate::trap::abort::map_device(&mut guest.vcpu, guest.cpu, &seen);
    guest.assert_again(next);
    assert!(!guest.is_mapped(DEVICE) && guest.vcpu.liveness.is_quiet);
}

/// DC CVAC and the like by address have nothing to do there.
#[test]
fn cache_maintenance_off_memory_is_stepped_over() {
    for ipa in [GIC + 0x428, NOWHERE, DEVICE] {
        for is_protected in [false, true] {
            let mut guest = Guest::new(is_protected, true);
            let next = guest.abort(ipa, DATA | TRANSLATION | CM | WNR);
            guest.assert_done(next);
            assert!(!guest.is_mapped(ipa));
        }
    }
}

/// DFSC 0x10, FnV: FAR_EL2 holds nothing of use.
#[test]
fn an_external_abort_is_passed_on_with_what_is_known_of_its_address() {
    for (esr, passed, touch) in
        [(STORE, SEA_DATA, Touch::Store), (FETCH | TRANSLATION, SEA_FETCH, Touch::Fetch)]
    {
        for (bits, far) in [(0x10, va(RAM + 8)), (0x10 | FNV, 0)] {
            let mut guest = Guest::normal();
            let next = guest.abort(RAM + 8, esr & !0x3f & !ISV | bits);
            guest.assert_taken(next, passed, far);
            let expected = Guest::expected(Reason::External, touch, 0, RAM);
            assert_eq!(guest.event(), Event { va: Va(far), ipa: Ipa(far), ..expected });
        }
    }
    // On a walk, of whichever level: what faulted is not known, so that the level is none.
    let mut guest = Guest::normal();
    let next = guest.abort(RAM, DATA | S1PTW | 0x16);
    guest.assert_taken(next, SEA_DATA, va(RAM));
    assert_eq!(guest.event().touch, Touch::Walk);
}

#[test]
fn conflicting_entries_of_the_tlb_are_dropped() {
    for esr in [DATA, FETCH] {
        let mut guest = Guest::normal();
        let next = guest.abort(RAM, esr | 0x30);
        guest.assert_again(next);
        assert_eq!(guest.cpu.tlb_drops.get(), 1);
    }
    let mut guest = Guest::normal();
    guest.abort(RAM, LOAD);
    assert_eq!(guest.cpu.tlb_drops.get(), 0);
}

/// DFSC 0x35.
#[test]
fn an_exclusive_that_the_bus_does_not_support_is_said_to_be_that() {
    let mut guest = Guest::normal();
    let next = guest.abort(RAM, DATA | 0x35 | WNR);
    guest.assert_taken(next, 0x9600_0035, va(RAM));
    assert_eq!((guest.event().reason, guest.event().touch), (Reason::Unsupported, Touch::Store));
}

/// HPFAR_EL2 is not valid for a permission fault outside a walk (Arm ARM, HPFAR_EL2).
#[test]
fn the_address_of_a_permission_fault_is_asked_of_the_guests_tables() {
    for (esr, is_write) in [(LOAD, false), (STORE, true), (FETCH | PERMISSION, false)] {
        let mut guest = Guest::normal();
        let esr = esr & !0x3f | PERMISSION;
        guest.cpu.at.set(FaultAddress { far: va(NOWHERE + 8), hpfar: RAM >> 8 });
        let found = fault(&guest.vcpu, guest.cpu, esr).unwrap();
        assert_eq!((found.ipa, found.va), (Ipa(NOWHERE + 8), Va(va(NOWHERE + 8))));
        let asked = [(Va(va(NOWHERE + 8)), is_write, Rights::Kernel)];
        assert_eq!(*guest.cpu.asked.borrow(), asked);
        // The guest's tables have changed: it tries again.
        guest.cpu.par.borrow_mut().insert(va(NOWHERE) << 8 >> 8, 1 | 0x7 << 1);
        let next = guest.trap(esr);
        guest.assert_again(next);
        // On a walk it is valid.
        guest.cpu.asked.borrow_mut().clear();
        let found = fault(&guest.vcpu, guest.cpu, esr | S1PTW).unwrap();
        assert_eq!(found.ipa.page(), Ipa(RAM));
        assert_eq!(*guest.cpu.asked.borrow(), []);
    }
}

/// Cortex-A57 erratum 834220.
#[test]
fn where_hpfar_cannot_be_relied_on_it_is_not_used() {
    for esr in [LOAD, STORE, FETCH | TRANSLATION] {
        let mut guest = Guest::normal();
        guest.cpu.at.set(FaultAddress { far: va(HIGH + 8), hpfar: RAM >> 8 });
        let at = |guest: &Guest, esr| fault(&guest.vcpu, guest.cpu, esr).unwrap().ipa;
        assert_eq!(at(&guest, esr), Ipa(RAM + 8));
        assert_eq!(*guest.cpu.asked.borrow(), []);
        guest.vcpu.home.erratum_834220 = true;
        assert_eq!(at(&guest, esr), Ipa(HIGH + 8));
        assert_eq!(at(&guest, esr | S1PTW).page(), Ipa(RAM));
    }
    // HPFAR_EL2 says that it is the interrupt controller.
    let mut guest = Guest::normal();
    guest.vcpu.home.erratum_834220 = true;
    guest.cpu.at.set(FaultAddress { far: va(HIGH + 8), hpfar: GIC >> 8 });
    let next = guest.trap(LOAD);
    guest.assert_again(next);
    assert!(guest.is_mapped(HIGH));
}

/// A load or store of a register's bytes that lie across it, or of which the address is not aligned: none is
/// there (the interrupt controller), whichever way is gone.
#[test]
fn an_access_that_is_not_aligned_does_not_reach_the_aligned_register() {
    let mut guest = Guest::normal();
    guest.gic_write(0x428, Width::Word, 0x1010_1010);
    guest.vcpu.frame.x[5] = 0x8888_8888;
    guest.abort(GIC + 0x429, STORE);
    assert_eq!(guest.gic_byte(0x428), 0x10);
}

/// DFSC 0b0101LL: level -1 to 3 of the walk. TCR_EL1 as here: 39 bits with granules of 4 KiB, so that
/// a walk starts at level 1.
#[test]
fn a_table_off_memory_is_an_abort_on_the_walk_of_its_level() {
    /// T1SZ 25, TG1 4 KiB; T0SZ 25.
    const TCR: u64 = 25 << 16 | 2 << 30 | 25;
    const TABLE: u64 = HIGH + 0x3000;
    for (esr, passed) in [(DATA, 0x9600_0014), (DATA | WNR, 0x9600_0014), (FETCH, 0x8600_0014)] {
        for (is_upper, big_endian) in [(true, false), (false, false), (true, true)] {
            let far = if is_upper { 0xffff_ff80_0000_0123 } else { 0x123 };
            let walk = |root: u64, entry: Option<u64>| {
                let mut guest = Guest::normal();
                let _ = guest.vm.space.populate(Ipa(HIGH), || false).unwrap();
                guest.cpu.set(El1::Tcr, TCR);
                let (used, other) =
                    if is_upper { (El1::Ttbr1, El1::Ttbr0) } else { (El1::Ttbr0, El1::Ttbr1) };
                guest.cpu.set(used, root);
                guest.cpu.set(other, 0x4_0000_0000);
                guest.cpu.set(El1::Sctlr, if big_endian { EE } else { 0 });
                let bytes = entry.map_or([0; 8], |entry| {
                    if big_endian { entry.to_be_bytes() } else { entry.to_le_bytes() }
                });
                for (n, byte) in (0..).zip(bytes) {
                    guest.machine.poke(Pa(HIGH_PA + 0x3000 + n), byte);
                }
                guest.cpu.at.set(FaultAddress { far, hpfar: NOWHERE >> 8 });
                let next = guest.trap(esr | S1PTW | TRANSLATION);
                let event = guest.event();
                let expected = Guest::expected(Reason::WalkOffMemory, Touch::Walk, 0, NOWHERE);
                assert_eq!(
                    event,
                    Event { va: Va(far), ipa: Ipa(NOWHERE | far & 0xfff), ..expected }
                );
                (guest, next)
            };
            let (guest, next) = walk(NOWHERE, None);
            guest.assert_taken(next, passed + 1, far);
            let (guest, next) = walk(TABLE, Some(NOWHERE | 3));
            guest.assert_taken(next, passed + 2, far);
            // The guest changed its tables: the level is not known, and is not on a walk then.
            for entry in [None, Some((RAM + 0x1000) | 3), Some(NOWHERE | 1)] {
                let (guest, next) = walk(TABLE, entry);
                guest.assert_taken(next, passed & !0xf | 0x10, far);
            }
        }
    }
    assert_ne!(RAM_PA, HIGH_PA);
}

#[test]
fn what_was_decided_is_told() {
    let mut guest = Guest::normal();
    guest.cpu.at.set(FaultAddress { far: va(RAM), hpfar: RAM >> 8 });
    let seen = fault(&guest.vcpu, guest.cpu, LOAD).unwrap();
    let (next, verdict) = answer(&mut guest.vcpu, guest.cpu, LOAD, &seen);
    assert_eq!((next, verdict), (Next::Resume, Verdict::Populate));
}
