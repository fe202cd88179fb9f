//! The report as a picture: a map of each VM's address space.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::advice::remedy;
use super::cells::{Look, Stretch, stretches};
use super::model::{GRANULE, Vm};
use super::sites::sites;
use super::text::{at, violations};

const WIDTH: u64 = 960;
const MARGIN: u64 = 24;
/// Side of a cell and distance from one to the next.
const CELL: u64 = 12;
const PITCH: u64 = 14;
/// Cells in a row.
const COLUMNS: u64 = 64;

/// The picture of `vms`.
pub fn picture(vms: &BTreeMap<u8, Vm>, frequency: u64, note: Option<&str>) -> String {
    let mut body = String::new();
    // Writing to a string cannot fail.
    let height = draw(&mut body, vms, frequency, note).unwrap_or_default();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#212529\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn draw(
    out: &mut String,
    vms: &BTreeMap<u8, Vm>,
    frequency: u64,
    note: Option<&str>,
) -> Result<u64, fmt::Error> {
    let mut y = MARGIN + 8;
    for vm in vms.values() {
        let name = if vm.name.is_empty() { "without a name" } else { &vm.name };
        text(
            out,
            MARGIN,
            y,
            &format!("VM {name}: the guard and its address space"),
            "font-size=\"18\" font-weight=\"bold\"",
        )?;
        y += 22;
        let violations = violations(&sites(vm));
        text(
            out,
            MARGIN,
            y,
            &format!(
                "{violations}; {} granules guarded, {} pages shared",
                vm.granules.len(),
                vm.shared.len()
            ),
            "",
        )?;
        y += 12;
        let stretches = stretches(vm, frequency);
        y = legend(out, y, &stretches)?;
        for stretch in &stretches {
            y = draw_stretch(out, y, stretch)?;
        }
        y = draw_violations(out, y, vm, frequency)?;
        y += 24;
    }
    if let Some(note) = note {
        text(out, MARGIN, y, note, "fill=\"#d32f2f\"")?;
        y += 24;
    }
    Ok(y)
}

/// Only the looks that occur.
fn legend(out: &mut String, y: u64, stretches: &[Stretch]) -> Result<u64, fmt::Error> {
    let occurs = |look: &Look| {
        stretches.iter().any(|stretch| stretch.cells.iter().any(|cell| cell.look == *look))
    };
    let (mut x, mut y) = (MARGIN, y);
    for look in Look::ALL.into_iter().filter(occurs) {
        let (colour, meaning) = look.meaning();
        let width = 24 + 7 * meaning.len() as u64;
        if x + width > WIDTH - MARGIN {
            (x, y) = (MARGIN, y + 18);
        }
        square(out, x, y, colour, "")?;
        text(out, x + CELL + 4, y + 10, meaning, "")?;
        x += width;
    }
    Ok(y + 36)
}

fn draw_stretch(out: &mut String, y: u64, stretch: &Stretch) -> Result<u64, fmt::Error> {
    let count = stretch.cells.len() as u64;
    let end = stretch.base.wrapping_add(stretch.bytes * count).wrapping_sub(1);
    let cell = match stretch.bytes {
        GRANULE => "4 KiB".to_owned(),
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    };
    text(
        out,
        MARGIN,
        y,
        &format!("{:#011x}..{end:#011x}", stretch.base),
        "font-family=\"monospace\"",
    )?;
    text(
        out,
        MARGIN + 190,
        y,
        &format!("{}, a square is {cell}", stretch.title),
        "fill=\"#5c6770\"",
    )?;
    for (at, cell) in (0..).zip(&stretch.cells) {
        let (column, row) = (at % COLUMNS, at / COLUMNS);
        let (colour, _) = cell.look.meaning();
        square(out, MARGIN + column * PITCH, y + 8 + row * PITCH, colour, &cell.story)?;
    }
    Ok(y + 8 + count.div_ceil(COLUMNS) * PITCH + 22)
}

/// The first violations in words, for who cannot point at a square.
fn draw_violations(
    out: &mut String,
    mut y: u64,
    vm: &Vm,
    frequency: u64,
) -> Result<u64, fmt::Error> {
    const SHOWN: usize = 8;
    let sites = sites(vm);
    for site in sites.iter().take(SHOWN) {
        let violation = site.first;
        let words = format!(
            "{} x {} at {:#x}: {}",
            site.count,
            violation.touch.text(),
            violation.ipa,
            violation.reason.text()
        );
        square(out, MARGIN, y - 10, Look::Violated.meaning().0, "")?;
        text(out, MARGIN + 18, y, &words, "font-weight=\"bold\"")?;
        text(out, MARGIN + 18, y + 16, &format!("first {}", at(&violation.first, frequency)), "")?;
        text(out, MARGIN + 18, y + 32, &remedy(vm, violation), "")?;
        y += 56;
    }
    let more = sites.len().saturating_sub(SHOWN);
    if more > 0 {
        text(out, MARGIN + 18, y, &format!("and {more} more sites"), "")?;
        y += 20;
    }
    Ok(y)
}

fn square(out: &mut String, x: u64, y: u64, colour: &str, story: &str) -> fmt::Result {
    let shape = format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" rx=\"2\" fill=\"{colour}\" \
         stroke=\"#868e96\" stroke-width=\"0.5\""
    );
    if story.is_empty() {
        return writeln!(out, "{shape}/>");
    }
    writeln!(out, "{shape}><title>{}</title></rect>", escape(story))
}

fn text(out: &mut String, x: u64, y: u64, words: &str, more: &str) -> fmt::Result {
    writeln!(out, "<text x=\"{x}\" y=\"{y}\" {more}>{}</text>", escape(words))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
