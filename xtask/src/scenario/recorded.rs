//! The trace and the guard report of a scenario that expects something of them.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::judge::{Expectation, Verdict, in_order};
use crate::qemu::Machine;
use crate::report::Report;
use crate::run::beside;
use crate::trace::{Names, Recorder, Recording, Symbols};

/// A scenario that is being recorded.
pub struct Recorded {
    recorder: Recorder,
    symbols: Symbols,
}

impl Recorded {
    /// Gets ready to record `machine`, whose VMs run `kernels`.
    ///
    /// # Errors
    ///
    /// The host has no memory to share with the machine.
    pub fn prepare(machine: &mut Machine, kernels: &[PathBuf]) -> Result<Self> {
        let names = |kernel: &PathBuf| Names::open(&beside(kernel)?).ok();
        let symbols = Symbols { guests: kernels.iter().map(names).collect(), el2: None };
        Ok(Self { recorder: Recorder::new(machine)?, symbols })
    }

    /// Listens to a line of the console.
    pub fn hear(&self, line: &str) {
        self.recorder.hear(line);
    }

    /// The run has ended: adds to `verdict` what is wrong with the trace and with the report. Both
    /// are kept beside `log`.
    ///
    /// # Errors
    ///
    /// They cannot be kept.
    pub fn judge(self, expect: &Expectation, log: &Path, verdict: &mut Verdict) -> Result<()> {
        let read = match self.recorder.finish() {
            Ok(read) => read,
            Err(error) => {
                verdict.complaints.push(format!("{error:#}"));
                return Ok(());
            }
        };
        let recording = Recording::new(read, self.symbols);
        recording.write(&log.with_extension("trace.txt"))?;
        let report = Report::new(&recording);
        for name in ["guard.txt", "guard.json", "guard.svg"] {
            report.write(&log.with_extension(name))?;
        }
        verdict.complaints.extend(recording.shortcoming());
        let mut json = Vec::new();
        recording.write_json(&mut json)?;
        let json: Vec<String> = String::from_utf8(json)?.lines().map(str::to_owned).collect();
        let text: Vec<String> = report.text().lines().map(str::to_owned).collect();
        for (patterns, lines, what) in
            [(&expect.trace, &json, "trace"), (&expect.report, &text, "guard report")]
        {
            let missing = in_order(patterns, lines);
            verdict
                .complaints
                .extend(missing.map(|missing| format!("no line in the {what} {missing}")));
        }
        verdict.checks += 1 + expect.trace.len() + expect.report.len();
        Ok(())
    }
}
