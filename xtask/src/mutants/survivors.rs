//! The changes that no test can notice, each with its reason: `tests/mutants.toml`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::sample::Mutant;
use crate::workspace;

/// The list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    #[serde(default)]
    survivor: Vec<Survivor>,
}

/// One entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivor {
    /// The file, from the root of the checkout.
    file: String,
    /// What is done, as cargo-mutants says it after the place.
    change: String,
    /// The source line that is changed, if the change is not the only such one in the file.
    line: Option<String>,
    /// Why nothing can notice it.
    reason: String,
}

impl Known {
    /// Why `mutant` may survive.
    pub fn reason(&self, mutant: &Mutant) -> Option<&str> {
        let fits = |entry: &&Survivor| {
            let line = entry.line.as_deref().map(str::trim);
            entry.file == mutant.file
                && entry.change == mutant.what()
                && line.is_none_or(|line| mutant.before().contains(&line))
        };
        self.survivor.iter().find(fits).map(|entry| entry.reason.as_str())
    }
}

/// Where the list is.
pub fn path() -> PathBuf {
    workspace::root().join("tests/mutants.toml")
}

/// Reads the list.
///
/// # Errors
///
/// It cannot be read, an entry gives no reason, or names a file that is not there.
pub fn read() -> Result<Known> {
    let path = path();
    let text =
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let known: Known =
        toml::from_str(&text).with_context(|| format!("{}", workspace::shown(&path)))?;
    for entry in &known.survivor {
        let place = format!("{}, `{}`", workspace::shown(&path), entry.change);
        ensure!(!entry.reason.trim().is_empty(), "{place}: there must be a reason");
        let file = workspace::root().join(&entry.file);
        let source = fs::read_to_string(&file)
            .with_context(|| format!("{place}: there is no {}", entry.file))?;
        if let Some(line) = &entry.line {
            ensure!(
                source.lines().any(|there| there.trim() == line.trim()),
                "{place}: {} has no line `{line}`; take the entry out or correct it",
                entry.file
            );
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::sample::test_mutant;

    fn known(line: &str) -> Known {
        let text = format!(
            "[[survivor]]\nfile = \"a.rs\"\nchange = \"replace + with - in f\"\n{line}\n\
             reason = \"both are zero\"\n"
        );
        toml::from_str(&text).expect("good TOML")
    }

    #[test]
    fn an_entry_excuses_the_change_it_names_and_no_other() {
        let mutant = |name| test_mutant(name, Some("f"));
        let excused = |known: &Known, name| known.reason(&mutant(name)).is_some();
        let anywhere = known("");
        assert!(excused(&anywhere, "a.rs:9:1: replace + with - in f"));
        assert!(!excused(&anywhere, "b.rs:9:1: replace + with - in f"));
        assert!(!excused(&anywhere, "a.rs:9:1: replace + with * in f"));
        assert!(excused(&known("line = \" a + b;\""), "a.rs:9:1: replace + with - in f"));
        assert!(!excused(&known("line = \"a + c;\""), "a.rs:9:1: replace + with - in f"));
    }

    #[test]
    fn the_committed_list_is_right() {
        read().expect("tests/mutants.toml");
    }
}
