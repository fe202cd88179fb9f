//! All runs of one bench, and the figures that come of them.

use std::fs;

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSymbol as _};

use super::image::ImageReport;
use super::output::Output;
use super::rows::{self, Row, Unit};
use super::stats::{Quoted, Samples};
use super::subject::{Laboratory, Subject, Variant};

/// One row with its figures.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The row.
    pub row: &'static Row,
    /// The smallest handler's median.
    pub floor: Option<f64>,
    /// The full frame's median.
    pub full: Option<f64>,
    /// Postern; the VM is a protected one.
    pub postern: Quoted,
    /// Postern's median in a normal VM, where that has the operation.
    pub normal: Option<f64>,
}

impl Figure {
    /// What counts against the row's limits: the larger median of both VMs.
    pub fn worse(&self) -> f64 {
        self.normal.map_or(self.postern.median, |normal| normal.max(self.postern.median))
    }
}

/// The lengths of the two images whose boots tell what a byte costs.
pub const IMAGE_LENGTHS: [usize; 2] = [128 << 10, 384 << 10];

/// Measures everything; `say` hears what is going on.
///
/// # Errors
///
/// A run fails, a row that there must be is missing, or the floor's count is not the one by hand.
pub fn all(
    laboratory: &Laboratory,
    image: &ImageReport,
    say: impl Fn(&str),
) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (cpus, rows) in [(1, rows::ONE_CPU), (2, rows::TWO_CPUS)] {
        let run = |subject| {
            say(&format!("{subject:?}, {cpus} CPU(s)"));
            laboratory.run(subject, Variant::cpus(cpus), "", &[])
        };
        let floor = run(Subject::FloorMin)?;
        if cpus == 1 {
            check_hand_count(laboratory, &floor)?;
        }
        let full = run(Subject::FloorFull)?;
        let protected = run(Subject::Protected)?;
        let normal = run(Subject::Normal)?;
        let median = |output: &Output, row: &Row| output.row(row.name).map(|s| s.quoted().median);
        for row in rows {
            let postern = protected.row(row.name).map(Samples::quoted).with_context(|| {
                format!("the guest measured no `{}` in a protected VM", row.name)
            })?;
            figures.push(Figure {
                row,
                floor: median(&floor, row),
                full: median(&full, row),
                postern,
                normal: median(&normal, row),
            });
        }
    }
    say("boot");
    figures.extend(boot(laboratory)?);
    figures.extend(sizes(image));
    Ok(figures)
}

/// The floor's shortest path, counted by hand where it is written, must be what is measured.
fn check_hand_count(laboratory: &Laboratory, floor: &Output) -> Result<()> {
    let elf = fs::read(&laboratory.floor_min)?;
    let file = object::File::parse(&*elf)?;
    let by_hand = file
        .symbols()
        .find(|symbol| symbol.name() == Ok("hand_count_hvc"))
        .context("tests/floors/src/min.S has no symbol hand_count_hvc")?
        .address();
    let measured = floor
        .row(rows::HAND_COUNTED)
        .context("the floor has no figure for its hypercall")?
        .quoted();
    ensure!(
        measured == Quoted::exactly(by_hand as f64),
        "the floor's hypercall has {by_hand} instructions by hand and measures {measured:?}"
    );
    Ok(())
}

/// Instructions from reset to the guest's first one, on `subject`.
fn boots(laboratory: &Laboratory, subject: Subject, variant: Variant) -> Result<f64> {
    let output = laboratory.run(subject, variant, "only=nothing", &[])?;
    Ok(output.row(rows::BOOT).context("the guest does not say when it began")?.quoted().median)
}

/// From reset to the first guest instruction, less what grows with the guest's image.
fn boot(laboratory: &Laboratory) -> Result<Vec<Figure>> {
    let without_image = |subject, is_large| -> Result<f64> {
        let [mut short, mut long] = [0.0; 2];
        for (place, length) in [&mut short, &mut long].into_iter().zip(IMAGE_LENGTHS) {
            let variant = Variant { cpus: 1, image_len: Some(length), is_large };
            *place = boots(laboratory, subject, variant)?;
        }
        Ok(without_copy(IMAGE_LENGTHS, [short, long]).round())
    };
    let protected = without_image(Subject::Protected, false)?;
    let large = without_image(Subject::Protected, true)?;
    let row = |name| rows::all().find(|row| row.name == name).context("a row is missing");
    Ok(vec![
        Figure {
            row: row(rows::BOOT)?,
            floor: Some(boots(laboratory, Subject::FloorMin, Variant::cpus(1))?),
            full: Some(boots(laboratory, Subject::FloorFull, Variant::cpus(1))?),
            postern: Quoted::exactly(protected),
            normal: Some(without_image(Subject::Normal, false)?),
        },
        Figure {
            row: row(rows::BOOT_LARGE)?,
            floor: None,
            full: None,
            postern: Quoted::exactly(large / protected),
            normal: None,
        },
    ])
}

/// What a boot would take with an image of no bytes, from boots with two lengths.
fn without_copy(lengths: [usize; 2], boots: [f64; 2]) -> f64 {
    let [short, long] = lengths.map(|length| length as f64);
    let per_byte = (boots[1] - boots[0]) / (long - short);
    boots[0] - per_byte * short
}

fn sizes(image: &ImageReport) -> impl Iterator<Item = Figure> {
    let figure = |row: &'static Row| {
        let size = match row.name {
            rows::SIZE_CODE => image.resident(),
            rows::SIZE_CODE_ALL => image.code_and_constants(),
            _ => image.file(),
        };
        Figure { row, floor: None, full: None, postern: Quoted::exactly(size), normal: None }
    };
    rows::all().filter(|row| row.unit == Unit::Kibibytes).map(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_with_the_image_is_taken_off() {
        assert_eq!(without_copy([100, 300], [1100.0, 1300.0]), 1000.0);
        assert_eq!(without_copy([100, 300], [1000.0, 1000.0]), 1000.0);
    }
}
