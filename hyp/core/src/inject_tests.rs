use super::*;
use proptest::prelude::*;

const EL0T: u64 = 0b0000;
const EL1T: u64 = 0b0100;
const EL1H: u64 = 0b0101;
const EL0_AARCH32: u64 = 0b1_0000;

fn guest(pstate: u64) -> GuestState {
    GuestState {
        pc: 0xffff_8000_1234_5678,
        pstate,
        vbar_el1: 0xffff_8000_0001_0800,
        // SPAN set: PAN is kept as it is.
        sctlr_el1: 1 << 23,
    }
}

const ADDRESS: Va = Va(0xffff_0000_0900_0018);

/// Rows 64 to 69: exception, PSTATE, ESR_EL1, vector offset.
#[test]
fn rows_64_to_69() {
    let data = Exception::data_abort(ADDRESS);
    let fetch = Exception::FetchAbort { address: ADDRESS, cause: AbortCause::Access };
    for (row, exception, pstate, esr_el1, offset) in [
        ("64", data, EL1H, 0x9600_0010, 0x200),
        ("66", data, EL0T, 0x9200_0010, 0x400),
        ("67", data, EL1T, 0x9600_0010, 0x000),
        ("68", fetch, EL1H, 0x8600_0010, 0x200),
        ("69", fetch, EL0T, 0x8200_0010, 0x400),
        ("3.5, AArch32", data, EL0_AARCH32, 0x9200_0010, 0x600),
    ] {
        let taken = take(exception, &guest(pstate), PstateFeatures::empty());
        assert_eq!(taken.esr_el1, esr_el1, "row {row}");
        assert_eq!(taken.far_el1, Some(ADDRESS.0), "row {row}");
        assert_eq!(taken.elr_el1, 0xffff_8000_1234_5678, "row {row}");
        assert_eq!(taken.spsr_el1, pstate, "row {row}");
        assert_eq!(taken.pc, 0xffff_8000_0001_0800 + offset, "row {row}");
        assert_eq!(taken.pstate, 0x3c5, "row {row}");
    }
}

/// Row 70 with the level of the walk, and the abort of an exclusive.
#[test]
fn aborts_that_are_not_on_the_access() {
    let data = Exception::data_abort(ADDRESS);
    let fetch = Exception::FetchAbort { address: ADDRESS, cause: AbortCause::Access };
    let walk = |level| AbortCause::Walk { level };
    for (exception, pstate, esr_el1) in [
        (data.because(walk(-1)), EL1H, 0x9600_0013),
        (data.because(walk(0)), EL1H, 0x9600_0014),
        (data.because(walk(3)), EL0T, 0x9200_0017),
        (fetch.because(walk(1)), EL1H, 0x8600_0015),
        (fetch.because(walk(2)), EL0T, 0x8200_0016),
        (data.because(AbortCause::Unsupported), EL1H, 0x9600_0035),
    ] {
        let taken = take(exception, &guest(pstate), PstateFeatures::empty());
        assert_eq!((taken.esr_el1, taken.far_el1), (esr_el1, Some(ADDRESS.0)));
    }
}

#[test]
fn row_127_undefined_has_class_0_and_leaves_the_fault_address() {
    let taken = take(Exception::Undefined, &guest(EL1H), PstateFeatures::empty());
    assert_eq!(taken.esr_el1 >> 26, 0);
    assert_eq!(taken.far_el1, None);
    assert_eq!(taken.pc & 0x7ff, 0x200);
}

#[test]
fn flags_survive_and_step_state_does_not() {
    // NZCV, TCO, DIT, UAO, PAN, SS, IL, SSBS, BTYPE=3 at EL0, F clear.
    let before = 0xf000_0000 | 0x03f0_0000 | 1 << 12 | 3 << 10;
    let taken = take(Exception::Undefined, &guest(before), PstateFeatures::all());
    // Kept: NZCV, DIT, PAN. Set: TCO, ALLINT (SPINTMASK is 0), DAIF, EL1h.
    assert_eq!(taken.pstate, 0xf000_0000 | 1 << 25 | 1 << 24 | 1 << 22 | 1 << 13 | 0x3c5);
    assert_eq!(taken.spsr_el1, before);
    let plain = take(Exception::Undefined, &guest(before), PstateFeatures::empty());
    assert_eq!(plain.pstate, 0xf100_03c5);
}

#[test]
fn sctlr_decides_pan_and_ssbs() {
    let mut state = guest(EL1H);
    state.sctlr_el1 = 0;
    assert_ne!(take(Exception::Undefined, &state, PstateFeatures::PAN).pstate & 1 << 22, 0);
    state.sctlr_el1 = 1 << 23;
    assert_eq!(take(Exception::Undefined, &state, PstateFeatures::PAN).pstate & 1 << 22, 0);
    state.sctlr_el1 = 1 << 44;
    assert_ne!(take(Exception::Undefined, &state, PstateFeatures::SSBS).pstate & 1 << 12, 0);
    assert_eq!(take(Exception::Undefined, &state, PstateFeatures::PAN).pstate & 1 << 12, 0);
}

/// Bits of PSTATE that the CPU lacks are RES0 (Arm ARM, C5.2.19, "SPSR_EL1"), whatever SCTLR_EL1 asks for.
#[test]
fn each_bit_of_pstate_comes_with_its_feature() {
    let mut state = guest(EL1H);
    // SPAN clear, DSSBS set, SPINTMASK clear: PAN, SSBS and ALLINT are to be set.
    state.sctlr_el1 = 1 << 44;
    for (feature, bit) in [
        (PstateFeatures::PAN, 1 << 22),
        (PstateFeatures::SSBS, 1 << 12),
        (PstateFeatures::MTE, 1 << 25),
        (PstateFeatures::NMI, 1 << 13),
    ] {
        assert_eq!(take(Exception::Undefined, &state, feature).pstate, bit | 0x3c5);
        let others = PstateFeatures::all() - feature;
        assert_eq!(take(Exception::Undefined, &state, others).pstate & bit, 0);
    }
    state.sctlr_el1 = 1 << 62;
    assert_eq!(take(Exception::Undefined, &state, PstateFeatures::NMI).pstate, 0x3c5);
}

#[test]
fn a_step_past_an_instruction() {
    assert_eq!(advance(0x1000, 1 << 21 | 3 << 10 | EL1H), (0x1004, EL1H));
    assert_eq!(advance(u64::MAX - 3, EL1H).0, 0);
}

/// ITSTATE as `cond:mask` bytes: 0x06 is two instructions of EQ, 0x08 one.
fn in_it_block(it: u64) -> u64 {
    EL0_AARCH32 | 1 << 5 | (it >> 2) << 10 | (it & 3) << 25
}

#[test]
fn a_step_past_an_aarch32_instruction() {
    // A32 instructions have four bytes, whatever the syndrome says.
    assert_eq!(advance_aarch32(0x1000, EL0_AARCH32 | 1 << 21, false), (0x1004, EL0_AARCH32));
    assert_eq!(advance_aarch32(0x1000, EL0_AARCH32, true), (0x1004, EL0_AARCH32));
    // T32 ones two or four.
    let t32 = in_it_block(0);
    assert_eq!(advance_aarch32(0x1002, t32, true), (0x1004, t32));
    assert_eq!(advance_aarch32(0x1002, t32, false), (0x1006, t32));
    assert_eq!(advance_aarch32(0xffff_fffe, t32, true).0, 0);
    // ITTE EQ is 0x06 0x0c 0x18 and then over; ITETE of NE ends likewise.
    for steps in [&[0x06, 0x0c, 0x18, 0][..], &[0x15, 0x0a, 0x14, 0x08, 0][..]] {
        for pair in steps.windows(2) {
            let (_, after) = advance_aarch32(0, in_it_block(pair[0]), true);
            assert_eq!(after, in_it_block(pair[1]), "{:#x}", pair[0]);
        }
    }
}

#[test]
fn row_78_endianness_by_exception_level() {
    assert!(is_big_endian(EL1H, 1 << 25));
    assert!(!is_big_endian(EL1H, 1 << 24));
    assert!(is_big_endian(EL0T, 1 << 24));
    assert!(!is_big_endian(EL0T, 1 << 25));
    assert!(is_big_endian(EL0_AARCH32 | 1 << 9, 0));
    assert!(!is_big_endian(EL0_AARCH32, 1 << 24));
}

#[test]
fn a_start_takes_over_the_byte_order_of_el1() {
    for (sctlr_el1, starts) in [(0, false), (1 << 24, false), (1 << 25, true), (3 << 24, true)] {
        assert_eq!(starts_big_endian(sctlr_el1), starts, "{sctlr_el1:#x}");
    }
}

proptest! {
    /// Whatever the guest's state, it arrives at EL1h with everything masked and at a vector.
    #[test]
    fn always_arrives_masked_at_el1(pc: u64, pstate: u64, vbar_el1: u64, sctlr_el1: u64, f: u8) {
        let state = GuestState { pc, pstate, vbar_el1, sctlr_el1 };
        let taken = take(Exception::Undefined, &state, PstateFeatures::from_bits_truncate(f));
        prop_assert_eq!(taken.pstate & 0x3df, 0x3c5);
        prop_assert!([0, 0x200, 0x400, 0x600].contains(&(taken.pc & 0x7ff)));
        prop_assert_eq!(taken.pstate & (1 << 20 | 1 << 21 | 3 << 10), 0);
    }
}

/// Arm ARM, D1.3.1.5: which of the sixteen vectors belongs to which state.
#[test]
fn a_vector_is_known_by_where_its_exception_came_from() {
    const PC: u64 = 0x4020_0040;
    for vbar in [0, 0xbf0_0000] {
        for (spsr, group) in [(0x3c4, 0), (0x3c5, 0x200), (0x3c0, 0x400), (0x10, 0x600)] {
            for offset in (0..0x800).step_by(4) {
                let origin = came_to_vector(vbar + offset, vbar, PC, spsr);
                let is_own = [0, 0x80, 0x100, 0x180].contains(&offset.wrapping_sub(group));
                assert_eq!(origin, is_own.then_some(PC), "{vbar:#x} {offset:#x} {spsr:#x}");
            }
        }
        // VBAR_EL1[10:0] do not count.
        assert_eq!(came_to_vector(vbar + 0x200, vbar | 0x7ff, PC, 0x3c5), Some(PC));
        // The second exception comes out of the first one's vector.
        assert_eq!(came_to_vector(vbar + 0x200, vbar, vbar + 0x200, 0x3c5), None);
    }
}

#[test]
fn vector_registers_are_for_whom_the_guest_lets_use_them() {
    const EL0T: u64 = 0x3c0;
    const EL1T: u64 = 0x3c4;
    const EL1H: u64 = 0x3c5;
    for (enable, at_el0, at_el1) in
        [(0b00, false, false), (0b01, false, true), (0b10, false, false), (0b11, true, true)]
    {
        // Bits around the field do not count.
        for cpacr in [enable << 20, enable << 20 | 1 << 28 | 3 << 16] {
            assert_eq!(has_vectors(EL0T, cpacr), at_el0, "{enable}");
            assert_eq!([EL1T, EL1H].map(|el1| has_vectors(el1, cpacr)), [at_el1; 2], "{enable}");
        }
    }
}

/// Arm ARM, `SPSR_EL2`: M[3:0] 0 is EL0t, 5 is EL1h; PAN is bit 22, UAO bit 23.
#[test]
fn an_access_has_the_rights_of_whom_it_is_made_for() {
    const PAN: u64 = 1 << 22;
    const UAO: u64 = 1 << 23;
    for (pstate, own, unprivileged) in [
        (0, Rights::User, Rights::User),
        (PAN | UAO, Rights::User, Rights::User),
        (5, Rights::Kernel, Rights::User),
        (4 | PAN, Rights::KernelAlone, Rights::User),
        (5 | UAO, Rights::Kernel, Rights::Kernel),
        (5 | PAN | UAO, Rights::KernelAlone, Rights::KernelAlone),
    ] {
        assert_eq!(Rights::new(pstate, false), own, "{pstate:#x}");
        assert_eq!(Rights::new(pstate, true), unprivileged, "{pstate:#x}");
    }
}

/// Arm ARM, `AArch64.CallHypervisor`: PSTATE.SS (bit 21) is cleared and the preferred return address is
/// behind the HVC. Made again, it is still the instruction to step over.
#[test]
fn a_call_that_is_made_again_is_still_to_be_stepped_over() {
    assert_eq!(back_to_call(0x1004, 0x6000_0005), (0x1000, 0x6020_0005));
    assert_eq!(back_to_call(0, 0x3c5), (u64::MAX - 3, 0x20_03c5));
}
