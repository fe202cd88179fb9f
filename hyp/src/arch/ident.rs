//! What the CPU says it is.

use hyp_core::sysreg::HostId;

use super::sysreg;
use super::sysreg::fields::isar1;

/// The ID registers of the calling CPU.
pub(crate) fn host_id() -> HostId {
    let registers = [
        sysreg::id_aa64pfr0_el1(),
        sysreg::id_aa64pfr1_el1(),
        sysreg::id_c4_2(),
        sysreg::id_c4_3(),
        sysreg::id_c4_4(),
        sysreg::id_c4_5(),
        sysreg::id_c4_6(),
        sysreg::id_c4_7(),
        sysreg::id_aa64dfr0_el1(),
        sysreg::id_aa64dfr1_el1(),
        sysreg::id_c5_2(),
        sysreg::id_c5_3(),
        sysreg::id_aa64afr0_el1(),
        sysreg::id_aa64afr1_el1(),
        sysreg::id_c5_6(),
        sysreg::id_c5_7(),
        sysreg::id_aa64isar0_el1(),
        sysreg::id_aa64isar1_el1(),
        sysreg::id_c6_2(),
        sysreg::id_c6_3(),
        sysreg::id_c6_4(),
        sysreg::id_c6_5(),
        sysreg::id_c6_6(),
        sysreg::id_c6_7(),
        sysreg::id_aa64mmfr0_el1(),
        sysreg::id_aa64mmfr1_el1(),
        sysreg::id_aa64mmfr2_el1(),
        sysreg::id_c7_3(),
        sysreg::id_c7_4(),
        sysreg::id_c7_5(),
        sysreg::id_c7_6(),
        sysreg::id_c7_7(),
    ];
    let mut host = HostId {
        registers,
        midr: sysreg::midr_el1(),
        revidr: sysreg::revidr_el1(),
        aidr: sysreg::aidr_el1(),
        pmcr: 0,
        mpamidr: 0,
    };
    if host.has_pmu() {
        host.pmcr = sysreg::pmcr_el0();
    }
    if host.has_mpam() {
        host.mpamidr = sysreg::mpamidr_el1();
    }
    host
}

/// Whether the CPU has the keys of pointer authentication.
pub(crate) fn has_pointer_authentication() -> bool {
    /// GPA3 and APA3 of ID_AA64ISAR2_EL1.
    const QARMA3: u64 = 0xff << 8;
    let any = isar1::APA.val(0xf).value
        | isar1::API.val(0xf).value
        | isar1::GPA.val(0xf).value
        | isar1::GPI.val(0xf).value;
    sysreg::id_aa64isar1_el1() & any != 0 || sysreg::id_c6_2() & QARMA3 != 0
}
