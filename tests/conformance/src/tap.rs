//! Test rows and their report: TAP 13 on the console.

use core::fmt;

use crate::config::{Config, Kinds};
use crate::uart::line;
use crate::{gic, hyper};

/// One row: what the reference's table, or one of our own lists, demands.
pub(crate) struct Row {
    /// Row id: `R` and the number in the reference's table, or a letter and number of ours.
    pub(crate) id: &'static str,
    /// What is checked, in a few words.
    pub(crate) title: &'static str,
    /// In which configurations it holds.
    pub(crate) kinds: Kinds,
    /// The least number of vCPUs it needs.
    pub(crate) cpus: usize,
    /// The only version of the GIC with which it holds, if there is one.
    pub(crate) gic: Option<u32>,
    /// The check itself.
    pub(crate) run: fn(&mut Check, &Config),
}

impl Row {
    /// A row that one vCPU is enough for.
    pub(crate) const fn new(
        id: &'static str,
        kinds: Kinds,
        title: &'static str,
        run: fn(&mut Check, &Config),
    ) -> Self {
        Self { id, title, kinds, cpus: 1, gic: None, run }
    }

    /// A row that needs a second vCPU.
    pub(crate) const fn smp(
        id: &'static str,
        kinds: Kinds,
        title: &'static str,
        run: fn(&mut Check, &Config),
    ) -> Self {
        Self { id, title, kinds, cpus: 2, gic: None, run }
    }

    /// The same, with one version of the GIC only.
    pub(crate) const fn with_gic(self, version: u32) -> Self {
        Self { gic: Some(version), ..self }
    }

    fn applies(&self, config: &Config) -> bool {
        self.kinds.contains(config.kind)
            && self.cpus <= config.cpu_count()
            && self.gic.is_none_or(|version| version == gic::version())
    }
}

/// Counts the comparisons of one row and reports those that fail.
pub(crate) struct Check {
    id: &'static str,
    made: u32,
    failed: u32,
}

impl Check {
    /// Compares a value with what the reference demands.
    pub(crate) fn eq(&mut self, what: &str, got: u64, want: u64) {
        self.made += 1;
        if got != want {
            self.failed += 1;
            line!("# {}: {what}: got {got:#x}, want {want:#x}", self.id);
        }
    }

    /// Compares a value with several that are all allowed.
    pub(crate) fn one_of(&mut self, what: &str, got: u64, allowed: &[u64]) {
        self.made += 1;
        if !allowed.contains(&got) {
            self.failed += 1;
            line!("# {}: {what}: got {got:#x}, want one of {allowed:#x?}", self.id);
        }
    }

    /// Checks a claim.
    pub(crate) fn that(&mut self, claim: &str, is_true: bool) {
        self.made += 1;
        if !is_true {
            self.failed += 1;
            line!("# {}: not so: {claim}", self.id);
        }
    }
}

/// Runs the rows that belong to this configuration and prints the report.
pub(crate) fn run(config: &Config, groups: &[&[Row]]) {
    let rows = || groups.iter().flat_map(|group| group.iter()).filter(|row| row.applies(config));
    line!("TAP version 13");
    line!("1..{}", rows().count());
    line!("# {config}");
    let mut comparisons = 0;
    let mut failed_rows = 0;
    for (number, row) in (1_u32..).zip(rows()) {
        let mut check = Check { id: row.id, made: 0, failed: 0 };
        (row.run)(&mut check, config);
        // A row that compared nothing has shown nothing.
        let verdict = if check.failed == 0 && check.made > 0 { "ok" } else { "not ok" };
        failed_rows += u32::from(verdict != "ok");
        comparisons += check.made;
        line!("{verdict} {number} - {} {} ({} comparisons)", row.id, row.title, check.made);
    }
    line!("# {comparisons} comparisons, {failed_rows} rows failed");
}

/// Ends the run where the rows cannot go on.
pub(crate) fn bail_out(why: fmt::Arguments<'_>) -> ! {
    line!("Bail out! {why}");
    hyper::power_off()
}
