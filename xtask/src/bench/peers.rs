//! What other hypervisors need for the same operations: `tests/bench/peers.toml`, as a table beside Postern's
//! figures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::measure::Figure;
use super::rows;
use super::table::number;
use crate::workspace;

const FILE: &str = "tests/bench/peers.toml";

/// The file: for each of our rows, a number of instructions for each hypervisor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    hypervisors: Vec<String>,
    figures: BTreeMap<String, Vec<u32>>,
}

impl Peers {
    /// Reads the committed file.
    ///
    /// # Errors
    ///
    /// It cannot be read or understood, or names a row that the bench does not have.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(workspace::root().join(FILE))
            .with_context(|| format!("could not read {FILE}"))?;
        Self::parse(&text).context(FILE)
    }

    fn parse(text: &str) -> Result<Self> {
        let peers: Self = toml::from_str(text)?;
        for (name, figures) in &peers.figures {
            ensure!(rows::all().any(|row| row.name == name), "the bench has no row `{name}`");
            ensure!(
                figures.len() == peers.hypervisors.len(),
                "row `{name}` has {} figures for {} hypervisors",
                figures.len(),
                peers.hypervisors.len()
            );
        }
        Ok(peers)
    }

    /// The table in Markdown, in the order of the bench's rows.
    pub fn markdown(&self, figures: &[Figure]) -> String {
        let mut text = format!("| operation | Postern | {} |\n", self.hypervisors.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(self.hypervisors.len() + 1));
        for figure in figures {
            let Some(others) = self.figures.get(figure.row.name) else { continue };
            let own = number(figure.postern.median, figure.row.unit);
            let _ = write!(text, "| {} | **{own}** |", figure.row.title);
            for other in others {
                let _ = match other {
                    0 => write!(text, " |"),
                    other => write!(text, " {other} |"),
                };
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stats::Quoted;

    #[test]
    fn each_of_our_rows_stands_beside_the_others() {
        let peers = Peers::read().unwrap();
        let figures: Vec<_> = rows::all()
            .map(|row| {
                let postern = Quoted::exactly(77.0);
                Figure { row, floor: None, full: None, postern, normal: None }
            })
            .collect();
        let text = peers.markdown(&figures);
        assert_eq!(text.lines().count(), 2 + peers.figures.len());
        let cells = |line: &str| line.matches('|').count();
        assert!(text.lines().all(|line| cells(line) == cells(text.lines().next().unwrap())));
        assert!(text.contains("| HVC PSCI_VERSION | **77** | 1318 | "), "{text}");
    }

    #[test]
    fn a_row_that_is_none_of_ours_is_named() {
        let error = |text: &str| Peers::parse(text).unwrap_err().to_string();
        assert!(error("hypervisors = [\"X\"]\n[figures]\nnone = [1]").contains("`none`"));
        assert!(error("hypervisors = []\n[figures]\nipi = [1]").contains("1 figures for 0"));
    }
}
