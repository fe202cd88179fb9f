//! The changes that are possible, and the choice among them.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// One change to the source, as cargo-mutants lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mutant {
    /// `FILE:LINE:COLUMN: WHAT`, unique but for the line and column of one source.
    pub name: String,
    /// The changed file, from the root of the checkout.
    pub file: String,
    /// The function around it; a constant has none.
    pub function: Option<Function>,
    /// The change in unified form.
    pub diff: String,
}

/// The function that is changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Function {
    /// Its name, with its type's.
    pub function_name: String,
}

impl Mutant {
    /// What is done, without its place: `replace + with -`.
    pub fn what(&self) -> &str {
        self.name.split_once(": ").map_or(self.name.as_str(), |(_place, what)| what)
    }

    /// The name of the function around it, or nothing.
    pub fn function(&self) -> &str {
        self.function.as_ref().map_or("", |function| function.function_name.as_str())
    }

    /// The lines that go away, without the space around them.
    pub fn before(&self) -> Vec<&str> {
        self.diff.lines().skip(2).filter_map(|line| line.strip_prefix('-')).map(str::trim).collect()
    }

    /// The changed lines for a reader.
    pub fn change(&self) -> String {
        let lines = self.diff.lines().skip(3).filter(|line| line.starts_with(['-', '+']));
        lines.map(|line| format!("     {line}\n")).collect()
    }

    /// What stays when other lines of the file are edited.
    fn identity(&self) -> String {
        format!("{}\n{}\n{}\n{}", self.file, self.function(), self.what(), self.before().join("\n"))
    }
}

/// `count` of `mutants`, chosen by `seed`: those whose hashes are the least. So the sample stays
/// the same for the code that stays the same.
pub fn choose(mutants: Vec<Mutant>, seed: u64, count: usize) -> Vec<Mutant> {
    let mut times = BTreeMap::new();
    let mut ranked: Vec<_> = mutants
        .into_iter()
        .map(|mutant| {
            let identity = mutant.identity();
            let time: &mut u32 = times.entry(identity.clone()).or_default();
            *time += 1;
            let hash = Sha256::digest(format!("{seed}\n{time}\n{identity}"));
            (hash, mutant)
        })
        .collect();
    ranked.sort_by_key(|(hash, _mutant)| *hash);
    let mut chosen: Vec<_> = ranked.into_iter().take(count).map(|(_hash, mutant)| mutant).collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    chosen
}

/// A change called `name` in `function`.
#[cfg(test)]
pub fn test_mutant(name: &str, function: Option<&str>) -> Mutant {
    let (file, _rest) = name.split_once(':').unwrap_or((name, ""));
    Mutant {
        name: name.to_owned(),
        file: file.to_owned(),
        function: function.map(|name| Function { function_name: name.to_owned() }),
        diff: format!(
            "--- {file}\n+++ what\n@@ -1,3 +1,3 @@\n same\n-    a + b;\n+    a - b;\n same\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many() -> Vec<Mutant> {
        (0..50).map(|n| test_mutant(&format!("f{n}.rs:7:5: replace + with -"), None)).collect()
    }

    #[test]
    fn a_seed_always_chooses_the_same() {
        let chosen = choose(many(), 1, 10);
        assert_eq!(chosen.len(), 10);
        assert_eq!(chosen, choose(many(), 1, 10));
        assert_ne!(chosen, choose(many(), 2, 10));
        let mut turned = many();
        turned.reverse();
        assert_eq!(chosen, choose(turned, 1, 10), "the order of the list does not matter");
        assert_eq!(choose(many(), 1, 100).len(), 50, "there are no more");
    }

    #[test]
    fn lines_that_moved_keep_their_place_in_the_order() {
        let moved = (0..50)
            .map(|n| test_mutant(&format!("f{n}.rs:99:5: replace + with -"), None))
            .collect();
        let files = |chosen: Vec<Mutant>| -> Vec<_> {
            chosen.into_iter().map(|mutant| mutant.file).collect()
        };
        assert_eq!(files(choose(many(), 1, 10)), files(choose(moved, 1, 10)));
    }

    #[test]
    fn a_change_is_read_from_its_diff() {
        let mutant = test_mutant("a.rs:1:1: replace + with - in f", Some("f"));
        assert_eq!(mutant.what(), "replace + with - in f");
        assert_eq!(mutant.before(), ["a + b;"]);
        assert_eq!(mutant.change(), "     -    a + b;\n     +    a - b;\n");
    }
}
