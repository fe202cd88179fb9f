//! The paths of the rows that miss their aim: by module with the reason for each in one document, and in full in
//! files beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::measure::Figure;
use super::rows::{Unit, Verdict};
use super::subject::Laboratory;
use super::table::number;
use super::trace;
use crate::workspace;

/// The listings and the document, among the bench's files.
const FOLDER: &str = "paths";
const DOCUMENT: &str = "README.md";
const HEAD: &str = "\
# Paths that miss their aim

By module, inlined functions counted where they were written. Of a path with two CPUs or several
exceptions it is the sum.

";
/// Why modules are on the paths.
const REASONS: &str = "tests/bench/reasons.toml";
/// Modules shown of a path; the rest is summed up.
const MOST_PARTS: usize = 20;

/// Why modules are on the paths; the first reason that fits counts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasons {
    #[serde(default)]
    reason: Vec<Reason>,
}

/// Why a module is on a path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// The row, if it holds for one alone.
    row: Option<String>,
    /// The beginning of the module's name, or a function's of assembly.
    module: String,
    /// Why.
    why: String,
}

impl Reasons {
    fn read() -> Result<Self> {
        let path = workspace::root().join(REASONS);
        let text = fs::read_to_string(path).with_context(|| format!("could not read {REASONS}"))?;
        toml::from_str(&text).with_context(|| format!("{REASONS} cannot be understood"))
    }

    fn why(&self, row: &str, module: &str) -> Option<&str> {
        let fits = |reason: &&Reason| {
            reason.row.as_deref().is_none_or(|only| only == row)
                && module.starts_with(&reason.module)
        };
        self.reason.iter().find(fits).map(|reason| reason.why.as_str())
    }
}

/// Writes the listings of the rows that miss their aim, and the document about them, whose name it gives. `say`
/// hears what is going on, and which modules have no reason.
///
/// # Errors
///
/// A run fails, or a file cannot be read or written.
pub fn write(laboratory: &Laboratory, figures: &[Figure], say: impl Fn(&str)) -> Result<PathBuf> {
    let reasons = Reasons::read()?;
    let folder = laboratory.file(FOLDER);
    // Those of last time; only files of ours are there.
    if folder.is_dir() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not clear {FOLDER}"))?;
    }
    let mut text = HEAD.to_owned();
    let mut unexplained = BTreeSet::new();
    for figure in figures {
        let row = figure.row;
        let is_met = row.verdict(figure.worse()) == Verdict::Met;
        if is_met || row.unit != Unit::Instructions {
            continue;
        }
        say(&format!("the path of {}", row.name));
        // The VM in which the aim is missed.
        let normal = row.verdict(figure.postern.median) == Verdict::Met;
        let path = trace::path(laboratory, row.name, normal)?;
        let file = format!("{}.txt", row.name);
        put(&folder, &file, &path.plain())?;
        let shown = |value| number(value, row.unit);
        let _ = writeln!(
            text,
            "### {}: {} instead of {}\n\n[Every instruction]({file}), the trapping one and \
             those of the guest left out.\n",
            row.title,
            shown(if normal { figure.worse() } else { figure.postern.median }),
            row.aim.map(shown).unwrap_or_default()
        );
        text.push_str(&table(&by_module(&path.parts), |module| {
            let why = reasons.why(row.name, module);
            if why.is_none() {
                unexplained.insert(module.to_owned());
            }
            why.unwrap_or_default().to_owned()
        }));
        text.push('\n');
    }
    if !unexplained.is_empty() {
        let names = unexplained.into_iter().collect::<Vec<_>>().join("\n  ");
        say(&format!("{REASONS} does not say why these are on a path:\n  {names}"));
    }
    put(&folder, DOCUMENT, &text)?;
    Ok(folder.join(DOCUMENT))
}

fn put(folder: &Path, file: &str, text: &str) -> Result<()> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(folder.join(file), text))
        .with_context(|| format!("could not write {}", folder.join(file).display()))
}

/// The module of `function`: its path without what is named after it, the function and its type.
fn module(function: &str) -> &str {
    let path = function.trim_start_matches(['<', '&']);
    let path = path.split_once("::{{").map_or(path, |(path, _)| path);
    let mut end = 0;
    for (at, _) in path.match_indices("::") {
        let name = path.get(end..at).unwrap_or_default().trim_start_matches(':');
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_plain {
            break;
        }
        end = at;
    }
    if end == 0 { path } else { path.get(..end).unwrap_or(path) }
}

/// Instructions of each module, the most first.
fn by_module(parts: &[(String, u64)]) -> Vec<(&str, u64)> {
    let mut counts = BTreeMap::new();
    for (function, count) in parts {
        *counts.entry(module(function)).or_default() += count;
    }
    let mut modules: Vec<(&str, u64)> = counts.into_iter().collect();
    modules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    modules
}

/// Modules, how many instructions each ran, and why.
fn table(parts: &[(&str, u64)], mut why: impl FnMut(&str) -> String) -> String {
    let (shown, rest) = parts.split_at(parts.len().min(MOST_PARTS));
    let mut text = String::from("| instructions | of | why |\n|--:|---|---|\n");
    for (module, count) in shown {
        let _ = writeln!(text, "| {count} | `{module}` | {} |", why(module));
    }
    let sum: u64 = rest.iter().map(|(_, count)| count).sum();
    if sum > 0 {
        let _ = writeln!(text, "| {sum} | {} more modules | |", rest.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_that_fits_counts() {
        let reasons: Reasons = toml::from_str(
            "[[reason]]\nrow = 'r'\nmodule = 'a::b'\nwhy = 'for r'\n\
             [[reason]]\nmodule = 'a::'\nwhy = 'for all'\n",
        )
        .unwrap();
        assert_eq!(reasons.why("r", "a::b::c"), Some("for r"));
        assert_eq!(reasons.why("s", "a::b::c"), Some("for all"));
        assert_eq!(reasons.why("s", "b::a::"), None);
    }

    #[test]
    fn functions_and_types_are_not_part_of_a_module() {
        for (function, of) in [
            ("hyp_core::calls::dispatch", "hyp_core::calls"),
            ("hyp_core::vgic::bank::Bank::retire::{{closure}}", "hyp_core::vgic::bank"),
            ("hyp::arch::crc32::update::{{closure}}", "hyp::arch::crc32"),
            ("<hyp::drivers::gic::Gic as hyp_core::vgic::Cpu>::here", "hyp::drivers::gic"),
            ("hyp_core::vgic::Vgic<R>::groups", "hyp_core::vgic"),
            ("<usize>::wrapping_sub", "usize>::wrapping_sub"),
            ("vectors", "vectors"),
        ] {
            assert_eq!(module(function), of);
        }
        let parts = [("a::f".to_owned(), 3), ("b::f".to_owned(), 4), ("a::T::g".to_owned(), 2)];
        assert_eq!(by_module(&parts), [("a", 5), ("b", 4)]);
    }

    #[test]
    fn a_long_path_is_summed_up() {
        let names: Vec<_> = (0..26).map(|n| format!("m{n}")).collect();
        let parts: Vec<_> = names.iter().zip((75..=100).rev()).map(|(n, c)| (&**n, c)).collect();
        let text = table(&parts, |module| format!("why {module}"));
        assert_eq!(text.lines().count(), 2 + MOST_PARTS + 1);
        assert!(text.contains("| 100 | `m0` | why m0 |\n"));
        assert!(text.ends_with("| 465 | 6 more modules | |\n"), "{text}");
        assert!(!table(&parts[..3], |_| String::new()).contains("more"));
    }
}
