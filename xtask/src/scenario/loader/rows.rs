//! What a loader can leave behind, one thing at a time: the opposite of what EL2 relies on.
//!
//! Encodings and values are from the architecture, not from the table that they test.

use super::code::{Register, Step};
use Step::{Set, SetSome, Store, StoreOwn, StoreOwnPlus};

/// One thing.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The register, as scenarios name it.
    pub name: &'static str,
    steps: &'static [Step],
}

impl Row {
    /// What is to be done on each CPU.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.steps.iter().copied()
    }
}

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

macro_rules! registers {
    ($($name:ident = $encoding:literal;)*) => {
        $(const $name: Register = Register($encoding);)*
        /// All that rows use, by name.
        #[cfg(test)]
        const REGISTERS: &[(&str, &str)] = &[$((stringify!($name), $encoding)),*];
    };
}

// Arm ARM, D24.
registers! {
    GCSCR_EL2 = "S3_4_C2_C5_0";
    GCSPR_EL2 = "S3_4_C2_C5_1";
    TCR2_EL2 = "S3_4_C2_C0_3";
    SCTLR2_EL2 = "S3_4_C1_C0_3";
    PIR_EL2 = "S3_4_C10_C2_3";
    PIRE0_EL2 = "S3_4_C10_C2_2";
    SVCR = "S3_3_C4_C2_2";
    CPTR_EL2 = "S3_4_C1_C1_2";
    MDCR_EL2 = "S3_4_C1_C1_1";
    HSTR_EL2 = "S3_4_C1_C1_3";
    CNTHCTL_EL2 = "S3_4_C14_C1_0";
    CNTVOFF_EL2 = "S3_4_C14_C0_3";
    CNTPOFF_EL2 = "S3_4_C14_C0_6";
    CNTHP_CTL_EL2 = "S3_4_C14_C2_1";
    CNTHV_CTL_EL2 = "S3_4_C14_C3_1";
    HCRX_EL2 = "S3_4_C1_C2_2";
    HFGRTR_EL2 = "S3_4_C1_C1_4";
    HFGWTR_EL2 = "S3_4_C1_C1_5";
    HFGITR_EL2 = "S3_4_C1_C1_6";
    HDFGRTR_EL2 = "S3_4_C3_C1_4";
    HDFGWTR_EL2 = "S3_4_C3_C1_5";
    ICC_SRE_EL2 = "S3_4_C12_C9_5";
    ICC_IGRPEN0_EL1 = "S3_0_C12_C12_6";
    ICC_AP0R0_EL1 = "S3_0_C12_C8_4";
    ICC_AP1R0_EL1 = "S3_0_C12_C9_0";
}

/// Bits that make a write to CNTHP_CTL_EL2 or CNTHV_CTL_EL2: the third tells whether it would fire.
const TIMER: u64 = 0b11;

/// Frames of `virt` and registers in them (IHI 0069, 12.8 and 12.10; IHI 0048B, 4.1).
mod gic {
    pub(super) const GICD: u64 = 0x0800_0000;
    pub(super) const GICC: u64 = 0x0801_0000;
    pub(super) const GITS_CTLR: u64 = 0x0808_0000;
    pub(super) const GICR_CTLR: u64 = 0;
    pub(super) const GICR_PROPBASER: u64 = 0x70;
    pub(super) const GICR_PENDBASER: u64 = 0x78;
    pub(super) const GICR_ICFGR1: u64 = 0x1_0c04;
    pub(super) const GICR_INMIR0: u64 = 0x1_0f80;
    /// That of SPIs 32 to 63.
    pub(super) const GICD_INMIR1: u64 = GICD + 0xf84;
    pub(super) const GICD_ICFGR1: u64 = GICD + 0xc04;
    /// That of SPIs 32 to 47, of which 33 is the console's.
    pub(super) const GICD_ICFGR2: u64 = GICD + 0xc08;
    pub(super) const GICC_CTLR: u64 = GICC;
    pub(super) const GICC_APR0: u64 = GICC + 0xd0;
    pub(super) const GICC_NSAPR0: u64 = GICC + 0xe0;
}

/// Tables for LPIs: one for all CPUs that says which are enabled, and one for each of which are pending.
const PROPERTIES: usize = 0x1_0000;
const PENDING: usize = 0x2_0000;
/// Bytes between those, which are the least that one may have.
const PENDING_SIZE: usize = 0x1_0000;
/// Bytes in the loader's file: LPI 8192 is enabled, at the priority of all else, and pending.
pub const TABLES: [(usize, u8); 5] = [
    (PROPERTIES, 0xa1),
    (PENDING + 8192 / 8, 1),
    (PENDING + PENDING_SIZE + 8192 / 8, 1),
    (PENDING + 2 * PENDING_SIZE + 8192 / 8, 1),
    (PENDING + 3 * PENDING_SIZE + 8192 / 8, 1),
];
const fn loaded(at: usize) -> u64 {
    super::LOADED_AT + at as u64
}

/// All rows.
const ROWS: &[Row] = &[
    // Each BL stores where GCSPR_EL2 points.
    row("GCSCR_EL2", &[Set(GCSPR_EL2, 0xdead_0000), Set(GCSCR_EL2, 1)]),
    // PIE, with PIR_EL2 as it is: nothing may be executed.
    row("TCR2_EL2", &[Set(TCR2_EL2, 1 << 1)]),
    // EMEC.
    row("SCTLR2_EL2", &[Set(SCTLR2_EL2, 1 << 1)]),
    row("PIR_EL2", &[Set(PIR_EL2, 0x1111_1111_1111_1111)]),
    row("PIRE0_EL2", &[Set(PIRE0_EL2, 0x1111_1111_1111_1111)]),
    // Streaming mode, and ZA.
    row("SVCR", &[Set(CPTR_EL2, 0x23ff), Set(SVCR, 3)]),
    // TCPAC, TFP.
    row("CPTR_EL2", &[SetSome(CPTR_EL2, 1 << 31 | 0x37ff, 1 << 31 | 1 << 10)]),
    // TDE, TPM.
    row("MDCR_EL2", &[SetSome(MDCR_EL2, 1 << 8 | 1 << 6, 1 << 8 | 1 << 6)]),
    row("HSTR_EL2", &[Set(HSTR_EL2, 0x8000)]),
    row("CNTHCTL_EL2", &[Set(CNTHCTL_EL2, 0)]),
    row("CNTVOFF_EL2", &[Set(CNTVOFF_EL2, 1 << 40)]),
    // With ECV, which lets it count.
    row("CNTPOFF_EL2", &[Set(CNTPOFF_EL2, 1 << 40), Set(CNTHCTL_EL2, 1 << 12)]),
    row("CNTHP_CTL_EL2", &[SetSome(CNTHP_CTL_EL2, TIMER, TIMER)]),
    row("CNTHV_CTL_EL2", &[SetSome(CNTHV_CTL_EL2, TIMER, TIMER)]),
    // MSCEn.
    row("HCRX_EL2", &[Set(HCRX_EL2, 1 << 11)]),
    // AFSR0_EL1; IC IALLUIS; DBGBCR<n>_EL1.
    row("HFGRTR_EL2", &[Set(HFGRTR_EL2, 1)]),
    row("HFGWTR_EL2", &[Set(HFGWTR_EL2, 1)]),
    row("HFGITR_EL2", &[Set(HFGITR_EL2, 1)]),
    row("HDFGRTR_EL2", &[Set(HDFGRTR_EL2, 1)]),
    row("HDFGWTR_EL2", &[Set(HDFGWTR_EL2, 1)]),
    // The most urgent priority.
    row("ICC_AP0R0_EL1", &[SetSome(ICC_SRE_EL2, 7, 1), Set(ICC_AP0R0_EL1, 1)]),
    row("ICC_AP1R0_EL1", &[SetSome(ICC_SRE_EL2, 7, 1), Set(ICC_AP1R0_EL1, 1)]),
    row("ICC_IGRPEN0_EL1", &[SetSome(ICC_SRE_EL2, 7, 1), Set(ICC_IGRPEN0_EL1, 1)]),
    // Edge-triggered.
    row("GICR_ICFGR1", &[StoreOwn(gic::GICR_ICFGR1, 0xaaaa_aaaa, 0xaaaa_aaaa)]),
    row("GICD_ICFGR1", &[Store(gic::GICD_ICFGR1, 0xaaaa_aaaa, 0xaaaa_aaaa)]),
    row("GICD_ICFGR2", &[Store(gic::GICD_ICFGR2, 0xaaaa_aaaa, 0xaaaa_aaaa)]),
    // The timers' interrupts; the console's.
    row("GICR_INMIR0", &[StoreOwn(gic::GICR_INMIR0, 0x4c00_0000, 0x4c00_0000)]),
    row("GICD_INMIR1", &[Store(gic::GICD_INMIR1, 2, 2)]),
    // EnableLPIs, with one that is pending. 14 bits of INTID, less one.
    row(
        "GICR_CTLR",
        &[
            StoreOwnPlus(gic::GICR_PROPBASER, loaded(PROPERTIES) | 13, 0),
            StoreOwnPlus(gic::GICR_PENDBASER, loaded(PENDING), PENDING_SIZE as u64),
            StoreOwn(gic::GICR_CTLR, 1, 1),
        ],
    ),
    row("GITS_CTLR", &[Store(gic::GITS_CTLR, 1, 1)]),
    // FIQEn, CBPR: group 0, which is EL2's there, comes as FIQ.
    row("GICC_CTLR", &[Store(gic::GICC_CTLR, 0x18, 0x18)]),
    row("GICC_APR0", &[Store(gic::GICC_APR0, 1, 1)]),
    row("GICC_NSAPR0", &[Store(gic::GICC_NSAPR0, 1, 1)]),
];

const fn row(name: &'static str, steps: &'static [Step]) -> Row {
    Row { name, steps }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    struct Group {
        part: &'static str,
        when: &'static [Condition],
        /// Name, encoding, value.
        registers: &'static [(&'static str, &'static str, u64)],
    }

    /// A field that has one of these values.
    struct Condition {
        register: &'static str,
        encoding: &'static str,
        lsb: u32,
        bits: u32,
        values: [u32; 2],
    }

    impl Condition {
        fn shown(&self) -> String {
            let Self { register, encoding, lsb, bits, values: [least, most] } = self;
            let register = match register.strip_prefix("ID_AA64") {
                Some(rest) => rest.trim_end_matches("_EL1"),
                None => register,
            };
            assert!(ID_REGISTERS.contains(&(register, encoding)), "{register} {encoding}");
            format!("{register}[{lsb},{bits}] {least}..={most}")
        }
    }

    macro_rules! table {
        ($($part:ident { $(
            when [$($id:ident . $field:ident $of:literal [$lsb:literal, $bits:literal]
                in $least:literal ..= $most:literal),*]
            { $($name:ident $register:literal = $value:literal;)+ } then $sync:literal;
        )+ })+) => {
            /// The groups of what each CPU writes when it enters EL2.
            const GROUPS: &[Group] = &[$($(Group {
                part: stringify!($part),
                when: &[$(Condition {
                    register: stringify!($id),
                    encoding: $of,
                    lsb: $lsb,
                    bits: $bits,
                    values: [$least, $most],
                }),*],
                registers: &[$((stringify!($name), $register, $value)),+],
            },)+)+];
        };
    }
    hyp_core::entry_registers!(table);

    /// Registers of the table that no loader can leave in another state, and why.
    const NOT_PLAYED: &[(&str, &str, &str)] = &[
        ("PMSCR_EL2", "S3_4_C9_C9_0", "QEMU has no SPE"),
        ("PMBLIMITR_EL1", "S3_0_C9_C10_0", "QEMU has no SPE"),
        ("TRFCR_EL2", "S3_4_C1_C2_1", "QEMU has no TRBE"),
        ("TRFCR_EL1", "S3_0_C1_C2_1", "QEMU has no TRBE"),
        ("TRBLIMITR_EL1", "S3_0_C9_C11_0", "QEMU has no TRBE"),
        ("AMAIR_EL2", "S3_4_C10_C3_0", "reads as zero in QEMU"),
        ("LORC_EL1", "S3_0_C10_C4_3", "reads as zero in QEMU"),
        ("HAFGRTR_EL2", "S3_4_C3_C1_6", "QEMU has no activity monitors"),
        ("HDFGRTR2_EL2", "S3_4_C3_C1_0", "QEMU has no FGT2"),
        ("HDFGWTR2_EL2", "S3_4_C3_C1_1", "QEMU has no FGT2"),
        ("HFGRTR2_EL2", "S3_4_C3_C1_2", "QEMU has no FGT2"),
        ("HFGWTR2_EL2", "S3_4_C3_C1_3", "QEMU has no FGT2"),
        ("HFGITR2_EL2", "S3_4_C3_C1_7", "QEMU has no FGT2"),
        ("MPAM0_EL1", "S3_0_C10_C5_1", "QEMU has no MPAM"),
        ("MPAM1_EL1", "S3_0_C10_C5_0", "QEMU has no MPAM"),
        ("MPAM2_EL2", "S3_4_C10_C5_0", "QEMU has no MPAM"),
        ("BRBCR_EL1", "S2_1_C9_C0_0", "QEMU has no BRBE"),
        ("BRBCR_EL2", "S2_4_C9_C0_0", "QEMU has no BRBE"),
    ];

    /// Where the architecture says that a register exists: Arm ARM, D24, "This register is present only
    /// when ...", and the fields that the features are announced in. `PFR0` stands for ID_AA64PFR0_EL1.
    const PRESENT: &[(&str, &[&str])] = &[
        ("GCSCR_EL2", &["PFR1[44,4] 1..=15"]),
        ("PMSCR_EL2", &["DFR0[32,4] 1..=15", "PMBIDR_EL1[4,1] 0..=0"]),
        ("PMBLIMITR_EL1", &["DFR0[32,4] 1..=15", "PMBIDR_EL1[4,1] 0..=0"]),
        ("TRFCR_EL2", &["DFR0[44,4] 1..=15", "TRBIDR_EL1[4,1] 0..=0"]),
        ("TRBLIMITR_EL1", &["DFR0[44,4] 1..=15", "TRBIDR_EL1[4,1] 0..=0"]),
        ("TCR2_EL2", &["MMFR3[0,4] 1..=15"]),
        ("SCTLR2_EL2", &["MMFR3[4,4] 1..=15"]),
        ("PIRE0_EL2", &["MMFR3[8,4] 1..=15"]),
        ("PIR_EL2", &["MMFR3[8,4] 1..=15"]),
        ("AMAIR_EL2", &[]),
        ("CPTR_EL2", &["PFR1[24,4] 1..=15"]),
        ("SVCR", &["PFR1[24,4] 1..=15"]),
        ("CPTR_EL2", &[]),
        ("MDCR_EL2", &[]),
        ("HSTR_EL2", &[]),
        ("CNTHCTL_EL2", &[]),
        ("CNTVOFF_EL2", &[]),
        ("CNTHP_CTL_EL2", &[]),
        ("CNTHV_CTL_EL2", &["MMFR1[8,4] 1..=15"]),
        ("LORC_EL1", &["MMFR1[16,4] 1..=15"]),
        ("HCRX_EL2", &["MMFR1[40,4] 1..=15"]),
        ("HFGRTR_EL2", &["MMFR0[56,4] 1..=15"]),
        ("HFGWTR_EL2", &["MMFR0[56,4] 1..=15"]),
        ("HFGITR_EL2", &["MMFR0[56,4] 1..=15"]),
        ("HDFGRTR_EL2", &["MMFR0[56,4] 1..=15"]),
        ("HDFGWTR_EL2", &["MMFR0[56,4] 1..=15"]),
        ("HAFGRTR_EL2", &["MMFR0[56,4] 1..=15", "PFR0[44,4] 1..=15"]),
        ("HDFGRTR2_EL2", &["MMFR0[56,4] 2..=15"]),
        ("HDFGWTR2_EL2", &["MMFR0[56,4] 2..=15"]),
        ("HFGRTR2_EL2", &["MMFR0[56,4] 2..=15"]),
        ("HFGWTR2_EL2", &["MMFR0[56,4] 2..=15"]),
        ("HFGITR2_EL2", &["MMFR0[56,4] 2..=15"]),
        ("MPAM0_EL1", &["PFR0[40,4] 1..=15"]),
        ("MPAM1_EL1", &["PFR0[40,4] 1..=15"]),
        ("MPAM2_EL2", &["PFR0[40,4] 1..=15"]),
        ("MPAM0_EL1", &["PFR0[40,4] 0..=0", "PFR1[16,4] 1..=15"]),
        ("MPAM1_EL1", &["PFR0[40,4] 0..=0", "PFR1[16,4] 1..=15"]),
        ("MPAM2_EL2", &["PFR0[40,4] 0..=0", "PFR1[16,4] 1..=15"]),
        ("TRFCR_EL1", &["DFR0[44,4] 1..=15", "TRBIDR_EL1[4,1] 0..=0"]),
        ("BRBCR_EL1", &["DFR0[52,4] 1..=15"]),
        ("BRBCR_EL2", &["DFR0[52,4] 1..=15"]),
    ];

    /// Encodings of the registers whose fields are looked at.
    const ID_REGISTERS: &[(&str, &str)] = &[
        ("PFR0", "S3_0_C0_C4_0"),
        ("PFR1", "S3_0_C0_C4_1"),
        ("DFR0", "S3_0_C0_C5_0"),
        ("MMFR0", "S3_0_C0_C7_0"),
        ("MMFR1", "S3_0_C0_C7_1"),
        ("MMFR3", "S3_0_C0_C7_3"),
        ("PMBIDR_EL1", "S3_0_C9_C10_7"),
        ("TRBIDR_EL1", "S3_0_C9_C11_7"),
    ];

    /// Names and values of all, in order.
    fn table() -> impl Iterator<Item = (&'static str, u64, &'static Group)> {
        GROUPS.iter().flat_map(|group| {
            group.registers.iter().map(move |(name, _, value)| (*name, *value, group))
        })
    }

    #[test]
    fn the_table_has_the_registers_of_the_architecture_where_they_are() {
        let not_played = NOT_PLAYED.iter().map(|(name, encoding, _)| (*name, *encoding));
        let encodings: BTreeMap<_, _> = REGISTERS.iter().copied().chain(not_played).collect();
        for (name, encoding, _) in GROUPS.iter().flat_map(|group| group.registers) {
            assert_eq!(encodings.get(name), Some(encoding), "{name}");
        }
        let shown: Vec<(_, Vec<_>)> = table()
            .map(|(name, _, group)| (name, group.when.iter().map(Condition::shown).collect()))
            .collect();
        let present: Vec<(_, Vec<_>)> = PRESENT
            .iter()
            .map(|(name, when)| (*name, when.iter().map(|when| (*when).to_owned()).collect()))
            .collect();
        assert_eq!(shown, present);
    }

    /// Before the first BL what reads or writes memory by itself, with the MMU off what changes EL2's own
    /// translation; a CPU whose E2H cannot be cleared gets no further.
    #[test]
    fn what_cannot_wait_is_written_first() {
        let of = |part| -> Vec<_> {
            table().filter(|(_, _, group)| group.part == part).map(|(name, ..)| name).collect()
        };
        assert_eq!(
            of("first"),
            ["GCSCR_EL2", "PMSCR_EL2", "PMBLIMITR_EL1", "TRFCR_EL2", "TRBLIMITR_EL1"]
        );
        assert_eq!(of("mmu"), ["TCR2_EL2", "SCTLR2_EL2", "PIRE0_EL2", "PIR_EL2", "AMAIR_EL2"]);
        assert_eq!(of("rest").len(), table().count() - 10);
    }

    /// All are 0 but two: EL1PCTEN and EL1PCEN; RES1 (13, 9, 7:0), TZ (8) and TSM (12), the last but while
    /// SVCR is written.
    #[test]
    fn values_are_those_that_switch_things_off() {
        for (name, value, group) in table() {
            let expected = match (name, group.when) {
                ("CPTR_EL2", []) => 0x33ff,
                ("CPTR_EL2", _) => 0x23ff,
                ("CNTHCTL_EL2", _) => 3,
                _ => 0,
            };
            assert_eq!(value, expected, "{name}");
        }
    }

    #[test]
    fn each_register_is_played_or_excused_and_each_row_has_a_scenario() {
        let rows: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        for (name, ..) in table() {
            let is_excused = NOT_PLAYED.iter().any(|(excused, ..)| *excused == name);
            assert!(rows.contains(name) != is_excused, "{name}");
        }
        assert!(NOT_PLAYED.iter().all(|(name, ..)| table().any(|(other, ..)| other == *name)));
        let scenarios = include_str!("../../../../tests/scenarios/entry-odd.toml");
        for name in rows {
            assert!(scenarios.contains(&format!("\"odd:{name}\"")), "{name}");
        }
    }
}
