//! The ledger of unsafe code, `docs/unsafe.md`: what the compiler takes a person's word for, and the
//! words.

mod kind;
mod scan;

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use crate::workspace;
use kind::Kind;
use scan::Entry;

/// The document.
const DOCUMENT: &str = "docs/unsafe.md";
/// The list is between these.
const BEGIN: &str = "<!-- ledger begin -->";
const END: &str = "<!-- ledger end -->";
/// Folders with packages of Postern's.
const PACKAGES: &[&str] = &["guest-shim", "hyp", "tests", "xtask"];

/// Compares the document with the sources; with `save` writes it first. The answer is how many entries
/// there are, and what is wrong.
///
/// # Errors
///
/// A file cannot be read, parsed or written.
pub fn check(save: bool) -> Result<(usize, Vec<String>)> {
    let mut entries = Vec::new();
    for (path, text) in sources()? {
        if text.contains("unsafe") {
            entries.extend(scan::entries(&path, &text)?);
        }
    }
    let mut breaches: Vec<String> = entries
        .iter()
        .filter(|entry| entry.claim.is_none())
        .map(|entry| match entry.kind {
            Kind::Contract => format!(
                "{}:{}: {} is unsafe and its documentation has no section \"# Safety\"",
                entry.file, entry.line, entry.place
            ),
            _ => format!("{}:{}: no `// SAFETY:` above it", entry.file, entry.line),
        })
        .collect();
    let path = workspace::root().join(DOCUMENT);
    let old = fs::read_to_string(&path).with_context(|| format!("could not read {DOCUMENT}"))?;
    let new = replaced(&old, &markdown(&entries))
        .with_context(|| format!("{DOCUMENT} has no {BEGIN} and {END}"))?;
    if save {
        fs::write(&path, &new).with_context(|| format!("could not write {DOCUMENT}"))?;
    } else if new != old {
        breaches.push(format!("{DOCUMENT} is not up to date: cargo xtask audit --save"));
    }
    Ok((entries.len(), breaches))
}

/// Path and text of each Rust source, by path.
fn sources() -> Result<Vec<(String, String)>> {
    let mut sources = Vec::new();
    let mut folders: Vec<String> = PACKAGES.iter().map(|&folder| folder.to_owned()).collect();
    while let Some(folder) = folders.pop() {
        let path = workspace::root().join(&folder);
        let entries = fs::read_dir(&path).with_context(|| format!("could not read {folder}"))?;
        for entry in entries {
            let entry = entry?;
            let below = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "target" {
                    folders.push(below);
                }
            } else if below.ends_with(".rs") {
                let text = fs::read_to_string(entry.path())
                    .with_context(|| format!("could not read {below}"))?;
                sources.push((below, text));
            }
        }
    }
    sources.sort();
    Ok(sources)
}

fn replaced(text: &str, ledger: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", ledger.trim()))
}

/// The list: by obligation, then by file, in the order of the source. Without lines, so that only a
/// change of unsafe code changes it.
fn markdown(entries: &[Entry]) -> String {
    let mut text = String::from("| obligation | at EL2 | elsewhere |\n|---|--:|--:|\n");
    for kind in Kind::ALL {
        let of_kind = || entries.iter().filter(|entry| entry.kind == kind);
        let at_el2 = of_kind().filter(|entry| entry.file.starts_with("hyp/src/")).count();
        let (heading, _) = kind.text();
        let _ = writeln!(text, "| {heading} | {at_el2} | {} |", of_kind().count() - at_el2);
    }
    for kind in Kind::ALL {
        let (heading, explanation) = kind.text();
        let _ = write!(text, "\n## {heading}\n\n{explanation}\n");
        let mut file = "";
        let of_kind: Vec<_> = entries.iter().filter(|entry| entry.kind == kind).collect();
        for group in
            of_kind.chunk_by(|a, b| (&a.file, &a.place, &a.claim) == (&b.file, &b.place, &b.claim))
        {
            let Some(entry) = group.first() else { continue };
            if entry.file != file {
                file = &entry.file;
                let _ = write!(text, "\n`{file}`\n\n");
            }
            let times = match group.len() {
                1 => String::new(),
                times => format!(" ({times} times)"),
            };
            let claim = entry.claim.as_deref().unwrap_or("**no claim**");
            let _ = writeln!(text, "* `{}`{times}: {}", entry.place, without_links(claim));
        }
    }
    text
}

/// `claim` with the words of its links alone: where they lead is known to rustdoc, and to nobody else.
fn without_links(claim: &str) -> String {
    let mut text = String::new();
    let mut rest = claim;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        let Some((words, after)) = link.split_once(']') else {
            text.push('[');
            rest = link;
            continue;
        };
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        if words.starts_with('`') && words.ends_with('`') || target.is_some() {
            text.push_str(words);
            rest = target.map_or(after, |(_, after)| after);
        } else {
            text.push('[');
            rest = link;
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests;
