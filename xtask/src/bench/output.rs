//! What the bench guest prints.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::stats::Samples;

/// Rows by name.
#[derive(Debug, Default)]
pub struct Output(BTreeMap<String, Samples>);

/// Of the rows that must come out as known in advance: name, ticks.
const CALIBRATION: (&str, f64) = ("calibration", CALIBRATION_TICKS);
/// A loop of two instructions, 10,000 times, the one before it, and the two that read the counter.
const CALIBRATION_TICKS: f64 = 20_003.0;

impl Output {
    /// Reads the lines of one run.
    ///
    /// # Errors
    ///
    /// The guest did not come to its end, or said something that cannot be understood.
    pub fn parse(lines: &[String]) -> Result<Self> {
        let mut rows = BTreeMap::new();
        let mut has_ended = false;
        for line in lines {
            if let Some(row) = line.strip_prefix("row ") {
                let (name, samples) = row_of(row).with_context(|| format!("the line `{line}`"))?;
                ensure!(rows.insert(name, samples).is_none(), "two lines for one row: `{line}`");
            } else if line.starts_with("bench failed") {
                bail!("the guest gave up: {line}");
            }
            has_ended |= line == "bench ends";
        }
        ensure!(has_ended, "the guest did not come to its end");
        Ok(Self(rows))
    }

    /// The samples of the row `name`, if this run had it.
    pub fn row(&self, name: &str) -> Option<&Samples> {
        self.0.get(name)
    }

    /// Checks that one tick was one instruction.
    ///
    /// # Errors
    ///
    /// It was not.
    pub fn check_calibration(&self) -> Result<()> {
        let (name, expected) = CALIBRATION;
        let Some(samples) = self.row(name) else { return Ok(()) };
        let found = samples.quoted();
        ensure!(
            found.min == expected && found.p99 == expected,
            "a loop of {expected} instructions took {} to {} ticks: this emulator does not count \
             one tick for each instruction (it must have a counter of 62.5 MHz and `-icount \
             shift=4,sleep=off`, as QEMU 7.2 has with cortex-a72)",
            found.min,
            found.p99
        );
        Ok(())
    }
}

/// `NAME ops=8 512x64 513x448`.
fn row_of(text: &str) -> Result<(String, Samples)> {
    let mut words = text.split_ascii_whitespace();
    let name = words.next().context("has no name")?;
    let operations = words.next().and_then(|word| word.strip_prefix("ops="));
    let operations = operations.context("has no number of operations")?.parse()?;
    let counted = words
        .map(|word| {
            let (ticks, count) = word.split_once('x').context("a sample without a count")?;
            Ok((ticks.parse()?, count.parse()?))
        })
        .collect::<Result<Vec<_>>>()?;
    let samples = Samples::new(operations, counted).context("has no samples")?;
    Ok((name.to_owned(), samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Output> {
        Output::parse(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn rows_are_read_between_other_lines() {
        let output =
            parse("noise\nrow a ops=8 96x511 104x1\nnone b 0x1\nrow c ops=1 5x1\nbench ends\n");
        let output = output.unwrap();
        assert_eq!(output.row("a").unwrap().quoted().median, 12.0);
        assert_eq!(output.row("a").unwrap().count(), 512);
        assert_eq!(output.row("c").unwrap().quoted().median, 5.0);
        assert!(output.row("b").is_none());
    }

    #[test]
    fn half_a_run_is_no_run() {
        for (text, why) in [
            ("row a ops=1 5x1\n", "end"),
            ("row a ops=1 5x1\nbench failed: exception\nbench ends\n", "exception"),
            ("row a ops=1 5\nbench ends\n", "count"),
            ("row a ops=1\nbench ends\n", "no samples"),
            ("row a 5x1\nbench ends\n", "operations"),
            ("row a ops=1 5x1\nrow a ops=1 5x1\nbench ends\n", "two lines"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_counter_that_does_not_count_instructions_is_found_out() {
        let run = |ticks: &str| parse(&format!("row calibration ops=1 {ticks}\nbench ends\n"));
        assert!(run("20003x512").unwrap().check_calibration().is_ok());
        for wrong in ["20002x1 20003x511", "320048x512", "1250x512", "20003x500 20004x12"] {
            assert!(run(wrong).unwrap().check_calibration().is_err(), "{wrong}");
        }
    }
}
