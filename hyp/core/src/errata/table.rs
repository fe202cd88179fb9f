//! The table.
//!
//! Versions and workarounds: Arm's Software Developers Errata Notices; Linux,
//! `Documentation/arch/arm64/silicon-errata.rst` and `arch/arm64/kernel/cpu_errata.c`, with the reasons in
//! `arch/arm64/Kconfig`; part numbers: `arch/arm64/include/asm/cputype.h`.

use core::ops::RangeInclusive;

use super::{Actions, Erratum, Model, Version};

const ARM: u8 = 0x41;
const BROADCOM: u8 = 0x42;
const CAVIUM: u8 = 0x43;
const NVIDIA: u8 = 0x4e;
const QUALCOMM: u8 = 0x51;
const MICROSOFT: u8 = 0x6d;
const AMPERE: u8 = 0xc0;

const ALL: RangeInclusive<Version> = 0..=0xff;

const REPEAT: Actions = Actions::REPEAT_TLBI;
const AT: Actions = Actions::SPECULATIVE_AT;
const STOPS: Actions = Actions::GUEST_STOPS_MACHINE;
const NONE: Actions = Actions::NO_WORKAROUND;
const ALWAYS: Actions = Actions::ALWAYS;

/// All versions up to r`variant`p`revision`.
const fn to(variant: u8, revision: u8) -> RangeInclusive<Version> {
    0..=(variant << 4 | revision)
}

const fn erratum(
    number: &'static str,
    versions: RangeInclusive<Version>,
    actions: Actions,
) -> Erratum {
    Erratum { number, versions, actions }
}

const fn model(
    name: &'static str,
    implementer: u8,
    parts: &'static [u16],
    errata: &'static [Erratum],
) -> Model {
    Model { name, implementer, parts, errata }
}

/// CVE-2025-10263: a write that a dropped translation let through may be seen after the DSB that should have
/// waited for it. Each CPU has a number of its own for it, which docs/platforms.md tells.
const LATE_WRITES: Erratum = erratum("CVE-2025-10263", ALL, REPEAT);

/// Each CPU once.
pub(super) static MODELS: &[Model] = &[
    model(
        "Cortex-A53",
        ARM,
        &[0xd03],
        &[
            // A clean may lose data where it should not: EL2 has nothing but DC CIVAC.
            erratum("819472", to(0, 1), ALWAYS),
            erratum("824069", to(0, 2), ALWAYS),
            erratum("826319", to(0, 2), ALWAYS),
            erratum("827319", to(0, 2), ALWAYS),
            // Sequences of instructions, which the image has not: xtask/src/build/sequences.rs.
            erratum("835769", to(0, 4), ALWAYS),
            erratum("843419", to(0, 4), ALWAYS),
        ],
    ),
    model("Brahma-B53", BROADCOM, &[0x100], &[erratum("843419", to(0, 0), ALWAYS)]),
    model(
        "Cortex-A55",
        ARM,
        &[0xd05],
        &[erratum("1530923", to(2, 0), AT), erratum("2441007", ALL, REPEAT)],
    ),
    model(
        "Cortex-A57",
        ARM,
        &[0xd07],
        &[
            // Exclusives on normal memory between loads from a device, which may be the guest's.
            erratum("832075", to(1, 2), STOPS),
            erratum("834220", to(1, 2), Actions::TRANSLATE_FAULTS),
            erratum("1319537", ALL, AT),
        ],
    ),
    model("Cortex-A72", ARM, &[0xd08], &[erratum("1319367", ALL, AT)]),
    model(
        "Cortex-A76",
        ARM,
        &[0xd0b],
        &[erratum("1165522", to(2, 0), AT), erratum("1286807", to(3, 0), REPEAT), LATE_WRITES],
    ),
    // Its first is Xen's: xen/arch/arm/cpuerrata.c.
    model("Neoverse-N1", ARM, &[0xd0c], &[erratum("1165522", to(2, 0), AT), LATE_WRITES]),
    model(
        "Cortex-A77",
        ARM,
        &[0xd0d],
        &[
            // Store-exclusives or reads of PAR_EL1, and loads from a device or past the caches. EL2 has DMB
            // SY around its own reads of PAR_EL1, on every CPU.
            erratum("1508412", to(1, 0), STOPS),
            LATE_WRITES,
        ],
    ),
    // From Cortex-A76AE to C1-Premium, as docs/platforms.md lists them.
    Model {
        name: "Arm CPU",
        implementer: ARM,
        parts: &[
            0xd0e, 0xd40, 0xd41, 0xd42, 0xd44, 0xd47, 0xd48, 0xd49, 0xd4b, 0xd4c, 0xd4e, 0xd4f,
            0xd82, 0xd83, 0xd84, 0xd85, 0xd8c, 0xd90,
        ],
        errata: &[LATE_WRITES],
    },
    model("Azure Cobalt 100", MICROSOFT, &[0xd49], &[LATE_WRITES]),
    model("Cortex-A510", ARM, &[0xd46], &[erratum("2441009", to(1, 1), REPEAT)]),
    model(
        "Olympus",
        NVIDIA,
        &[0x010],
        &[
            // A store to a device may be seen after a later load from it.
            erratum("T410-OLY-1027", ALL, NONE),
            LATE_WRITES,
        ],
    ),
    // 23154 and 38545: reads of ICC_IAR1_EL1. 30115: a guest's accesses to its GIC CPU interface may mask
    // EL2's interrupts. 219: a guest's write of TTBR0_EL1 may be a data abort of another thread of the core.
    model(
        "ThunderX",
        CAVIUM,
        &[0x0a1],
        &[erratum("23154, 38545", ALL, NONE), erratum("30115", to(1, 2), STOPS)],
    ),
    model(
        "ThunderX 81xx",
        CAVIUM,
        &[0x0a2],
        &[erratum("23154, 38545", ALL, NONE), erratum("30115", to(0, 2), STOPS)],
    ),
    model(
        "ThunderX 83xx",
        CAVIUM,
        &[0x0a3],
        &[erratum("23154, 38545", ALL, NONE), erratum("30115", to(0, 0), STOPS)],
    ),
    model(
        "OCTEON TX2",
        CAVIUM,
        &[0x0b1, 0x0b2, 0x0b3, 0x0b4, 0x0b5, 0x0b6],
        &[erratum("23154, 38545", ALL, NONE)],
    ),
    model("ThunderX2", CAVIUM, &[0x0af], &[erratum("219", ALL, STOPS)]),
    model("Vulcan", BROADCOM, &[0x516], &[erratum("219", ALL, STOPS)]),
    // E1041: boot.s has an ISB before it turns the MMU off.
    model(
        "Falkor v1",
        QUALCOMM,
        &[0x800],
        &[erratum("E1009", to(0, 0), REPEAT), erratum("E1041", ALL, ALWAYS)],
    ),
    model("Falkor", QUALCOMM, &[0xc00], &[erratum("E1041", ALL, ALWAYS)]),
    // Snapdragon 820 and 821; Linux asks for bits 11:8 of the part number only.
    model("Kryo", QUALCOMM, &[0x201, 0x205, 0x211], &[erratum("E1009", ALL, REPEAT)]),
    model("Kryo 4xx Gold", QUALCOMM, &[0x804], &[erratum("1286807", 0xce..=0xfe, REPEAT)]),
    model("Kryo 4xx Silver", QUALCOMM, &[0x805], &[erratum("1530923", 0xde..=0xde, AT)]),
    // VTCR_EL2.HA and HD, which must stay 0; barriers around writes of HCR_EL2.
    // Deactivating an interrupt that is pending and not active may lose it.
    model(
        "AmpereOne",
        AMPERE,
        &[0xac3],
        &[erratum("AC03_CPU_38", ALL, ALWAYS), erratum("AC03_CPU_57", ALL, NONE)],
    ),
    model(
        "AmpereOne AC04",
        AMPERE,
        &[0xac4],
        &[
            erratum("AC04_CPU_10", ALL, ALWAYS),
            erratum("AC04_CPU_23", ALL, ALWAYS),
            erratum("AC04_CPU_29", ALL, NONE),
        ],
    ),
];
