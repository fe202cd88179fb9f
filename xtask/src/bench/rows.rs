//! The rows: what is measured, and what it may cost.

use crate::build::size::IMAGE_LIMIT;

/// In what a row is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Executed instructions, at any exception level.
    Instructions,
    /// One count of instructions over another.
    Ratio,
    /// KiB.
    Kibibytes,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name in the guest's output, in the figures and on our command line.
    pub name: &'static str,
    /// What is done.
    pub title: &'static str,
    /// In what it is counted.
    pub unit: Unit,
    /// What the median must not exceed, in a protected VM and in a normal one.
    pub must: Option<f64>,
    /// What it should not exceed.
    pub aim: Option<f64>,
    /// What it may be instead of `must` for the time being.
    pub until: Option<Until>,
}

/// An allowance that ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    /// What ends it.
    pub event: &'static str,
    /// What the median must not exceed before: what it was when this was written, and 2 %.
    pub most: f64,
}

const fn budget(name: &'static str, title: &'static str, must: f64, aim: f64) -> Row {
    let unit = Unit::Instructions;
    Row { name, title, unit, must: Some(must), aim: Some(aim), until: None }
}

const fn extra(name: &'static str, title: &'static str) -> Row {
    Row { name, title, unit: Unit::Instructions, must: None, aim: None, until: None }
}

/// What brings down the rows that are above their limits: each register and each interrupt has one way, and that
/// way is not short enough yet. Who shortens it takes this and each `until` away.
const SHORTER: &str = "the one way is shorter";

/// The row whose floor is checked against its count by hand.
pub const HAND_COUNTED: &str = "hvc-psci-version";
/// From reset to the first guest instruction.
pub const BOOT: &str = "boot";
/// The same on a large machine, as a ratio.
pub const BOOT_LARGE: &str = "boot-64g";
/// Code and constants.
pub const SIZE_CODE: &str = "size-resident";
/// Code and constants, boot's own included.
pub const SIZE_CODE_ALL: &str = "size-code";
/// The image's file.
pub const SIZE_IMAGE: &str = "size-image";

/// Rows that one CPU runs by itself.
pub const ONE_CPU: &[Row] = &[
    budget("hvc-psci-version", "HVC PSCI_VERSION", 100.0, 85.0),
    budget("hvc-smccc-version", "HVC SMCCC_VERSION", 100.0, 85.0),
    budget("hvc-unknown", "HVC unknown id", 100.0, 85.0),
    budget("smc-psci-version", "SMC PSCI_VERSION", 100.0, 85.0).until(SHORTER, 104.0),
    budget("guard-map-marked", "guard MAP of a marked page", 220.0, 140.0),
    budget("guard-map-new", "guard MAP of a new page, table present", 300.0, 240.0),
    extra("guard-unmap", "guard UNMAP of a page"),
    extra("guard-map-range", "RGUARD_MAP of 64 new pages, each"),
    extra("guard-unmap-range", "RGUARD_UNMAP of 64 pages, each"),
    budget("mem-share", "MEM_SHARE of one page, table present", 450.0, 300.0),
    budget("mem-unshare", "MEM_UNSHARE of one page, table present", 450.0, 300.0),
    budget("mmio-read-gicd-typer", "read of GICD_TYPER", 200.0, 140.0).until(SHORTER, 273.0),
    budget("mmio-read-gicr-typer", "read of GICR_TYPER, 64 bits", 200.0, 140.0)
        .until(SHORTER, 283.0),
    budget("mmio-read-gicr-typer-low", "read of GICR_TYPER, low half", 200.0, 140.0)
        .until(SHORTER, 287.0),
    budget("mmio-read-gicr-typer-high", "read of GICR_TYPER, high half", 200.0, 140.0)
        .until(SHORTER, 287.0),
    budget("mmio-read-isenabler", "read of GICD_ISENABLER", 200.0, 140.0).until(SHORTER, 296.0),
    budget("mmio-read-gicr-isenabler", "read of GICR_ISENABLER0", 200.0, 140.0)
        .until(SHORTER, 303.0),
    budget("mmio-read-ipriorityr", "read of GICD_IPRIORITYR, 32 bits", 200.0, 140.0)
        .until(SHORTER, 296.0),
    budget("mmio-read-icfgr", "read of GICD_ICFGR", 200.0, 140.0).until(SHORTER, 296.0),
    budget("mmio-read-irouter", "read of GICD_IROUTER, 64 bits", 200.0, 140.0)
        .until(SHORTER, 337.0),
    budget("mmio-write-isenabler", "GICD_ISENABLER, one bit set", 300.0, 220.0)
        .until(SHORTER, 380.0),
    budget("mmio-write-icenabler", "GICD_ICENABLER, one bit cleared", 300.0, 220.0)
        .until(SHORTER, 383.0),
    budget("mmio-write-ipriorityr", "GICD_IPRIORITYR, one byte changed", 300.0, 220.0)
        .until(SHORTER, 415.0),
    budget("mmio-read-uart-fr", "read of the console's flags", 220.0, 150.0).until(SHORTER, 320.0),
    budget("mmio-write-uart-dr", "byte to the console, which has room", 400.0, 300.0)
        .until(SHORTER, 700.0),
    budget("unguarded-abort", "unguarded access to abort handler", 300.0, 230.0)
        .until(SHORTER, 602.0),
    budget("id-register", "trapped ID register read", 110.0, 85.0),
    budget("self-sgi", "self SGI: write to handler", 180.0, 155.0).until(SHORTER, 280.0),
    budget("virtual-timer", "virtual timer: CVAL to handler", 150.0, 125.0).until(SHORTER, 210.0),
    budget("wfi-timer", "WFI woken by timer, nothing else to run", 150.0, 125.0)
        .until(SHORTER, 210.0),
    extra("first-touch", "first touch of a block of 2 MiB"),
];

/// Rows that two CPUs share in; what both run is added up.
pub const TWO_CPUS: &[Row] = &[
    budget("ipi", "IPI to a running vCPU, both CPUs", 320.0, 270.0).until(SHORTER, 570.0),
    budget("cpu-on", "PSCI CPU_ON to first instruction, both CPUs", 1300.0, 900.0)
        .until(SHORTER, 1660.0),
];

/// Rows that come from the boot and from the image.
pub const OTHERS: &[Row] = &[
    budget(BOOT, "reset to first guest instruction, 256 MiB VM", 600_000.0, 350_000.0),
    Row {
        name: BOOT_LARGE,
        title: "the same with 64 GiB in the machine, ratio",
        unit: Unit::Ratio,
        must: Some(1.2),
        aim: Some(1.05),
        until: None,
    },
    Row {
        name: SIZE_CODE,
        title: "EL2 text and read-only data while guests run, KiB",
        unit: Unit::Kibibytes,
        must: Some(112.0),
        aim: Some(96.0),
        until: None,
    },
    Row {
        name: SIZE_CODE_ALL,
        title: "the same with what only boot executes, KiB",
        unit: Unit::Kibibytes,
        must: None,
        aim: None,
        until: None,
    },
    Row {
        name: SIZE_IMAGE,
        title: "whole image file, KiB",
        unit: Unit::Kibibytes,
        must: Some(IMAGE_LIMIT as f64 / 1024.0),
        aim: Some(160.0),
        until: None,
    },
];

/// All of them, as the table has them.
pub fn all() -> impl Iterator<Item = &'static Row> {
    ONE_CPU.iter().chain(TWO_CPUS).chain(OTHERS)
}

/// How a figure stands to its row's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The aim is met, or there is none.
    Met,
    /// Within what must be, beyond the aim.
    MissesAim,
    /// Beyond what must be, within what is allowed for the time being.
    Allowed,
    /// Beyond what must be.
    AboveMust,
}

impl Row {
    /// Gives the row leave to be above its limit, up to `most`, until `event`.
    const fn until(self, event: &'static str, most: f64) -> Self {
        Self { until: Some(Until { event, most }), ..self }
    }

    /// How `figure` stands.
    pub fn verdict(&self, figure: f64) -> Verdict {
        if self.must.is_some_and(|must| figure > must) {
            let is_allowed = self.until.is_some_and(|until| figure <= until.most);
            if is_allowed { Verdict::Allowed } else { Verdict::AboveMust }
        } else if self.aim.is_some_and(|aim| figure > aim) {
            Verdict::MissesAim
        } else {
            Verdict::Met
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_aims_below_limits() {
        let names: std::collections::BTreeSet<_> = all().map(|row| row.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(all().all(|row| row.must.is_some() == row.aim.is_some() && row.aim <= row.must));
        let is_useful = |row: &Row| row.until.is_none_or(|until| row.must < Some(until.most));
        assert!(all().all(is_useful));
        assert!(all().all(|row| row.until.is_none() || row.must.is_some()));
    }

    #[test]
    fn a_limit_may_be_reached_and_not_passed() {
        let row = budget("x", "x", 100.0, 80.0);
        for (figure, verdict) in [
            (80.0, Verdict::Met),
            (80.125, Verdict::MissesAim),
            (100.0, Verdict::MissesAim),
            (100.125, Verdict::AboveMust),
        ] {
            assert_eq!(row.verdict(figure), verdict, "{figure}");
        }
        assert_eq!(extra("x", "x").verdict(1e9), Verdict::Met);
        let row = row.until("spring", 130.0);
        assert_eq!(row.verdict(100.0), Verdict::MissesAim);
        assert_eq!(row.verdict(130.0), Verdict::Allowed);
        assert_eq!(row.verdict(130.125), Verdict::AboveMust);
    }
}
