//! `cargo xtask coverage`: which lines of `hyp-core` its tests and the model's run.

mod lines;
mod tool;

use std::collections::BTreeMap;

use anyhow::Result;

use lines::Lines;

/// Options of `coverage`.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// List the lines that no test runs, of files whose path contains this; all of them without it.
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    list: Option<String>,
}

/// Per cent of the lines that must be run.
const MUST: f64 = 95.0;

/// The command `cargo xtask coverage`; the answer is the exit status of this program.
///
/// # Errors
///
/// The tools cannot be had, or a test fails.
pub fn command(options: &Options) -> Result<u8> {
    let files = lines::of_core(&tool::measure()?)?;
    print!("{}", table(&files));
    if let Some(text) = &options.list {
        for (path, lines) in files.iter().filter(|(path, _)| path.contains(text.as_str())) {
            lines.idle().for_each(|line| println!("{path}:{line}"));
        }
    }
    let share = total(&files).share();
    println!("{share:.1} % of the lines, {MUST:.1} % are a must");
    Ok(u8::from(share < MUST))
}

fn total(files: &BTreeMap<String, Lines>) -> lines::Count {
    files.values().map(Lines::count).sum()
}

/// A line for each file, the least covered first, and the sum.
fn table(files: &BTreeMap<String, Lines>) -> String {
    let mut rows: Vec<_> =
        files.iter().map(|(path, lines)| (lines.count(), path.as_str())).collect();
    rows.sort_by(|a, b| a.0.share().total_cmp(&b.0.share()).then(a.1.cmp(b.1)));
    rows.push((total(files), "all"));
    let row = |(count, path): &(lines::Count, &str)| {
        format!("{:6.1} % {:5} of {:5}  {path}\n", count.share(), count.run, count.all)
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_covered_file_comes_first_and_the_sum_last() {
        let report = "SF:/x/hyp/core/src/b.rs\nDA:1,0\nDA:2,7\nend_of_record\n\
                      SF:/x/hyp/core/src/a.rs\nDA:1,1\nDA:2,1\nend_of_record\n";
        let files = lines::parse(report, |_| Ok(Vec::new())).unwrap();
        assert_eq!(
            table(&files),
            "  50.0 %     1 of     2  hyp/core/src/b.rs\n \
             100.0 %     2 of     2  hyp/core/src/a.rs\n  \
             75.0 %     3 of     4  all\n"
        );
    }
}
