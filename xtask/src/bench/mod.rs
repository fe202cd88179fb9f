//! `cargo xtask bench`: instructions per operation, beside hand-written EL2 that does no more than
//! it must.
//!
//! The method is in docs/performance.md.

mod chart;
mod document;
mod figures;
mod image;
mod measure;
mod output;
mod paths;
mod peers;
mod rows;
mod stats;
mod subject;
mod table;
mod trace;

use std::fs;

use anyhow::{Context, Result};

use crate::scenario::Tally;
use crate::setup::QemuChoice;
use crate::workspace;
use image::ImageReport;
use subject::Laboratory;

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Write the figures and the tables that are committed.
    #[arg(long)]
    save: bool,
    /// Write a chart, and every instruction of each row that misses its aim, into `bench` beside the image.
    #[arg(long)]
    paths: bool,
    /// Fail if a row is above its limit; warn where it differs from the committed figure by more than 5 %.
    #[arg(long, conflicts_with = "save")]
    check: bool,
    /// Show each instruction of one operation at EL2, by function.
    #[arg(long, value_name = "ROW", conflicts_with_all = ["save", "check", "paths"])]
    trace: Option<String>,
    /// With --trace: in a normal VM instead of a protected one.
    #[arg(long, requires = "trace")]
    normal: bool,
    /// Another emulator than `qemu-system-aarch64` on the search path, which is installed when
    /// missing: a path or a name as for `run`. The figures are those of QEMU 7.2.
    #[arg(long, value_name = "WHICH", value_parser = QemuChoice::parse)]
    qemu: Option<QemuChoice>,
}

/// The command `cargo xtask bench`; the answer is the exit status of this program.
///
/// # Errors
///
/// Something cannot be built or run, or does not count what it should.
pub fn command(options: &Options) -> Result<u8> {
    let qemu = options.qemu.clone().unwrap_or_default().open()?;
    let laboratory = Laboratory::set_up(qemu)?;
    if let Some(row) = &options.trace {
        print!("{}", trace::path(&laboratory, row, options.normal)?.plain());
        return Ok(0);
    }
    let saved = if options.check { Some(figures::read()?) } else { None };
    let (figures, image) = measured(&laboratory)?;
    print!("{}{}", table::plain(&figures), image.plain());
    if options.save {
        let path = figures::path();
        fs::write(&path, figures::text(&figures)?)
            .with_context(|| format!("could not write {}", path.display()))?;
        println!("{}", workspace::shown(&path));
        let parts = [
            ("table", table::markdown(&figures)),
            ("peers", peers::Peers::read()?.markdown(&figures)),
            ("image", image.markdown()),
        ];
        println!("{}", document::write(&parts)?);
    }
    if options.paths {
        let chart = laboratory.file("chart.svg");
        fs::write(&chart, chart::svg(&figures))
            .with_context(|| format!("could not write {}", chart.display()))?;
        let paths = paths::write(&laboratory, &figures, |what| eprintln!("[xtask] {what}"))?;
        for written in [chart, paths] {
            println!("{}", workspace::shown(&written));
        }
    }
    let judgement = saved.map(|saved| figures::judge(&figures, &saved)).unwrap_or_default();
    print!("{}", judgement.plain());
    Ok(u8::from(!judgement.failures.is_empty()))
}

/// All figures of this build.
fn measured(laboratory: &Laboratory) -> Result<(Vec<measure::Figure>, ImageReport)> {
    let image = ImageReport::read(laboratory)?;
    let figures = measure::all(laboratory, &image, |what| eprintln!("[xtask] {what}"))?;
    Ok((figures, image))
}

/// What `--check` does, for `cargo xtask test`: each row is a check.
///
/// # Errors
///
/// As [`command`], or there are no committed figures.
pub fn test_round() -> Result<Tally> {
    let laboratory = Laboratory::set_up(QemuChoice::default().open()?)?;
    let saved = figures::read()?;
    let (figures, _) = measured(&laboratory)?;
    let judgement = figures::judge(&figures, &saved);
    let failed = judgement.failures.len();
    let verdict = if failed == 0 { "PASS" } else { "FAIL" };
    println!("{verdict} instruction counts ({} rows)", figures.len());
    print!("{}", judgement.plain());
    Ok(Tally { passed: figures.len() - failed, failed, ..Tally::default() })
}
