//! Trapped system registers, on a machine whose ID registers say anything.

use hyp_core::esr::Exit;
use hyp_core::features::{Dialect, FeatureOptions, Features};
use hyp_core::sysreg::{Answer, CpuView, HostId, ID_REGISTERS, TrapControls};
use hyp_core::vgic::{CommonRegister, GicVersion, SgiRegister};

use super::bits;
use crate::bytes::Bytes;

fn machine(bytes: &mut Bytes<'_>) -> HostId {
    let (midr, revidr, aidr) = (bytes.u64(), bytes.u64(), bytes.u64());
    let (pmcr, mpamidr) = (bytes.u64(), bytes.u64());
    let mut registers = [0; ID_REGISTERS];
    // PFR0 and PFR1, DFR0, ISAR0 to ISAR2, MMFR0 to MMFR4.
    for index in [0, 1, 8, 16, 17, 18, 24, 25, 26, 28] {
        registers[index] = bytes.u64();
    }
    HostId { registers, midr, revidr, aidr, pmcr, mpamidr }
}

/// Fields of what a guest must not see: index, lowest bit, value that says "not there".
/// Index n is `S3_0_C0_C<4 + n / 8>_<n % 8>`.
const HIDDEN: [(usize, u32, u64); 24] = [
    // ID_AA64PFR0: SVE, SEL2, MPAM, AMU.
    (0, 32, 0),
    (0, 36, 0),
    (0, 40, 0),
    (0, 44, 0),
    // ID_AA64PFR1: MTE, RAS_frac, MPAM_frac, SME, NMI, GCS, THE.
    (1, 8, 0),
    (1, 12, 0),
    (1, 16, 0),
    (1, 24, 0),
    (1, 36, 0),
    (1, 44, 0),
    (1, 48, 0),
    // ID_AA64DFR0: TraceVer, PMUVer, PMSVer, TraceFilt, TraceBuffer.
    (8, 4, 0),
    (8, 8, 0),
    (8, 32, 0),
    (8, 40, 0),
    (8, 44, 0),
    // ID_AA64ISAR0: TME.
    (16, 24, 0),
    // ID_AA64ISAR1: XS, LS64.
    (17, 56, 0),
    (17, 60, 0),
    // ID_AA64MMFR1: VH, LO, XNX, TIDCP1.
    (25, 8, 0),
    (25, 16, 0),
    (25, 28, 0),
    (25, 52, 0),
    // ID_AA64MMFR2: NV.
    (26, 24, 0),
];

/// An access to a trapped register, and the controls for the same machine.
pub(super) fn check(esr: u64, bytes: &mut Bytes<'_>) {
    let form = bytes.u8();
    let host = machine(bytes);
    let is_protected = form & 1 != 0;
    let features = Features::new(&FeatureOptions {
        is_protected,
        dialect: Dialect::Pkvm,
        with_guard: false,
        smc_is_undefined: false,
        has_entropy: false,
    });
    let gic = if form & 2 != 0 { GicVersion::V3 } else { GicVersion::V2 };
    let ipa_bits = 32 + u32::from(form >> 4);
    let view = CpuView::new(&host, features, ipa_bits, gic).on(&host);
    let Exit::SystemRegister(access) = Exit::from_esr(esr) else { panic!("not a register") };
    let answer = view.answer(&access);
    let is_read = bits(esr, 0, 0) == 1;
    match answer {
        Answer::Value(_) => assert!(is_read),
        Answer::Ignored | Answer::Sgi(_) | Answer::Deactivate => assert!(!is_read),
        Answer::Undefined | Answer::Common(_) | Answer::Debug(_) => {}
    }
    let [op0, op1, crn, crm, op2] =
        [(21, 20), (16, 14), (13, 10), (4, 1), (19, 17)].map(|(high, low)| bits(esr, high, low));
    let name = (op0, op1, crn, crm, op2);
    let is_v3 = gic == GicVersion::V3;
    // Those that can trap, of all that the GIC's CPU interface has.
    let is_gic = matches!((crn, crm, op2), (12, 11, 1 | 3 | 5..=7) | (12, 12, 4 | 5) | (4, 6, 0));
    match name {
        (3, 0, 0, 1..=7, _) => {
            assert_eq!(matches!(answer, Answer::Value(_)), is_read);
            if let (Answer::Value(value), 4..) = (answer, crm) {
                let index = usize::try_from((crm - 4) * 8 + op2).unwrap();
                identification(index, value, &host, ipa_bits, is_v3);
            }
        }
        (3, 0, ..) if is_gic && !is_v3 => assert_eq!(answer, Answer::Undefined),
        (3, 0, 12, 12, 4) => assert_eq!(answer, Answer::Common(CommonRegister::Ctlr)),
        (3, 0, 4, 6, 0) => assert_eq!(answer, Answer::Common(CommonRegister::Pmr)),
        (3, 0, 12, 11, 3) if is_read => {
            assert_eq!(answer, Answer::Common(CommonRegister::Rpr));
        }
        (3, 0, 12, 11, 3) => assert_eq!(answer, Answer::Undefined),
        (3, 0, 12, 11, 5..=7) if !is_read => {
            let sent = [SgiRegister::Sgi1, SgiRegister::Asgi1, SgiRegister::Sgi0];
            assert_eq!(answer, Answer::Sgi(sent[usize::try_from(op2 - 5).unwrap()]));
        }
        // A write-only register is not read.
        (3, 0, 12, 11, 1 | 5..=7) if is_read => assert_eq!(answer, Answer::Undefined),
        // Performance monitors and debug: undefined if protected, else of no effect.
        (3, 3, 9, 12..=15, _) | (3, 3, 14, 8..=15, _) | (3, 0, 9, 14, _) => {
            assert_eq!(answer == Answer::Undefined, is_protected);
            assert!(matches!(answer, Answer::Undefined | Answer::Value(0) | Answer::Ignored));
        }
        // Breakpoints, watchpoints, MDSCR, OSLAR and OSLSR belong to a normal VM.
        (2, ..) if matches!(answer, Answer::Debug(_)) => {
            assert!(!is_protected);
            assert!(matches!(name, (_, 0, 0, _, 4..=7) | (_, 0, 0, 2, 2) | (_, 0, 1, 0 | 1, 4)));
        }
        (2, ..) => {
            assert!(matches!(answer, Answer::Undefined | Answer::Value(0) | Answer::Ignored))
        }
        // EL2 and EL3 are nobody's below EL2.
        (3, 4..=6, ..) => assert_eq!(answer, Answer::Undefined),
        // Data of its own a guest finds in these alone.
        (3, 0, 0, 0, 6) if is_read => assert_eq!(answer, Answer::Value(host.revidr)),
        (3, 1, 0, 0, 7) if is_read => assert_eq!(answer, Answer::Value(host.aidr)),
        _ => assert!(!matches!(answer, Answer::Value(value) if value != 0 && value != 7)),
    }
    controls(&host, features, is_protected);
}

/// An ID register shows no feature that is hidden or that the machine does not have.
fn identification(index: usize, value: u64, host: &HostId, ipa_bits: u32, is_v3: bool) {
    for (_, low, absent) in HIDDEN.iter().filter(|(hidden, ..)| *hidden == index) {
        assert_eq!(bits(value, low + 3, *low), *absent, "register {index}, bit {low}");
    }
    let machine = host.registers[index];
    for low in (0..64).step_by(4) {
        let (shown, has) = (bits(value, low + 3, low), bits(machine, low + 3, low));
        // Signed fields say "not there" with 0xf, and a few that are fixed: MTE_frac, DoubleLock,
        // MTPMU, E2H0.
        assert!(shown <= has || shown == 0xf, "register {index}, bit {low}: {shown} of {has}");
    }
    match index {
        0 => {
            assert_eq!(bits(value, 27, 24) != 0, is_v3 && bits(machine, 27, 24) != 0);
            // AArch64 only.
            assert!(bits(value, 3, 0) <= 1 && bits(value, 7, 4) <= 1);
        }
        24 => {
            let size = [32, 36, 40, 42, 44, 48][usize::try_from(bits(value, 3, 0)).unwrap()];
            assert!(size >= ipa_bits || bits(value, 3, 0) == bits(machine, 3, 0));
        }
        _ => {}
    }
}

/// What is hidden traps (`HCR_EL2`, `MDCR_EL2`, `CPTR_EL2`).
fn controls(host: &HostId, features: Features, is_protected: bool) {
    let controls = TrapControls::new(host, host, features);
    let hcr = |at| bits(controls.hcr, at, at) == 1;
    // VM, SWIO, PTW, FMO, IMO, AMO, TID1, TID3, TSC, TIDCP, TACR, RW.
    assert!([0, 1, 2, 3, 4, 5, 16, 18, 19, 20, 21, 31].into_iter().all(hcr));
    // DC, TGE, HCD, E2H, NV, NV1, ATA, DCT and the other trap-free ways to more.
    assert!([12, 27, 29, 34, 42, 43, 56, 57].into_iter().all(|at| !hcr(at)));
    assert!(!is_protected || hcr(22));
    let pfr1 = host.registers[1];
    assert!(bits(pfr1, 11, 8) < 2 || hcr(58));
    // TDA, TDOSA, TDRA.
    assert_eq!(bits(controls.mdcr, 11, 9), 7);
    let pmu = bits(host.registers[8], 11, 8);
    assert!(matches!(pmu, 0 | 15) || bits(controls.mdcr, 6, 5) == 3);
    // TSM, TZ; not FP.
    assert_eq!((bits(controls.cptr, 8, 8), bits(controls.cptr, 12, 12)), (1, 1));
    assert_eq!(bits(controls.cptr, 10, 10), 0);
    assert_eq!(controls.vpidr, host.midr);
}
