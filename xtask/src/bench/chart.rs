//! The chart: floor, Postern and limit of each row, on a logarithmic scale.

use std::fmt::Write as _;

use super::measure::Figure;
use super::rows::Unit;
use super::table::number;

const LABELS: f64 = 330.0;
const PLOT: f64 = 520.0;
const NUMBERS: f64 = 70.0;
const LINE: f64 = 22.0;
/// Two lines of words above the plot, and one for the scale.
const HEAD: f64 = 3.0 * LINE;
/// Decades of the scale: 10 to 10,000 instructions.
const DECADES: f64 = 3.0;

/// Where `value` is, from the left edge of the plot.
fn position(value: f64) -> f64 {
    ((value / 10.0).log10() / DECADES).clamp(0.0, 1.0) * PLOT
}

/// The chart of the rows that have a budget in instructions; the boot is too far away to show.
pub fn svg(figures: &[Figure]) -> String {
    let rows: Vec<_> = figures
        .iter()
        .filter(|figure| figure.row.unit == Unit::Instructions)
        .filter(|figure| figure.row.must.is_some_and(|must| must <= 10_000.0))
        .collect();
    let (width, height) =
        (LABELS + PLOT + NUMBERS, HEAD + LINE * f64::from(u32::try_from(rows.len()).unwrap_or(0)));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"{}\" font-weight=\"bold\">Instructions per operation, EL2 included \
         (logarithmic)</text>\n\
         <text x=\"8\" y=\"{}\" fill=\"#555555\">dark: hand-written floor; blue: Postern, median; \
         thin red line: aim; thick one: limit</text>\n",
        height + 8.0,
        LINE - 6.0,
        2.0 * LINE - 6.0
    );
    for decade in [10.0, 100.0, 1000.0, 10_000.0] {
        let x = LABELS + position(decade);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{HEAD}\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"#dddddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#888888\">{decade}</text>",
            HEAD - 6.0
        );
    }
    let mut y = HEAD;
    for figure in rows {
        let median = figure.postern.median;
        let bar = |svg: &mut String, value: f64, top: f64, thick: f64, colour: &str| {
            let _ = writeln!(
                svg,
                "<rect x=\"{LABELS}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{thick}\" fill=\"{colour}\"/>",
                position(value)
            );
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LABELS - 8.0,
            y + 15.0,
            escaped(figure.row.title)
        );
        bar(&mut svg, median, y + 4.0, 14.0, "#5b8fd6");
        if let Some(floor) = figure.floor {
            bar(&mut svg, floor, y + 8.0, 6.0, "#1d3557");
        }
        for (limit, thick) in [(figure.row.aim, 1.0), (figure.row.must, 3.0)] {
            if let Some(limit) = limit {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{thick}\" height=\"18\" fill=\"#c1121f\"/>",
                    LABELS + position(limit),
                    y + 2.0
                );
            }
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LABELS + PLOT + 8.0,
            y + 15.0,
            number(median, figure.row.unit)
        );
        y += LINE;
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows;
    use crate::bench::stats::Quoted;

    #[test]
    fn the_scale_is_logarithmic_and_has_ends() {
        assert_eq!(position(10.0), 0.0);
        assert_eq!(position(1.0), 0.0);
        assert!((position(100.0) - PLOT / 3.0).abs() < 1e-9);
        assert_eq!(position(1e9), PLOT);
    }

    #[test]
    fn each_row_with_a_budget_has_its_bars() {
        let figures: Vec<_> = rows::all()
            .map(|row| {
                let postern = Quoted::exactly(100.0);
                Figure { row, floor: Some(12.0), full: None, postern, normal: None }
            })
            .collect();
        let svg = svg(&figures);
        assert!(svg.ends_with("</svg>\n"));
        let shown = rows::all().filter(|row| {
            row.unit == Unit::Instructions && row.must.is_some() && row.name != rows::BOOT
        });
        assert_eq!(svg.matches("#5b8fd6").count(), shown.count());
        assert!(!svg.contains(rows::all().last().unwrap().title));
        assert_eq!(escaped("a<b&c"), "a&lt;b&amp;c");
        // Words that reach into the plot and numbers of the scale share no line.
        let heights_of = |colour: &str| -> Vec<&str> {
            let texts = svg.split("<text ").filter(|text| text.contains(colour));
            texts.filter_map(|text| text.split("y=\"").nth(1)?.split('"').next()).collect()
        };
        let (words, scale) = (heights_of("#555555"), heights_of("#888888"));
        assert_eq!((words.len(), scale.len()), (1, 4));
        assert!(scale.iter().all(|height| {
            (height.parse::<f64>().unwrap() - words[0].parse::<f64>().unwrap()).abs() >= 12.0
        }));
    }
}
