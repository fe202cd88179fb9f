mod host;
mod memory;
mod saved;

use super::*;
use crate::calls::Mitigation;
use crate::features::{Dialect, FeatureOptions};
use proptest::prelude::*;

fn machine(fields: &[(IdRegister, u64)]) -> HostId {
    let mut host = HostId {
        registers: [0; ID_REGISTERS],
        midr: 0x411f_d083,
        revidr: 0x123,
        aidr: 0x456,
        pmcr: 6 << 11,
        mpamidr: 0,
    };
    for &(register, value) in fields {
        host.registers[register as usize] = value;
    }
    host
}

/// What a Cortex-A72 r0p3 says (its technical reference manual, 4.2).
fn cortex_a72() -> HostId {
    machine(&[
        (IdRegister::Pfr0, 0x0100_0000 | 0x2222),
        (IdRegister::Dfr0, 0x1030_5106),
        (IdRegister::Isar0, 0x0001_1120),
        (IdRegister::Mmfr0, 0x0000_1124),
    ])
}

/// A machine that has everything, and more than exists.
fn everything() -> HostId {
    let mut host = machine(&[]);
    host.registers = [0x7777_7777_7777_7777; ID_REGISTERS];
    host
}

fn features(is_protected: bool) -> Features {
    Features::new(&FeatureOptions {
        is_protected,
        dialect: Dialect::Pkvm,
        with_guard: false,
        smc_is_undefined: false,
        has_entropy: true,
    })
}

fn view(host: &HostId, is_protected: bool) -> CpuView {
    CpuView::new(host, features(is_protected), 40, GicVersion::V3)
}

fn read(register: SysReg) -> SysRegAccess {
    SysRegAccess { register, direction: Direction::Read, rt: 0 }
}

fn write(register: SysReg) -> SysRegAccess {
    SysRegAccess { register, direction: Direction::Write, rt: 0 }
}

const PMCR_EL0: SysReg = SysReg::new(3, 3, 9, 12, 0);
const PMCCNTR_EL0: SysReg = SysReg::new(3, 3, 9, 13, 0);
const PMEVCNTR0_EL0: SysReg = SysReg::new(3, 3, 14, 8, 0);
const PMCCFILTR_EL0: SysReg = SysReg::new(3, 3, 14, 15, 7);
const PMINTENSET_EL1: SysReg = SysReg::new(3, 0, 9, 14, 1);
const DBGBVR0_EL1: SysReg = SysReg::new(2, 0, 0, 0, 4);
const DBGBCR1_EL1: SysReg = SysReg::new(2, 0, 0, 1, 5);
const TRCPRGCTLR: SysReg = SysReg::new(2, 1, 0, 1, 0);
const MDCCSR_EL0: SysReg = SysReg::new(2, 3, 0, 1, 0);
const OSLAR_EL1: SysReg = SysReg::new(2, 0, 1, 0, 4);
const MDSCR_EL1: SysReg = SysReg::new(2, 0, 0, 2, 2);
const DC_ISW: SysReg = SysReg::new(1, 0, 7, 6, 2);
const ID_AA64DFR0_EL1: SysReg = SysReg::new(3, 0, 0, 5, 0);

#[test]
fn row_127_debug_pmu_trace() {
    let (normal, protected) = (view(&cortex_a72(), false), view(&cortex_a72(), true));
    for register in [
        PMCR_EL0,
        PMCCNTR_EL0,
        PMEVCNTR0_EL0,
        PMCCFILTR_EL0,
        PMINTENSET_EL1,
        TRCPRGCTLR,
        MDCCSR_EL0,
    ] {
        assert_eq!(protected.answer(&read(register)), Answer::Undefined, "{register:?}");
        assert_eq!(normal.answer(&read(register)), Answer::Value(0), "{register:?}");
        assert_eq!(normal.answer(&write(register)), Answer::Ignored, "{register:?}");
    }
    for register in [DBGBVR0_EL1, DBGBCR1_EL1] {
        assert_eq!(protected.answer(&read(register)), Answer::Undefined, "{register:?}");
    }
    assert_eq!(protected.answer(&write(PMCR_EL0)), Answer::Undefined);
    assert_eq!(protected.answer(&write(DBGBCR1_EL1)), Answer::Undefined);
}

/// What Linux does at boot whatever ID_AA64DFR0_EL1 says must not kill it.
#[test]
fn the_debug_writes_of_a_booting_linux_pass() {
    let protected = view(&cortex_a72(), true);
    for op2 in 4..=7 {
        assert_eq!(protected.answer(&write(SysReg::new(2, 0, 0, 0, op2))), Answer::Ignored);
    }
    for register in [MDSCR_EL1, OSLAR_EL1, SysReg::new(2, 0, 1, 3, 4)] {
        assert_eq!(protected.answer(&write(register)), Answer::Ignored, "{register:?}");
    }
    assert_eq!(protected.answer(&read(MDSCR_EL1)), Answer::Value(0));
}

#[test]
fn rows_128_and_129_id_registers() {
    // A normal VM on the first has six breakpoints, two of them for contexts, and four watchpoints.
    for (host, normal) in [(cortex_a72(), 0x1030_5006), (everything(), 0x7070_7007)] {
        for (is_protected, debug) in [(false, normal), (true, 0)] {
            let view = view(&host, is_protected);
            let answer = view.answer(&read(ID_AA64DFR0_EL1));
            assert_eq!(answer, Answer::Value(0x000f_00f0_0000_0000 | debug));
            assert_eq!(view.answer(&write(ID_AA64DFR0_EL1)), Answer::Undefined);
        }
    }
    // Armv8.9 (0xb) is shown as Armv8.2.
    let newest = machine(&[(IdRegister::Dfr0, 0xb)]);
    assert_eq!(view(&newest, false).id(IdRegister::Dfr0) & 0xf, 8);
}

#[test]
fn row_130_set_and_way() {
    assert_eq!(view(&cortex_a72(), true).answer(&write(DC_ISW)), Answer::Undefined);
    assert_eq!(view(&cortex_a72(), false).answer(&write(DC_ISW)), Answer::Ignored);
    // SYSL, which would leave its register as it was.
    assert_eq!(view(&cortex_a72(), false).answer(&read(DC_ISW)), Answer::Undefined);
}

#[test]
fn the_view_of_a_cortex_a72() {
    let view = view(&cortex_a72(), true);
    // AArch64 only where the CPU has both; GIC registers kept.
    assert_eq!(view.id(IdRegister::Pfr0), 0x0100_1111);
    assert_eq!(view.id(IdRegister::Isar0), 0x0001_1120);
    // 44 bits of physical address become the VM's 40.
    assert_eq!(view.id(IdRegister::Mmfr0), 0x1122);
    let wide = CpuView::new(&cortex_a72(), features(true), 44, GicVersion::V3);
    assert_eq!(wide.id(IdRegister::Mmfr0), 0x1124);
    // AArch32 registers, and those of the reserved space.
    for (crm, op2) in [(1, 0), (2, 7), (3, 1), (4, 7), (7, 7)] {
        assert_eq!(view.answer(&read(SysReg::new(3, 0, 0, crm, op2))), Answer::Value(0));
    }
}

/// Fields of features that are hidden, on a machine that has them all (Arm ARM, field tables).
#[test]
fn hidden_features_are_not_seen() {
    let view = view(&everything(), false);
    for (register, shift, feature) in [
        (IdRegister::Pfr0, 32, "SVE"),
        (IdRegister::Pfr0, 36, "SEL2"),
        (IdRegister::Pfr0, 40, "MPAM"),
        (IdRegister::Pfr0, 44, "AMU"),
        (IdRegister::Pfr0, 52, "RME"),
        (IdRegister::Pfr1, 8, "MTE"),
        (IdRegister::Pfr1, 16, "MPAM_frac"),
        (IdRegister::Pfr1, 24, "SME"),
        (IdRegister::Pfr1, 36, "NMI"),
        (IdRegister::Pfr1, 44, "GCS"),
        (IdRegister::Isar0, 24, "TME"),
        (IdRegister::Isar1, 60, "LS64"),
        (IdRegister::Isar2, 16, "MOPS"),
        (IdRegister::Mmfr0, 56, "FGT"),
        (IdRegister::Mmfr0, 60, "ECV"),
        (IdRegister::Mmfr1, 8, "VH"),
        (IdRegister::Mmfr1, 16, "LO"),
        (IdRegister::Mmfr2, 24, "NV"),
    ] {
        assert_eq!(view.id(register) >> shift & 0xf, 0, "{feature}");
    }
    // S1PIE and its relatives live in ID_AA64MMFR3_EL1, SVE and SME detail in CRm 4.
    for (crm, op2) in [(7, 3), (4, 4), (4, 5), (4, 2), (5, 1)] {
        assert_eq!(view.answer(&read(SysReg::new(3, 0, 0, crm, op2))), Answer::Value(0));
    }
    // Pointer authentication passes.
    assert_eq!(view.id(IdRegister::Isar1) >> 4 & 0xff, 0x77);
    // No floating point stays no floating point.
    let without_fp = machine(&[(IdRegister::Pfr0, 0x00ff_0011)]);
    assert_eq!(self::view(&without_fp, true).id(IdRegister::Pfr0), 0x00ff_0011);
}

#[test]
fn interrupt_registers() {
    let view = view(&cortex_a72(), true);
    for (op2, which) in [(5, SgiRegister::Sgi1), (6, SgiRegister::Asgi1), (7, SgiRegister::Sgi0)] {
        let register = SysReg::new(3, 0, 12, 11, op2);
        assert_eq!(view.answer(&write(register)), Answer::Sgi(which));
        assert_eq!(view.answer(&read(register)), Answer::Undefined);
    }
    let dir = SysReg::new(3, 0, 12, 11, 1);
    assert_eq!(view.answer(&write(dir)), Answer::Deactivate);
    assert_eq!(view.answer(&read(dir)), Answer::Undefined);
    let sre = SysReg::new(3, 0, 12, 12, 5);
    assert_eq!(view.answer(&read(sre)), Answer::Value(7));
    assert_eq!(view.answer(&write(sre)), Answer::Ignored);
}

#[test]
fn error_records_exist_only_with_ras() {
    let erridr = SysReg::new(3, 0, 5, 3, 0);
    assert_eq!(view(&cortex_a72(), true).answer(&read(erridr)), Answer::Undefined);
    assert_eq!(view(&everything(), true).answer(&read(erridr)), Answer::Value(0));
}

#[test]
fn traps_on_a_cortex_a72() {
    let normal = TrapControls::new(&cortex_a72(), &cortex_a72(), features(false));
    // VM, SWIO, PTW, FMO, IMO, AMO, TID1, TID3, TSC, TIDCP, TACR, RW.
    assert_eq!(normal.hcr, 0x803d_003f);
    let protected = TrapControls::new(&cortex_a72(), &cortex_a72(), features(true));
    assert_eq!(protected.hcr, 0x807d_003f);
    // TDA, TDOSA, TDRA, TPM, TPMCR, six counters.
    assert_eq!(normal.mdcr, 0xe66);
    assert_eq!(normal.cptr, 0x33ff);
    assert_eq!((normal.hcrx, normal.mpam2), (None, None));
    assert_eq!(normal.vpidr, 0x411f_d083);
}

#[test]
fn traps_where_everything_is_there() {
    let traps = TrapControls::new(&everything(), &everything(), features(false));
    // TLOR, TERR, TEA, APK, API, TID5 besides; E2H, TGE, ATA, DCT, EnSCXT, FWB, NV stay 0.
    assert_eq!(traps.hcr, 0x803d_003f | 0b111 << 35 | 0b11 << 40 | 1 << 58);
    assert_eq!(traps.cptr, 0x33ff | 1 << 20 | 1 << 30);
    assert_eq!(traps.mdcr, 0xe66 | 1 << 14 | 1 << 17 | 1 << 19 | 1 << 27);
    assert_eq!(traps.hcrx, Some(1 << 6));
    assert_eq!((traps.mpam2, traps.mpamhcr), (Some(0b11 << 48), None));
}

/// MPAM is hidden from the ID registers, so its own ID register has to be undefined as well.
#[test]
fn mpamidr_is_hidden_however_the_machine_traps_it() {
    for (mpamidr, mpam2, mpamhcr) in [
        (0x3f | 1 << 17, 0b11 << 48, Some(1 << 31)),
        (0x3f | 1 << 58, 0b11 << 48 | 1 << 58, None),
        (0x3f | 1 << 58 | 1 << 17, 0b11 << 48 | 1 << 58, Some(1 << 31)),
        (0x3f, 0b11 << 48, None),
    ] {
        let host = HostId { mpamidr, ..everything() };
        for is_protected in [false, true] {
            let traps = TrapControls::new(&host, &host, features(is_protected));
            assert_eq!((traps.mpam2, traps.mpamhcr), (Some(mpam2), mpamhcr));
            let mpamidr = SysReg::new(3, 0, 10, 4, 4);
            assert_eq!(view(&host, is_protected).answer(&read(mpamidr)), Answer::Undefined);
        }
    }
    // A machine without MPAM has neither register.
    let host = HostId { mpamidr: u64::MAX, ..cortex_a72() };
    let traps = TrapControls::new(&host, &host, features(true));
    assert_eq!((traps.mpam2, traps.mpamhcr), (None, None));
}

#[test]
fn vulnerabilities() {
    let a72 = Mitigations::from_id(&cortex_a72());
    assert_eq!(a72.one, Mitigation::Vulnerable);
    let new = Mitigations::from_id(&machine(&[(IdRegister::Pfr0, 3 << 56)]));
    assert_eq!((new.one, new.three), (Mitigation::Unaffected, Mitigation::Unaffected));
    assert_eq!(new.two, Mitigation::Vulnerable);
    let a53 = Mitigations::from_id(&HostId { midr: 0x410f_d034, ..cortex_a72() });
    assert_eq!(
        (a53.one, a53.two, a53.three),
        (Mitigation::Unaffected, Mitigation::Unaffected, Mitigation::Unaffected)
    );
}

proptest! {
    /// No field of the view says more than the machine's, but for the three that say "not there".
    #[test]
    fn the_view_never_exceeds_the_machine(registers: [u64; ID_REGISTERS], ipa_bits in 32u32..49) {
        let host = HostId { registers, ..cortex_a72() };
        let view = CpuView::new(&host, features(true), ipa_bits, GicVersion::V3);
        for (index, &machine) in registers.iter().enumerate() {
            if index == IdRegister::Dfr0 as usize || index == IdRegister::Mmfr4 as usize {
                continue;
            }
            for shift in (0..64).step_by(4) {
                let (seen, there) = (view.id[index] >> shift & 0xf, machine >> shift & 0xf);
                let not_there = seen == 0xf && (there >= 8 || (index == 1 && shift == 40));
                // In a signed field 8 to 15 are less than 0.
                prop_assert!(seen <= there || not_there, "{index} {shift}");
            }
        }
    }

    #[test]
    fn any_access_is_answered(iss: u64, is_protected: bool) {
        let _ = view(&everything(), is_protected).answer(&SysRegAccess::from_iss(iss));
    }
}

#[test]
fn a_gicv2_has_no_system_registers() {
    let view = CpuView::new(&everything(), features(false), 40, GicVersion::V2);
    assert_eq!(view.id(IdRegister::Pfr0) >> 24 & 0xf, 0);
    assert_eq!(self::view(&everything(), false).id(IdRegister::Pfr0) >> 24 & 0xf, 1);
    // ICC_PMR; ICC_DIR, ICC_RPR, ICC_SGI1R, ICC_ASGI1R, ICC_SGI0R, ICC_CTLR, ICC_SRE.
    let others = [(11, 1), (11, 3), (11, 5), (11, 6), (11, 7), (12, 4), (12, 5)]
        .map(|(crm, op2)| SysReg::new(3, 0, 12, crm, op2));
    for register in others.into_iter().chain([SysReg::new(3, 0, 4, 6, 0)]) {
        assert_eq!(view.answer(&write(register)), Answer::Undefined);
        assert_eq!(view.answer(&read(register)), Answer::Undefined);
    }
}

/// IHI0069, ICH_HCR_EL2.TC names what traps; 12.2 says which of it may be read and which written.
#[test]
fn what_both_groups_share_traps_as_a_whole() {
    let view = view(&everything(), true);
    let [pmr, dir, rpr, ctlr] = [(4, 6, 0), (12, 11, 1), (12, 11, 3), (12, 12, 4)]
        .map(|(crn, crm, op2)| SysReg::new(3, 0, crn, crm, op2));
    for (register, common) in [(pmr, CommonRegister::Pmr), (ctlr, CommonRegister::Ctlr)] {
        assert_eq!(view.answer(&read(register)), Answer::Common(common));
        assert_eq!(view.answer(&write(register)), Answer::Common(common));
    }
    assert_eq!(view.answer(&read(rpr)), Answer::Common(CommonRegister::Rpr));
    assert_eq!(view.answer(&write(rpr)), Answer::Undefined);
    assert_eq!(view.answer(&read(dir)), Answer::Undefined);
    assert_eq!(view.answer(&write(dir)), Answer::Deactivate);
}
