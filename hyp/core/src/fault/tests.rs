use super::*;
use crate::esr::{Exit, Width};
use crate::events::Reason;
use crate::inject::{AbortCause, Exception};
use proptest::prelude::*;

#[path = "pieces_tests.rs"]
mod pieces;

/// A VM with one page of everything.
#[derive(Clone, Copy)]
struct Vm {
    is_protected: bool,
    is_enrolled: bool,
}

const RAM: u64 = 0x4000_0000;
const READ_ONLY: u64 = 0x4000_1000;
const MAPPED: u64 = 0x4000_2000;
/// Guarded, the device's registers are here.
const DEVICE: u64 = 0x0900_0000;
/// Guarded and nothing there.
const EMPTY: u64 = 0x0900_1000;
/// Not guarded.
const NOWHERE: u64 = 0x0a00_0000;
/// A device, but the guest forgot to guard it.
const FORGOTTEN: u64 = 0x0b00_0000;
/// A device's page that is mapped for real: never executable.
const ASSIGNED: u64 = 0x0c00_0000;
/// Another one, not mapped yet and not guarded.
const UNTOUCHED: u64 = 0x0c00_1000;

impl Vm {
    fn is_guarded(&self, ipa: Ipa) -> bool {
        [DEVICE, EMPTY].contains(&ipa.page().0)
    }
}

impl FaultView for Vm {
    type Device = u64;

    fn leaf(&self, ipa: Ipa, needed: Use) -> LeafState {
        match (ipa.page().0, needed) {
            (MAPPED, _) | (READ_ONLY, Use::Read) => LeafState::Permits,
            (READ_ONLY, _) | (ASSIGNED, Use::Fetch) => LeafState::Denies,
            (ASSIGNED, _) => LeafState::Permits,
            _ => LeafState::Absent { is_open: self.is_open(ipa) },
        }
    }

    fn is_memory(&self, ipa: Ipa) -> bool {
        (RAM..RAM + 0x3000).contains(&ipa.0)
    }

    fn is_open(&self, ipa: Ipa) -> bool {
        !self.is_enrolled || self.is_guarded(ipa)
    }

    fn is_protected(&self) -> bool {
        self.is_protected
    }

    fn device(&self, ipa: Ipa) -> Option<(u64, bool)> {
        let device = [DEVICE, FORGOTTEN].into_iter().find(|&base| ipa.page().0 == base);
        device.map(|base| (base, self.is_open(ipa)))
    }

    fn is_assigned(&self, ipa: Ipa) -> bool {
        [ASSIGNED, UNTOUCHED].contains(&ipa.page().0)
    }
}

const PROTECTED: Vm = Vm { is_protected: true, is_enrolled: true };
const NORMAL: Vm = Vm { is_protected: false, is_enrolled: false };
const VA: Va = Va(0xffff_8000_dead_b000);

/// ISS bits by name.
const ISV: u64 = 1 << 24;
const SAS8: u64 = 3 << 22;
const CM: u64 = 1 << 8;
const S1PTW: u64 = 1 << 7;
const WNR: u64 = 1 << 6;
const TRANSLATION: u64 = 0x07;
const PERMISSION: u64 = 0x0f;

fn data(iss: u64, ipa: u64) -> Fault {
    let Exit::DataAbort(abort) = Exit::from_esr(0x24 << 26 | iss) else { panic!() };
    Fault::from_data(&abort, VA, Ipa(ipa))
}

fn fetch(iss: u64, ipa: u64) -> Fault {
    let Exit::FetchAbort(abort) = Exit::from_esr(0x20 << 26 | iss) else { panic!() };
    Fault::from_fetch(&abort, VA, Ipa(ipa))
}

fn data_abort(reason: Reason) -> Verdict<u64> {
    Verdict::Abort { exception: Exception::data_abort(VA), reason }
}

fn fetch_abort(reason: Reason) -> Verdict<u64> {
    Verdict::Abort {
        exception: Exception::FetchAbort { address: VA, cause: AbortCause::Access },
        reason,
    }
}

const LOAD: u64 = ISV | TRANSLATION;
const STORE: u64 = ISV | WNR | TRANSLATION;

#[test]
fn rows_63_to_79_protected() {
    for (row, fault, verdict) in [
        ("64", data(LOAD, NOWHERE), data_abort(Reason::Unguarded)),
        ("65", data(STORE, NOWHERE), data_abort(Reason::Unguarded)),
        ("64, a device that was not guarded", data(LOAD, FORGOTTEN), data_abort(Reason::Unguarded)),
        ("68", fetch(TRANSLATION, DEVICE), fetch_abort(Reason::FetchOffMemory)),
        ("69", fetch(TRANSLATION, NOWHERE), fetch_abort(Reason::FetchOffMemory)),
        ("68, mapped device", fetch(PERMISSION, ASSIGNED), fetch_abort(Reason::FetchOffMemory)),
        ("70, guarded", data(S1PTW | TRANSLATION, DEVICE), data_abort(Reason::WalkOffMemory)),
        ("70, unmapped", data(S1PTW | TRANSLATION, NOWHERE), data_abort(Reason::WalkOffMemory)),
        // HCR_EL2.PTW refuses a walk through what is mapped as a device.
        ("70, assigned", data(S1PTW | PERMISSION, ASSIGNED), data_abort(Reason::WalkOffMemory)),
        ("70, fetch", fetch(S1PTW | TRANSLATION, NOWHERE), fetch_abort(Reason::WalkOffMemory)),
        // Section 11: AT over a table off memory has CM and S1PTW set.
        ("70, AT", data(CM | S1PTW | TRANSLATION, NOWHERE), data_abort(Reason::WalkOffMemory)),
        ("71", data(LOAD | SAS8, EMPTY + 0xffc), data_abort(Reason::Unguarded)),
        ("73", data(TRANSLATION, DEVICE), data_abort(Reason::NoSyndrome)),
        ("73, and nobody's", data(TRANSLATION, EMPTY), data_abort(Reason::NoDevice)),
        ("73, unguarded", data(TRANSLATION, NOWHERE), data_abort(Reason::Unguarded)),
        ("76", data(CM | WNR | TRANSLATION, NOWHERE), Verdict::Skip),
        ("76, guarded", data(CM | WNR | TRANSLATION, DEVICE), Verdict::Skip),
        ("79", data(LOAD, EMPTY), data_abort(Reason::NoDevice)),
        // 72: guarded on both sides, but no device has registers on both.
        ("72", data(LOAD | SAS8, DEVICE + 0xffc), data_abort(Reason::NoDevice)),
        ("beyond the address space", data(ISV, u64::MAX), data_abort(Reason::Unguarded)),
    ] {
        assert_eq!(judge(&PROTECTED, &fault), verdict, "row {row}");
    }
}

#[test]
fn row_74_reaches_the_device_with_the_access() {
    let fault = data(STORE | 2 << 22 | 5 << 16, DEVICE + 0x18);
    let Verdict::Emulate { device, access } = judge(&PROTECTED, &fault) else { panic!() };
    assert_eq!((device, access.width(), access.register()), (DEVICE, Width::Word, 5));
}

#[test]
fn rows_34_and_35_enrolment_decides() {
    let fault = data(LOAD, FORGOTTEN);
    assert!(matches!(judge(&NORMAL, &fault), Verdict::Emulate { device: FORGOTTEN, .. }));
    // An assigned device is mapped, whatever the access looks like.
    for iss in [LOAD, TRANSLATION] {
        assert_eq!(judge(&NORMAL, &data(iss, UNTOUCHED)), Verdict::MapDevice);
        assert_eq!(judge(&PROTECTED, &data(iss, UNTOUCHED)), data_abort(Reason::Unguarded));
    }
    let enrolled = Vm { is_enrolled: true, ..NORMAL };
    assert_eq!(judge(&enrolled, &fault), data_abort(Reason::Unguarded));
}

#[test]
fn a_normal_vm_may_have_its_instruction_decoded() {
    assert_eq!(judge(&NORMAL, &data(TRANSLATION, DEVICE)), Verdict::Decode);
    let enrolled = Vm { is_enrolled: true, ..NORMAL };
    assert_eq!(judge(&enrolled, &data(TRANSLATION, DEVICE)), Verdict::Decode);
    assert_eq!(judge(&enrolled, &data(TRANSLATION, NOWHERE)), data_abort(Reason::Unguarded));
}

#[test]
fn memory_is_populated_whatever_touches_it() {
    for fault in [
        data(LOAD, RAM),
        data(TRANSLATION, RAM),
        data(S1PTW | TRANSLATION, RAM),
        data(CM | WNR | TRANSLATION, RAM),
        fetch(TRANSLATION, RAM),
        // A permission fault whose leaf another CPU is changing just now.
        data(ISV | WNR | PERMISSION, RAM),
    ] {
        assert_eq!(judge(&PROTECTED, &fault), Verdict::Populate, "{fault:?}");
    }
}

#[test]
fn what_is_mapped_by_now_is_retried_unless_it_refuses() {
    assert_eq!(judge(&PROTECTED, &data(STORE, MAPPED)), Verdict::Retry);
    assert_eq!(judge(&PROTECTED, &fetch(TRANSLATION, MAPPED)), Verdict::Retry);
    assert_eq!(judge(&PROTECTED, &data(LOAD, READ_ONLY)), Verdict::Retry);
    let refused = data(ISV | WNR | PERMISSION, READ_ONLY);
    assert_eq!(judge(&PROTECTED, &refused), data_abort(Reason::Permission));
}

#[test]
fn faults_that_are_not_about_the_map() {
    assert_eq!(judge(&PROTECTED, &data(0x10, RAM)), data_abort(Reason::External));
    assert_eq!(judge(&PROTECTED, &data(0x3d, DEVICE)), data_abort(Reason::Unsupported));
    let unsupported = Verdict::Abort {
        exception: Exception::DataAbort { address: VA, cause: AbortCause::Unsupported },
        reason: Reason::Unsupported,
    };
    assert_eq!(judge(&PROTECTED, &data(0x35, DEVICE)), unsupported);
    assert_eq!(judge(&PROTECTED, &data(0x30, RAM)), Verdict::InvalidateTlb);
}

#[test]
fn the_address_of_a_fault() {
    assert_eq!(ipa_from_hpfar(0x9_0000, 0xffff_8000_0000_0018), Ipa(0x0900_0018));
    // Bits outside FIPA are not part of the address.
    assert_eq!(ipa_from_hpfar(0x8000_0000_0009_000f, 0), Ipa(0x0900_0000));
    assert_eq!(ipa_from_par(0xff00_0000_0900_0a80, 0x1018), Some(Ipa(0x0900_0018)));
    assert_eq!(ipa_from_par(0x0900_0001, 0x1018), None);
    let level3 = Cause::Translation { level: 3 };
    assert_eq!(address_source(level3, false, false), AddressSource::Hpfar);
    assert_eq!(address_source(level3, false, true), AddressSource::Translate);
    assert_eq!(address_source(Cause::Permission, false, false), AddressSource::Translate);
    assert_eq!(address_source(Cause::Permission, true, true), AddressSource::Hpfar);
    assert_eq!(address_source(Cause::External, false, false), AddressSource::None);
}

fn access(width: Width, sign_extend: bool, is_64bit: bool) -> Access {
    Access::new(Direction::Read, width, 0, sign_extend, is_64bit)
}

/// Row 74 with the correction of section 11: the sign is that of the clamped value.
#[test]
fn row_74_load_results() {
    use Width::{Byte, Double, Half, Word};
    let raw = 0x8877_6655_4433_22f1;
    for (width, sign_extend, is_64bit, result) in [
        (Byte, false, true, 0xf1),
        (Byte, true, true, 0xffff_ffff_ffff_fff1),
        (Byte, true, false, 0xffff_fff1),
        (Half, true, true, 0x22f1),
        (Half, false, false, 0x22f1),
        (Word, true, true, 0x4433_22f1),
        (Word, false, false, 0x4433_22f1),
        (Double, false, true, raw),
    ] {
        assert_eq!(load_result(access(width, sign_extend, is_64bit), raw, false), result);
    }
    assert_eq!(load_result(access(Word, true, true), 0x8000_0000, false), 0xffff_ffff_8000_0000);
}

#[test]
fn row_78_big_endian_data() {
    assert_eq!(store_value(access(Width::Word, false, false), 0xaa_1122_3344, true), 0x4433_2211);
    assert_eq!(store_value(access(Width::Half, false, false), 0x1234, true), 0x3412);
    assert_eq!(store_value(access(Width::Byte, false, false), 0x1234, true), 0x34);
    assert_eq!(load_result(access(Width::Half, true, true), 0x00ff, true), 0xffff_ffff_ffff_ff00);
}

proptest! {
    /// Guest memory and the guard are never bypassed: whatever the syndrome, an enrolled VM
    /// reaches a device on guarded pages only, and a fetch never does.
    #[test]
    fn an_enrolled_vm_reaches_guarded_pages_only(
        esr: u64, ipa in prop_oneof![any::<u64>(), DEVICE - 16..EMPTY + 0x1010, NOWHERE..NOWHERE + 8],
        is_protected: bool,
    ) {
        let vm = Vm { is_protected, is_enrolled: true };
        let verdict = match Exit::from_esr((esr % (1 << 26)) | (0x24 << 26)) {
            Exit::DataAbort(abort) => judge(&vm, &Fault::from_data(&abort, VA, Ipa(ipa))),
            _ => unreachable!(),
        };
        if let Verdict::Emulate { access, .. } = verdict {
            prop_assert!(vm.is_guarded(Ipa(ipa)));
            prop_assert!(vm.is_guarded(Ipa(ipa + access.width().bytes() - 1)));
        }
        if is_protected {
            prop_assert_ne!(verdict, Verdict::Decode);
        }
        let fetch = FetchAbort::from_iss(esr);
        let verdict = judge(&vm, &Fault::from_fetch(&fetch, VA, Ipa(ipa)));
        let reached_a_device = matches!(verdict, Verdict::Emulate { .. } | Verdict::Decode | Verdict::Skip);
        prop_assert!(!reached_a_device);
    }
}
