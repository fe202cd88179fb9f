//! `run --trace`: what EL2 recorded about a run, as text and as JSON.

mod calls;
mod fold;
mod frames;
mod json;
mod memory;
mod names;
mod reader;
mod record;
mod recorder;
mod symbols;
mod tell;
mod words;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

pub use calls::Deed;
pub use fold::Told;
pub use frames::brief;
pub use names::Names;
pub use reader::Read;
#[cfg(test)]
pub use record::Call;
pub use record::{Record, What};
pub use recorder::Recorder;
pub use symbols::Symbols;
pub use tell::EL0;
pub use words::{hex, reason_word, seconds};

use crate::output_file::ending;
use tell::Teller;

/// A recorded run.
pub struct Recording {
    /// Ticks in a second.
    pub frequency: u64,
    /// What happened, by time.
    pub records: Vec<Record>,
    /// How many records each CPU made that are not among them.
    pub lost: Vec<u64>,
    /// Whether some are missing because there are too many to keep.
    pub is_full: bool,
    /// Names for the addresses in them.
    pub symbols: Symbols,
}

impl Recording {
    /// What was read from the rings.
    pub fn new(read: Read, symbols: Symbols) -> Self {
        let streams = read.streams.iter().map(|stream| record::decode(stream)).collect();
        Self {
            frequency: read.frequency,
            records: record::merge(streams),
            lost: read.lost,
            is_full: read.is_full,
            symbols,
        }
    }

    /// How many records are missing.
    pub fn lost(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// What is missing, in words; `None` if nothing is.
    pub fn shortcoming(&self) -> Option<String> {
        let lost = self.lost();
        if lost == 0 {
            return None;
        }
        Some(if self.is_full {
            format!(
                "{lost} records are missing: there were more than can be kept. Record less, such as \
                 with --boot-args postern.trace=guard,faults, or end the run earlier"
            )
        } else {
            format!(
                "{lost} records are missing: the guest made them faster than they were read. Record \
                 less, such as with --boot-args postern.trace=guard,faults"
            )
        })
    }

    /// Writes all of it to `path`: lines of JSON if its name ends in `.json` or `.jsonl`, else text.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.write_to(path).with_context(|| format!("could not write the trace {}", path.display()))
    }

    fn write_to(&self, path: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        if matches!(&*ending(path), "json" | "jsonl") {
            self.write_json(&mut out)?
        } else {
            self.write_text(&mut out)?
        }
        out.flush()?;
        Ok(())
    }

    /// What the trace says, without repeats.
    pub fn told(&self) -> Vec<Told<'_>> {
        fold::fold(&self.records)
    }

    /// Lines of JSON: what the trace is, then the records.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_json(&self, out: &mut impl Write) -> Result<()> {
        let told = self.told();
        let head = json!({
            "event": "trace", "version": 1, "frequency": self.frequency,
            "cpus": self.lost.len(), "records": self.records.len(), "lines": told.len(),
            "lost": self.lost,
        });
        writeln!(out, "{head}")?;
        let mut teller = Teller::new(&self.symbols, self.frequency);
        for told in told {
            writeln!(out, "{}", teller.json(&told))?;
        }
        Ok(())
    }

    fn write_text(&self, out: &mut impl Write) -> Result<()> {
        let told = self.told();
        writeln!(
            out,
            "# {} records of {} CPU(s), repeats told once, in {} lines; seconds since the machine \
             started, VM/vCPU, what happened, where",
            self.records.len(),
            self.lost.len(),
            told.len()
        )?;
        if let Some(shortcoming) = self.shortcoming() {
            writeln!(out, "# {shortcoming}")?;
        }
        let mut teller = Teller::new(&self.symbols, self.frequency);
        for told in told {
            writeln!(out, "{}", teller.line(&told))?;
        }
        Ok(())
    }
}
