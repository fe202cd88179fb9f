use super::*;
use proptest::prelude::*;

/// Syndromes written down from the Arm ARM's field tables by hand, as a reader would.
#[test]
fn known_syndromes() {
    // EC 0x16, IL, imm 0.
    assert_eq!(Exit::from_esr(0x5a00_0000), Exit::Hvc { imm: 0 });
    assert_eq!(Exit::from_esr(0x5a00_0001), Exit::Hvc { imm: 1 });
    assert_eq!(Exit::from_esr(0x5e00_0005), Exit::Smc { imm: 5 });
    assert_eq!(Exit::from_esr(0x5600_0000), Exit::Unknown { class: 0x15 });
    assert_eq!(Exit::from_esr(0x4a00_0000), Exit::AArch32 { class: 0x12 });
    assert_eq!(Exit::from_esr(0x0600_0001), Exit::Wait);
    assert_eq!(Exit::from_esr(0), Exit::Unknown { class: 0 });
}

#[test]
fn a_word_store_to_unmapped_space() {
    // `str w1, [x0]`, level-3 translation fault: ISV, SAS=2, SRT=1, WnR.
    let Exit::DataAbort(abort) = Exit::from_esr(0x9381_0047) else { panic!() };
    assert_eq!(
        abort,
        DataAbort {
            cause: Cause::Translation { level: 3 },
            direction: Direction::Write,
            access: Some(Access {
                direction: Direction::Write,
                width: Width::Word,
                register: 1,
                sign_extend: false,
                is_64bit: false,
            }),
            on_walk: false,
            is_maintenance: false,
            address_unknown: false,
        }
    );
}

#[test]
fn a_sign_extending_load_into_an_x_register() {
    // `ldrsh x7, [x0]`: ISV, SAS=1, SSE, SRT=7, SF, level-2 translation fault.
    let esr = (0x24 << 26) | (1 << 25) | (1 << 24) | (1 << 22) | (1 << 21) | (7 << 16) | 0x8006;
    let Exit::DataAbort(abort) = Exit::from_esr(esr) else { panic!() };
    let access = abort.access.unwrap();
    assert_eq!((access.width, access.register), (Width::Half, 7));
    assert!(access.sign_extend && access.is_64bit);
    assert_eq!(access.direction, Direction::Read);
}

#[test]
fn fault_status_codes() {
    for (status, cause) in [
        (0x00, Cause::AddressSize),
        (0x29, Cause::AddressSize),
        (0x04, Cause::Translation { level: 0 }),
        (0x07, Cause::Translation { level: 3 }),
        (0x2b, Cause::Translation { level: -1 }),
        (0x09, Cause::AccessFlag),
        (0x0f, Cause::Permission),
        (0x10, Cause::External),
        (0x15, Cause::External),
        (0x30, Cause::TlbConflict),
        (0x21, Cause::Other { status: 0x21 }),
        (0x35, Cause::Unsupported),
    ] {
        assert_eq!(Cause::from_status(status), cause, "{status:#x}");
    }
}

#[test]
fn a_trapped_register_read() {
    // `mrs x3, ID_AA64PFR0_EL1` (S3_0_C0_C4_0).
    let esr = (0x18 << 26) | (1 << 25) | (3 << 20) | (3 << 5) | (4 << 1) | 1;
    let Exit::SystemRegister(access) = Exit::from_esr(esr) else { panic!() };
    assert_eq!(access.register, SysReg::new(3, 0, 0, 4, 0));
    assert_eq!((access.direction, access.rt), (Direction::Read, 3));
    assert_eq!(std::format!("{:?}", access.register), "S3_0_C0_C4_0");
}

/// ISS of a data abort (Arm ARM DDI 0487, ESR_EL2): ISV 24, SAS 23:22, SSE 21, SRT 20:16, FnV 10, CM 8,
/// S1PTW 7, WnR 6, DFSC 5:0.
#[test]
fn a_plain_access_is_a_described_translation_fault() {
    let store = 1 << 24 | 2 << 22 | 3 << 16 | 1 << 6;
    for level in 0..4 {
        let plain = PlainAccess::from_iss(store | 0x04 | level).unwrap();
        assert_eq!(
            (plain.direction(), plain.width(), plain.register()),
            (Direction::Write, Width::Word, 3)
        );
    }
    for odd in [1 << 24, 1 << 21, 1 << 10, 1 << 8, 1 << 7] {
        assert_eq!(PlainAccess::from_iss((store | 0x07) ^ odd), None, "{odd:#x}");
    }
    // Access flag, permission, external, external on a walk, alignment, another level.
    for status in [0x08, 0x0c, 0x0f, 0x10, 0x15, 0x17, 0x21, 0x2b] {
        assert_eq!(PlainAccess::from_iss(store | status), None, "{status:#x}");
    }
}

proptest! {
    #[test]
    fn no_syndrome_panics(esr: u64) {
        let _ = Exit::from_esr(esr);
    }

    /// The short cut takes exactly the aborts for which the long way finds a described load or store
    /// and a translation fault of its own at a level that stage 2 has.
    #[test]
    fn a_plain_access_is_what_the_long_way_finds(noise in 0u64..0x200_0000, status in 0u64..0x40) {
        for iss in [noise, noise & !0x3f | status, noise & !0x5bf | status | 1 << 24] {
            let long = DataAbort::from_iss(iss);
            let is_plain = matches!(long.cause, Cause::Translation { level: 0..=3 })
                && !long.on_walk
                && !long.is_maintenance
                && !long.address_unknown;
            let plain = PlainAccess::from_iss(iss);
            let expected = long.access.filter(|access| is_plain && !access.sign_extend);
            prop_assert_eq!(plain.map(PlainAccess::access), expected);
            let fields = plain.map(|plain| (plain.direction(), plain.width(), plain.register()));
            let of = |access: Access| (access.direction, access.width, access.register.into());
            prop_assert_eq!(fields, expected.map(of));
        }
    }

    #[test]
    fn a_register_keeps_its_numbers(
        op0 in 0u16..4, op1 in 0u16..8, crn in 0u16..16, crm in 0u16..16, op2 in 0u16..8,
    ) {
        let iss = u64::from(op0) << 20 | u64::from(op2) << 17 | u64::from(op1) << 14
            | u64::from(crn) << 10 | u64::from(crm) << 1;
        let register = SysRegAccess::from_iss(iss).register;
        prop_assert_eq!(
            (register.op0(), register.op1(), register.crn(), register.crm(), register.op2()),
            (op0, op1, crn, crm, op2)
        );
    }
}
