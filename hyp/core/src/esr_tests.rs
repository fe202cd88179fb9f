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
            access: Some(Access::new(Direction::Write, Width::Word, 1, false, false)),
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
    assert_eq!((access.width(), access.register()), (Width::Half, 7));
    assert!(access.sign_extend() && access.is_64bit());
    assert_eq!(access.direction(), Direction::Read);
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

proptest! {
    #[test]
    fn no_syndrome_panics(esr: u64) {
        let _ = Exit::from_esr(esr);
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
