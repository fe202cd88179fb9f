//! What `bench --save` writes into `docs/`: tables, each between two marks.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

const DOCUMENT: &str = "docs/performance.md";

/// Writes `parts`, each a name and its text, between their marks in the document, whose name it gives.
///
/// # Errors
///
/// The document lacks a mark, or a file cannot be read or written.
pub fn write(parts: &[(&str, String)]) -> Result<&'static str> {
    let path = workspace::root().join(DOCUMENT);
    let mut text =
        fs::read_to_string(&path).with_context(|| format!("could not read {DOCUMENT}"))?;
    for (name, part) in parts {
        text = replaced(&text, name, part)
            .with_context(|| format!("{DOCUMENT} has no pair of marks {}", mark(name, "begin")))?;
    }
    fs::write(&path, text).with_context(|| format!("could not write {DOCUMENT}"))?;
    Ok(DOCUMENT)
}

fn mark(name: &str, which: &str) -> String {
    format!("<!-- bench {name} {which} -->")
}

/// `text` with `part` between the marks of `name`.
fn replaced(text: &str, name: &str, part: &str) -> Option<String> {
    let (before, rest) = text.split_once(&mark(name, "begin"))?;
    let (_, after) = rest.split_once(&mark(name, "end"))?;
    Some(format!(
        "{before}{}\n{}\n{}{after}",
        mark(name, "begin"),
        part.trim_end(),
        mark(name, "end")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = "a\n<!-- bench x begin -->\nold\n<!-- bench x end -->\nb\n";
        let new = replaced(text, "x", "new\n\n").unwrap();
        assert_eq!(new, "a\n<!-- bench x begin -->\nnew\n<!-- bench x end -->\nb\n");
        assert_eq!(replaced(&new, "x", "new").unwrap(), new);
        assert_eq!(replaced(text, "y", "new"), None);
        assert_eq!(replaced("<!-- bench x begin -->", "x", "new"), None);
    }
}
