use std::collections::BTreeSet;
use std::string::ToString;
use std::vec::Vec;

use super::table::MODELS;
use super::*;

/// MIDR_EL1 of an Arm CPU (Arm ARM, `MIDR_EL1`).
fn arm(part: u64, variant: u64, revision: u64) -> u64 {
    0x41 << 24 | variant << 20 | 0xf << 16 | part << 4 | revision
}

fn numbers(midr: u64) -> Vec<&'static str> {
    Kind::new(midr).iter().flat_map(Kind::errata).map(|erratum| erratum.number).collect()
}

fn actions(midr: u64) -> Actions {
    Kind::new(midr).map_or(Actions::empty(), |kind| kind.actions())
}

/// MIDR_EL1 as QEMU's models of these CPUs have it, and what Linux says of these versions.
#[test]
fn known_cpus_have_known_errata() {
    for (midr, expected) in [
        // Cortex-A53 r0p4, A57 r1p0, A72 r0p3, A76 r4p1, Neoverse-N1 r4p1.
        (0x410f_d034, &["835769", "843419"][..]),
        (0x411f_d070, &["832075", "834220", "1319537"]),
        (0x410f_d083, &["1319367"]),
        (0x414f_d0b1, &["CVE-2025-10263"]),
        (0x414f_d0c1, &["CVE-2025-10263"]),
        // QEMU's `max`, a Cortex-A35, an Apple M1.
        (0x000f_0510, &[]),
        (0x411f_d040, &[]),
        (0x611f_0221, &[]),
    ] {
        assert_eq!(numbers(midr), expected, "{midr:#x}");
    }
}

/// The last version that an erratum is in, and the next one, which it is not in.
#[test]
fn a_version_range_ends_where_the_notice_says() {
    for (part, last, fixed, number) in [
        (0xd03, (0, 4), (0, 5), "835769"),
        (0xd03, (0, 4), (0, 5), "843419"),
        (0xd03, (0, 1), (0, 2), "819472"),
        (0xd03, (0, 2), (0, 3), "826319"),
        (0xd05, (2, 0), (2, 1), "1530923"),
        (0xd07, (1, 2), (1, 3), "832075"),
        (0xd07, (1, 2), (1, 3), "834220"),
        (0xd0b, (2, 0), (3, 0), "1165522"),
        (0xd0b, (3, 0), (3, 1), "1286807"),
        (0xd0c, (2, 0), (3, 0), "1165522"),
        (0xd0d, (1, 0), (1, 1), "1508412"),
        (0xd46, (1, 1), (1, 2), "2441009"),
    ] {
        assert!(numbers(arm(part, 0, 0)).contains(&number), "{number} r0p0");
        assert!(numbers(arm(part, last.0, last.1)).contains(&number), "{number} {last:?}");
        assert!(!numbers(arm(part, fixed.0, fixed.1)).contains(&number), "{number} {fixed:?}");
    }
}

#[test]
fn what_el2_does_follows_from_the_version() {
    const TRANSLATE: Actions = Actions::TRANSLATE_FAULTS;
    const STOPS: Actions = Actions::GUEST_STOPS_MACHINE;
    const AT: Actions = Actions::SPECULATIVE_AT;
    const REPEAT: Actions = Actions::REPEAT_TLBI;
    for (midr, expected) in [
        (arm(0xd03, 0, 4), Actions::ALWAYS),
        (arm(0xd05, 1, 0), AT | REPEAT),
        (arm(0xd05, 2, 1), REPEAT),
        (arm(0xd07, 1, 2), STOPS | TRANSLATE | AT),
        (arm(0xd07, 1, 3), AT),
        (arm(0xd0b, 2, 0), AT | REPEAT),
        (arm(0xd0b, 4, 1), REPEAT),
        (arm(0xd0d, 1, 0), STOPS | REPEAT),
        (arm(0xd0d, 1, 1), REPEAT),
        (arm(0xd46, 1, 1), REPEAT),
        (arm(0xd46, 1, 2), Actions::empty()),
        // Cortex-A715 and A720 lie between those of CVE-2025-10263 and are none of them.
        (arm(0xd4d, 1, 0), Actions::empty()),
        (arm(0xd81, 0, 1), Actions::empty()),
        // Falkor v1, its next version, three Kryos.
        (0x510f_8000, REPEAT | Actions::ALWAYS),
        (0x510f_8001, Actions::ALWAYS),
        (0x510f_2011, REPEAT),
        (0x51df_8040 | 0xe, REPEAT),
        (0x51ff_804f, Actions::empty()),
        (0x51df_805e, AT),
        // ThunderX2, and ThunderX of two passes.
        (0x430f_0af1, STOPS),
        (0x431f_0a12, STOPS | Actions::NO_WORKAROUND),
        (0x431f_0a13, Actions::NO_WORKAROUND),
        (0xc00f_ac41, Actions::ALWAYS | Actions::NO_WORKAROUND),
    ] {
        assert_eq!(actions(midr), expected, "{midr:#x}");
    }
}

/// CPUs of CVE-2025-10263, by part number (Linux, `cpu_errata.c`: `arm64_repeat_tlbi_list`).
#[test]
fn late_writes_are_waited_for_on_every_version() {
    let parts = [
        0xd0b, 0xd0c, 0xd0d, 0xd0e, 0xd40, 0xd41, 0xd42, 0xd44, 0xd47, 0xd48, 0xd49, 0xd4b, 0xd4c,
        0xd4e, 0xd4f, 0xd82, 0xd83, 0xd84, 0xd85, 0xd8c, 0xd90,
    ];
    let midrs = parts.into_iter().flat_map(|part| [arm(part, 0, 0), arm(part, 15, 15)]);
    for midr in midrs.chain([0x6d0f_d490, 0x4e0f_0100]) {
        assert!(actions(midr).contains(Actions::REPEAT_TLBI), "{midr:#x}");
    }
}

#[test]
fn a_kind_has_a_name_and_a_reason_to_warn() {
    let kind = Kind::new(0x411f_d071).unwrap();
    assert_eq!(kind.to_string(), "Cortex-A57 r1p1");
    let taints: Vec<_> =
        kind.errata().filter_map(|it| Some((it.number, it.actions.taint()?))).collect();
    assert_eq!(taints, [("832075", "any guest can stop this machine")]);
    assert_eq!(Actions::NO_WORKAROUND.taint(), Some("EL2 has no workaround"));
    let others = Actions::all() - Actions::GUEST_STOPS_MACHINE - Actions::NO_WORKAROUND;
    assert_eq!(others.taint(), None);
}

/// No two rows speak of one CPU, and docs/platforms.md names each erratum.
#[test]
fn the_table_is_in_order_and_in_the_documents() {
    let documents = include_str!("../../../../docs/platforms.md");
    let mut seen = BTreeSet::new();
    for model in MODELS {
        for part in model.parts {
            assert!(seen.insert((model.implementer, part)), "{} is there twice", model.name);
        }
        assert!(!model.errata.is_empty());
        assert!(documents.contains(model.name), "docs/platforms.md does not name {}", model.name);
        for erratum in model.errata {
            assert_eq!(erratum.actions.iter().count(), 1, "{}", erratum.number);
            let number = erratum.number;
            assert!(documents.contains(number), "docs/platforms.md does not name {number}");
        }
    }
}
