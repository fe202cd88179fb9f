//! Lines that tests have run, from the report of llvm-cov.

use std::collections::BTreeMap;
use std::fs;
use std::iter::Sum;
use std::ops::RangeInclusive;

use anyhow::{Context, Result};

use crate::workspace;

/// Where the package's sources are.
const CORE: &str = "hyp/core/src/";

/// How many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// With code.
    pub all: usize,
    /// That some test has run.
    pub run: usize,
}

impl Count {
    /// Per cent that were run.
    pub fn share(self) -> f64 {
        if self.all == 0 { 100.0 } else { self.run as f64 * 100.0 / self.all as f64 }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self { all: a.all + b.all, run: a.run + b.run })
    }
}

/// The lines of one file that have code, each with whether a test has run it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines(BTreeMap<usize, bool>);

impl Lines {
    /// How many there are.
    pub fn count(&self) -> Count {
        Count { all: self.0.len(), run: self.0.values().filter(|run| **run).count() }
    }

    /// Those that no test has run.
    pub fn idle(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter(|(_, run)| !**run).map(|(line, _)| *line)
    }
}

/// The files of `hyp-core` in `report` without tests and what only tests use.
///
/// # Errors
///
/// A source cannot be read.
pub fn of_core(report: &str) -> Result<BTreeMap<String, Lines>> {
    parse(report, |path| {
        let text = fs::read_to_string(workspace::root().join(path))
            .with_context(|| format!("could not read {path}"))?;
        unmeasured(&text).with_context(|| format!("could not parse {path}"))
    })
}

/// Reads `report`, llvm-cov's in the form of lcov; `left_out` tells which lines of a file do not
/// count.
///
/// # Errors
///
/// Those of `left_out`.
pub fn parse(
    report: &str,
    left_out: impl Fn(&str) -> Result<Vec<RangeInclusive<usize>>>,
) -> Result<BTreeMap<String, Lines>> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current: Option<(String, Vec<RangeInclusive<usize>>)> = None;
    for line in report.lines() {
        if let Some(file) = line.strip_prefix("SF:") {
            let path = file.find(CORE).and_then(|at| file.get(at..)).filter(|path| !is_test(path));
            current = match path {
                Some(path) => Some((path.to_owned(), left_out(path)?)),
                None => None,
            };
        } else if let (Some((path, left_out)), Some(data)) = (&current, line.strip_prefix("DA:")) {
            let mut numbers = data.split(',').map(str::parse::<u64>);
            let (Some(Ok(line)), Some(Ok(times))) = (numbers.next(), numbers.next()) else {
                continue;
            };
            let line = usize::try_from(line)?;
            if !left_out.iter().any(|range| range.contains(&line)) {
                let lines = files.entry(path.clone()).or_default();
                *lines.0.entry(line).or_default() |= times > 0;
            }
        }
    }
    Ok(files)
}

/// Files that are tests, and the machine they run on.
fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/") || path.contains("/testing/")
}

/// Lines of `source` that do not count: tests beside the code, and a function that a constant is
/// computed by, which the compiler runs and no test can.
fn unmeasured(source: &str) -> Result<Vec<RangeInclusive<usize>>> {
    let file = syn::parse_file(source)?;
    let mut ranges = Vec::new();
    for item in &file.items {
        let range = match item {
            syn::Item::Mod(item) if is_for_tests(&item.attrs) => {
                item.content.as_ref().map(|it| &it.0)
            }
            syn::Item::Fn(item) if computes_a_constant(&file, item) => {
                Some(&item.block.brace_token)
            }
            _ => None,
        };
        ranges.extend(range.map(|braces| {
            let first = match item {
                syn::Item::Fn(item) => item.sig.fn_token.span.start().line,
                _ => braces.span.open().start().line,
            };
            first..=braces.span.close().end().line
        }));
    }
    Ok(ranges)
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
    })
}

/// Whether `function` is private, `const`, and called by a constant or a `static` of its file alone:
/// `static TABLE: … = table();`.
fn computes_a_constant(file: &syn::File, function: &syn::ItemFn) -> bool {
    let calls = |value: &syn::Expr| match value {
        syn::Expr::Call(call) => match &*call.func {
            syn::Expr::Path(path) => path.path.is_ident(&function.sig.ident),
            _ => false,
        },
        _ => false,
    };
    function.sig.constness.is_some()
        && matches!(function.vis, syn::Visibility::Inherited)
        && file.items.iter().any(|item| match item {
            syn::Item::Const(item) => calls(&item.expr),
            syn::Item::Static(item) => calls(&item.expr),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_and_of_what_the_compiler_runs_do_not_count() {
        let source = "static TABLE: [u8; 2] = table();\n\
            const fn table() -> [u8; 2] {\n    [1, 2]\n}\n\
            const fn other() -> u8 {\n    3\n}\n\
            #[cfg(test)]\nmod tests {\n    fn a() {}\n}\n\
            #[cfg(feature = \"x\")]\nmod x {\n    fn b() {}\n}\n";
        assert_eq!(unmeasured(source).unwrap(), [2..=4, 9..=11]);
    }

    #[test]
    fn a_line_counts_once_however_often_it_was_compiled() {
        let report = "SF:/a/hyp/core/src/x.rs\nDA:1,0\nDA:2,0\nDA:3,1\nend_of_record\n\
            SF:/a/hyp/core/src/x.rs\nDA:1,5\nDA:2,0\n\
            SF:/a/hyp/core/src/x/tests.rs\nDA:1,1\nSF:/a/hyp/abi/src/lib.rs\nDA:9,1\n";
        let files = parse(report, |_| Ok(vec![3..=3])).unwrap();
        assert_eq!(files.len(), 1);
        let lines = &files["hyp/core/src/x.rs"];
        assert_eq!(lines.count(), Count { all: 2, run: 1 });
        assert_eq!(lines.idle().collect::<Vec<_>>(), [2]);
    }
}
