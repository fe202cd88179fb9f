//! What a scenario looks for in a console line.

use regex::Regex;
use serde::Deserialize;

/// Plain text that a line contains, or a regular expression that it matches.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub enum Pattern {
    /// The line contains this.
    Text(String),
    /// The line matches this.
    Regex(Regex),
}

/// In a scenario file: `"text"` or `{ regex = "expression" }`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Regex { regex: String },
}

impl TryFrom<Written> for Pattern {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) if text.is_empty() => Err("an empty text is in every line".into()),
            Written::Text(text) => Ok(Self::Text(text)),
            Written::Regex { regex } => {
                Regex::new(&regex).map(Self::Regex).map_err(|error| error.to_string())
            }
        }
    }
}

impl Pattern {
    /// Where in `text` the first match ends.
    pub fn end_in(&self, text: &str) -> Option<usize> {
        match self {
            Self::Text(wanted) => text.find(wanted.as_str()).map(|at| at + wanted.len()),
            Self::Regex(wanted) => wanted.find(text).map(|found| found.end()),
        }
    }

    /// Whether `text` has a match.
    pub fn is_in(&self, text: &str) -> bool {
        self.end_in(text).is_some()
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "`{text}`"),
            Self::Regex(regex) => write!(f, "/{regex}/"),
        }
    }
}
