//! What is kept of a run beside its console: the trace, the guard report.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hyp_abi::exit;
use hyp_core::events::trace::Groups;
use hyp_core::tree::machine::boot_argument;

use super::Guest;
use crate::output_file;
use crate::qemu::Machine;
use crate::report::Report;
use crate::symbolize::Symbolizer;
use crate::trace::{Names, Recorder, Recording, Symbols};

/// What to keep of a run, and what not to put up with.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Record")]
pub struct RecordOptions {
    /// Write what the hypervisor records about the VM to this file: lines of JSON if its name ends
    /// in .json or .jsonl, else text. May be given several times.
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Write which pages the guest guarded and shared, who did and when, and what came of it: JSON
    /// for .json, a map of the address space for .svg, else text. May be given several times.
    #[arg(long, value_name = "FILE")]
    guard_report: Vec<PathBuf>,
    /// ELF file or System.map with the guest's symbols, for both of them and, if ELF, for --gdb; of several
    /// VMs, once for each, in their order [default: the payload if it is an ELF file, or the System.map or
    /// vmlinux beside it].
    #[arg(long, value_name = "FILE")]
    symbols: Vec<PathBuf>,
    /// End with status 1 if the guest broke a rule, such as by an access to a page that it did not
    /// guard, also if it powers off as if nothing had happened.
    #[arg(long)]
    deny_unguarded: bool,
}

impl RecordOptions {
    /// Whether anything is to be written.
    fn is_recording(&self) -> bool {
        !self.trace.is_empty() || !self.guard_report.is_empty()
    }

    /// The guests' symbols by the numbers of their VMs, as far as somebody has said where they are.
    pub fn symbols(&self) -> &[PathBuf] {
        &self.symbols
    }

    /// Words for EL2, before those of the caller, `words`: the last one counts.
    pub fn boot_words(&self, words: &str) -> String {
        let mut all = Vec::new();
        if !self.trace.is_empty() {
            all.push(TRACE_ALL);
        } else if !self.guard_report.is_empty() {
            all.push(TRACE_GUARD);
        }
        if self.deny_unguarded {
            all.push(DENY);
        }
        if !words.is_empty() {
            all.push(words);
        }
        all.join(" ")
    }

    /// Finds what is wrong before anything is built. `is_debugged` with `--gdb`. Files that are there
    /// already keep what is in them.
    ///
    /// # Errors
    ///
    /// Symbols that cannot be read or that nothing needs, a file that cannot be written, or boot arguments
    /// `words` that leave nothing to record: then only a guest could tell where a trace lies.
    pub fn check(&self, is_debugged: bool, words: &str) -> Result<()> {
        let groups = boot_argument(words, "trace").and_then(|list| Groups::parse(list).ok());
        ensure!(
            !self.is_recording() || groups.is_none_or(|groups| !groups.is_empty()),
            "--trace and --guard-report record nothing with postern.trace=off in --boot-args; leave \
             one of them out"
        );
        for path in &self.symbols {
            ensure!(
                self.is_recording() || is_debugged,
                "--symbols is for --trace, --guard-report and --gdb; give one of them"
            );
            Names::open(path)?;
        }
        for path in &self.trace {
            output_file::check("--trace", path, &["txt", "log", "json", "jsonl"])?;
        }
        for path in &self.guard_report {
            output_file::check("--guard-report", path, &["txt", "log", "json", "svg"])?;
        }
        let mut names = BTreeSet::new();
        for path in self.files() {
            let is_device = path.starts_with("/dev");
            ensure!(is_device || names.insert(path), "{} is to be written twice", path.display());
            let file = File::options().append(true).create(true).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// All that is to be written.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.trace.iter().chain(&self.guard_report)
    }

    /// Gets ready to record `machine`, which runs `guests`; `None` if nothing is to be recorded.
    ///
    /// # Errors
    ///
    /// Symbols that cannot be read.
    pub fn prepare(
        &self,
        machine: &mut Machine,
        guests: &[Guest],
        el2: &Path,
    ) -> Result<Option<Prepared<'_>>> {
        if !self.is_recording() {
            return Ok(None);
        }
        let mut names = self
            .symbols
            .iter()
            .map(|path| Names::open(path).map(Some))
            .collect::<Result<Vec<_>>>()?;
        let known = |guest: &Guest| Names::open(&beside(guest.kernel.as_deref()?)?).ok();
        names.extend(guests.iter().skip(names.len()).map(known));
        let symbols = Symbols { guests: names, el2: Some(Symbolizer::open(el2)?) };
        Ok(Some(Prepared { options: self, recorder: Recorder::new(machine)?, symbols }))
    }
}

/// Boot argument for all that can be traced.
pub const TRACE_ALL: &str = "postern.trace=on";
/// What a guard report needs.
pub const TRACE_GUARD: &str = "postern.trace=guard,faults,memory,devices";
/// A run in which the guest broke a rule fails.
pub const DENY: &str = "postern.deny=unguarded";

/// A run that is to be recorded.
pub struct Prepared<'a> {
    options: &'a RecordOptions,
    recorder: Recorder,
    symbols: Symbols,
}

impl Prepared<'_> {
    /// Listens to a line of the console.
    pub fn hear(&self, line: &str) {
        self.recorder.hear(line);
    }

    /// The run has ended with `status`: writes what is to be written. The answer is the status of
    /// this program.
    ///
    /// # Errors
    ///
    /// Files cannot be written; all others are.
    pub fn finish(self, status: u8) -> Result<u8> {
        let read = match self.recorder.finish() {
            Ok(read) => read,
            Err(error) => {
                eprintln!("[xtask] {error:#}");
                return Ok(if status == exit::GUEST_OFF { exit::HYP_FAILED } else { status });
            }
        };
        let recording = Recording::new(read, self.symbols);
        if let Some(shortcoming) = recording.shortcoming() {
            eprintln!("[xtask] {shortcoming}");
        }
        let mut failures = Vec::new();
        let mut told = |written: Result<()>, what: &str, path: &Path| match written {
            Ok(()) => eprintln!("[xtask] {what} in {}", path.display()),
            Err(error) => failures.push(format!("{error:#}")),
        };
        for path in &self.options.trace {
            let (records, lines) = (recording.records.len(), recording.told().len());
            let what = format!("trace: {records} records, repeats told once: {lines}");
            told(recording.write(path), &what, path);
        }
        let report = Report::new(&recording);
        for path in &self.options.guard_report {
            told(report.write(path), &format!("guard report: {}", report.summary()), path);
        }
        ensure!(failures.is_empty(), "{}", failures.join("\nerror: "));
        Ok(status)
    }
}

/// Whether the file at `path` says that it is an ELF file.
pub fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

/// Symbols that come with `kernel`: in itself, or in a `System.map` in the same folder.
pub fn beside(kernel: &Path) -> Option<PathBuf> {
    if is_elf(kernel) {
        return Some(kernel.to_owned());
    }
    let map = kernel.with_file_name("System.map");
    map.is_file().then_some(map)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn options(trace: bool, report: bool, deny: bool) -> RecordOptions {
        let file = |wanted: bool| wanted.then(|| PathBuf::from("f")).into_iter().collect();
        RecordOptions {
            trace: file(trace),
            guard_report: file(report),
            deny_unguarded: deny,
            symbols: Vec::new(),
        }
    }

    #[test]
    fn the_callers_words_come_last() {
        for (options, words) in [
            (options(false, false, false), "x"),
            (options(true, true, false), "postern.trace=on x"),
            (
                options(false, true, true),
                "postern.trace=guard,faults,memory,devices postern.deny=unguarded x",
            ),
        ] {
            assert_eq!(options.boot_words("x"), words);
        }
        assert_eq!(options(false, false, true).boot_words(""), "postern.deny=unguarded");
    }

    #[test]
    fn what_cannot_be_recorded_is_found_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("old");
        fs::write(&old, "kept").unwrap();
        let mut options = options(false, false, false);
        options.symbols = vec![old.clone()];
        let refused =
            |options: &RecordOptions| format!("{:#}", options.check(false, "").unwrap_err());
        assert!(refused(&options).contains("--guard-report"));
        options.trace = vec![old.clone()];
        assert!(refused(&options).contains("System.map"));
        options.symbols = Vec::new();
        options.check(false, "postern.trace=off postern.trace=calls").unwrap();
        assert!(options.check(false, "postern.trace=off").is_err());
        assert_eq!(fs::read_to_string(&old).unwrap(), "kept");
        options.guard_report = vec![folder.path().to_owned()];
        assert!(refused(&options).contains("cannot write"));
    }

    #[test]
    fn symbols_are_found_in_the_payload_or_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("Image");
        assert_eq!(beside(&image), None);
        fs::write(&image, "MZ and more").unwrap();
        assert_eq!(beside(&image), None);
        fs::write(folder.path().join("System.map"), "").unwrap();
        assert_eq!(beside(&image), Some(folder.path().join("System.map")));
        fs::write(&image, b"\x7fELF and more").unwrap();
        assert_eq!(beside(&image), Some(image));
    }
}
