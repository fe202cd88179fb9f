//! What the audit is told: `tests/audit/rules.toml` and `tests/audit/allowed.toml`.

use std::fs;

use anyhow::{Context, Result, anyhow};
use regex::RegexSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Names of functions, `*` for any part of a name.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Names {
    patterns: Vec<String>,
    set: RegexSet,
}

impl TryFrom<Vec<String>> for Names {
    type Error = regex::Error;

    fn try_from(patterns: Vec<String>) -> Result<Self, regex::Error> {
        let expression = |pattern: &String| {
            let parts: Vec<_> = pattern.split('*').map(regex::escape).collect();
            format!("^{}$", parts.join(".*"))
        };
        let set = RegexSet::new(patterns.iter().map(expression))?;
        Ok(Self { patterns, set })
    }
}

impl Names {
    /// Whether one of `names` is meant.
    pub fn any(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.set.is_match(name))
    }

    /// Whether `name` is meant.
    pub fn has(&self, name: &str) -> bool {
        self.set.is_match(name)
    }

    /// The patterns that mean none of `all`.
    pub fn idle<'a>(&self, all: impl Iterator<Item = &'a Vec<String>>) -> Vec<&str> {
        let mut idle = vec![true; self.patterns.len()];
        for names in all {
            for name in names {
                self.set.matches(name).into_iter().for_each(|pattern| idle[pattern] = false);
            }
        }
        let patterns = self.patterns.iter().zip(idle);
        patterns.filter(|(_, idle)| *idle).map(|(pattern, _)| pattern.as_str()).collect()
    }

    /// The patterns, for a reader.
    pub fn shown(&self) -> String {
        self.patterns.join(", ")
    }
}

/// Where EL2 is entered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What enters there.
    pub name: String,
    /// The function or label.
    pub symbol: String,
    /// Bytes behind it.
    #[serde(default)]
    pub offset: u64,
    /// A guest causes it.
    #[serde(default)]
    pub guest: bool,
    /// The stack it runs on, one of [`Rules::stack`].
    pub stack: String,
}

/// A stack of each CPU.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// Its name: `main` or `emergency` (`hyp/src/arch/percpu.rs`).
    pub name: String,
    /// Bytes at its top that are taken before its entries run.
    pub used: u64,
}

/// Functions whose address is a number and not called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncalled {
    /// The functions.
    pub functions: Names,
    /// What their address is for.
    pub why: String,
}

/// What calls through a register can reach.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indirect {
    /// The functions with the calls.
    pub callers: Names,
    /// Where they may lead: those of these whose address is taken.
    pub targets: Names,
    /// Why nothing else.
    pub why: String,
}

/// A circle of calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recursion {
    /// The functions of the circle.
    pub functions: Names,
    /// How often one of them can be on the stack at once.
    pub times: u64,
    /// Why not more often.
    pub why: String,
}

/// What hot paths do without.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hot {
    /// Where they begin.
    pub from: Names,
    /// Functions with which a path ceases to be hot.
    pub cold: Names,
    /// What they may not reach.
    pub forbidden: Vec<Forbidden>,
    /// Functions whose atomic accesses are no lock, or a lock that one VM or one vCPU has for itself.
    pub atomics: Vec<Atomics>,
}

/// Something that a hot path may not reach.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbidden {
    /// What it is.
    pub what: String,
    /// The functions that do it.
    pub functions: Names,
}

/// Atomic accesses that may be on a hot path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Atomics {
    /// The functions as they are in the source, before inlining.
    pub functions: Names,
    /// What they are for.
    pub why: String,
}

/// `tests/audit/rules.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Ways into EL2.
    pub entry: Vec<Entry>,
    /// Stacks.
    pub stack: Vec<Stack>,
    /// The functions that a panic begins with.
    pub panics: Names,
    /// The function that enters a guest, whose traps come back on the same stack.
    pub enters: String,
    /// Calls through registers.
    pub indirect: Vec<Indirect>,
    /// Addresses that are only looked at.
    #[serde(default)]
    pub uncalled: Vec<Uncalled>,
    /// Circles.
    #[serde(default)]
    pub recursion: Vec<Recursion>,
    /// Hot paths.
    pub hot: Hot,
}

impl Rules {
    /// Whether every rule that excuses something says why.
    pub fn is_reasoned(&self) -> bool {
        let whys = self.indirect.iter().map(|rule| &rule.why);
        let whys = whys.chain(self.uncalled.iter().map(|rule| &rule.why));
        let whys = whys.chain(self.recursion.iter().map(|rule| &rule.why));
        let mut whys = whys.chain(self.hot.atomics.iter().map(|rule| &rule.why));
        whys.all(|why| !why.trim().is_empty())
    }
}

/// A panic that is in the image and cannot happen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dead {
    /// The function in the source.
    pub function: String,
    /// What begins the panic.
    pub kind: String,
    /// Why it cannot happen.
    pub proof: String,
}

/// `tests/audit/allowed.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Panics that cannot happen.
    #[serde(default)]
    pub dead: Vec<Dead>,
}

/// Reads a file of `tests/audit`.
///
/// # Errors
///
/// It is missing or not what it should be.
pub fn read<T: DeserializeOwned>(name: &str) -> Result<T> {
    let path = crate::workspace::root().join("tests/audit").join(name);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("could not read {}", crate::workspace::shown(&path)))?;
    toml::from_str(&text).map_err(|error| anyhow!("{}: {error}", crate::workspace::shown(&path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        let patterns = ["core::fmt::*", "<* as core::fmt::*>::fmt", "a::b"];
        let names = Names::try_from(patterns.map(str::to_owned).to_vec()).unwrap();
        for (name, meant) in [
            ("core::fmt::write", true),
            ("<&T as core::fmt::Display>::fmt", true),
            ("<&T as core::fmt::Display>::fmt2", false),
            ("a::b", true),
            ("a::bc", false),
            ("xa::b", false),
            ("core::fmtx", false),
        ] {
            assert_eq!(names.has(name), meant, "{name}");
        }
    }
}
