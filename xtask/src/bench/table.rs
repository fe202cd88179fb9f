//! The table, for a terminal and for a document.

use std::fmt::Write as _;

use super::measure::Figure;
use super::rows::{Unit, Verdict};

/// The columns' heads.
const HEADS: [&str; 11] = [
    "operation",
    "floor",
    "full frame",
    "min",
    "median",
    "p99",
    "ratio",
    "normal VM",
    "must",
    "aim",
    "verdict",
];

/// A floor that does not trap executes one instruction: nothing to compare with.
const NO_TRAP: f64 = 1.0;

/// A number as short as it is exact enough: whole if it is whole.
pub fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{value:.3}"),
        Unit::Kibibytes => format!("{value:.1}"),
        Unit::Instructions if value.fract() == 0.0 => format!("{value:.0}"),
        Unit::Instructions => format!("{value:.1}"),
    }
}

/// A verdict in words.
fn word(figure: &Figure) -> String {
    let row = figure.row;
    match (row.verdict(figure.worse()), row.until) {
        _ if row.must.is_none() => String::new(),
        (Verdict::Met, _) => "aim met".to_owned(),
        (Verdict::MissesAim, _) => "misses aim".to_owned(),
        (Verdict::Allowed, Some(until)) => {
            format!("up to {} until {}", number(until.most, row.unit), until.event)
        }
        (Verdict::Allowed | Verdict::AboveMust, _) => "ABOVE MUST".to_owned(),
    }
}

fn cells(figure: &Figure) -> [String; 11] {
    let shown = |value: f64| number(value, figure.row.unit);
    let maybe = |value: Option<f64>| value.map(shown).unwrap_or_default();
    let postern = figure.postern;
    let is_sampled = figure.row.unit == Unit::Instructions;
    let spread = |value: f64| if is_sampled { shown(value) } else { String::new() };
    let ratio = figure.floor.filter(|floor| *floor > NO_TRAP);
    let ratio = ratio.map(|floor| format!("{:.1}", postern.median / floor));
    [
        figure.row.title.to_owned(),
        maybe(figure.floor),
        maybe(figure.full),
        spread(postern.min),
        shown(postern.median),
        spread(postern.p99),
        ratio.unwrap_or_default(),
        maybe(figure.normal),
        maybe(figure.row.must),
        maybe(figure.row.aim),
        word(figure),
    ]
}

/// The table with columns that line up.
pub fn plain(figures: &[Figure]) -> String {
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(figures.iter().map(cells));
    let mut text = String::new();
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    for line in lines {
        let mut row = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Words to the left, numbers to the right.
            let _ = match column {
                0 | 10 => write!(row, "{cell:width$}  "),
                _ => write!(row, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// The table in Markdown.
pub fn markdown(figures: &[Figure]) -> String {
    let [heads @ .., _] = HEADS;
    let mut text = format!("| {} |\n|---{}|\n", heads.join(" | "), "|--:".repeat(heads.len() - 1));
    for figure in figures {
        let [title, floor, full, min, median, p99, ratio, normal, must, aim, _] = cells(figure);
        let verdict = figure.row.verdict(figure.worse());
        let median = match verdict {
            Verdict::Met if figure.row.aim.is_some() => format!("**{median}**"),
            _ => median,
        };
        let must = if verdict == Verdict::Allowed { format!("{must} (later)") } else { must };
        let _ = writeln!(
            text,
            "| {title} | {floor} | {full} | {min} | {median} | {p99} | {ratio} | {normal} | {must} | {aim} |"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows;
    use crate::bench::stats::Quoted;

    fn figure(median: f64) -> Figure {
        Figure {
            row: &rows::ONE_CPU[0],
            floor: Some(12.0),
            full: None,
            postern: Quoted { min: 60.0, median, p99: 99.5 },
            normal: Some(61.0),
        }
    }

    fn extra() -> &'static rows::Row {
        rows::all().find(|row| row.must.is_none()).unwrap()
    }

    #[test]
    fn columns_line_up_and_verdicts_are_plain() {
        let text = plain(&[figure(72.0), figure(88.0), figure(120.0)]);
        let lines: Vec<_> = text.lines().collect();
        let end_of = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        assert_eq!(end_of(lines[0], "median"), end_of(lines[1], " 72"));
        assert_eq!(end_of(lines[0], "p99"), end_of(lines[1], "99.5"));
        assert!(lines[1].ends_with("6.0         61   100   85  aim met"), "{}", lines[1]);
        assert!(lines[2].ends_with("misses aim"), "{}", lines[2]);
        assert!(lines[3].ends_with("ABOVE MUST"), "{}", lines[3]);
    }

    #[test]
    fn a_document_shows_what_met_its_aim() {
        let text = markdown(&[figure(72.0), figure(88.0)]);
        assert!(
            text.contains(
                "| HVC PSCI_VERSION | 12 |  | 60 | **72** | 99.5 | 6.0 | 61 | 100 | 85 |\n"
            )
        );
        assert!(text.contains("| 60 | 88 |"));
    }

    #[test]
    fn nothing_is_compared_with_a_floor_that_does_not_trap() {
        let figure = Figure { floor: Some(1.0), row: extra(), ..figure(500.0) };
        assert!(markdown(&[figure]).contains(" | 1 |  | 60 | 500 | 99.5 |  | 61 |  |  |\n"));
    }

    #[test]
    fn numbers_have_the_digits_of_their_unit() {
        assert_eq!(number(12.0, Unit::Instructions), "12");
        assert_eq!(number(12.125, Unit::Instructions), "12.1");
        assert_eq!(number(1.0491, Unit::Ratio), "1.049");
        assert_eq!(number(95.99, Unit::Kibibytes), "96.0");
    }
}
