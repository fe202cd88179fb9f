//! Rules of the house that no compiler lint knows; `docs/architecture.md` gives the reasons.

mod conformance;
mod evidence;
mod files;
mod parts;
mod source;
mod text;
mod tree;

use std::path::Path;

use anyhow::Result;

use files::Files;

/// A rule and where it is broken, `path:line: what` each.
#[derive(Debug)]
pub struct Finding {
    /// What the rule demands.
    pub rule: &'static str,
    /// The breaches.
    pub breaches: Vec<String>,
}

type Check = fn(&Files) -> Vec<String>;

const RULES: &[(&str, Check)] = &[
    ("unsafe code only where raw hardware is touched", source_rules::unsafe_places),
    ("each unsafe block states its claim", source_rules::safety_claims),
    ("system register crate only in its own module", source_rules::register_imports),
    ("no unfinished code", source_rules::unfinished),
    ("hyp-core is the same on every machine", source_rules::core_is_portable),
    ("each source file says what it is for", source_rules::module_heads),
    ("no source file over 1,000 lines", source_rules::lengths),
    ("packages depend in one direction", tree::arrows),
    ("no path of one machine", text::machine_paths),
    ("no registry named in the tree", text::registries),
    ("links between documents lead somewhere", text::links),
    ("links to the repository lead somewhere", text::links_home),
    ("paths that documents name are there", text::named_paths),
    ("where documents have a debugger stop is a function", text::breakpoints),
    ("each row of the ABI is shown or excused", conformance::rows),
    ("the conformance guest runs in every configuration", conformance::matrix),
    ("each promise names what defends it", promises),
    ("each part of `test --all` says when it ran last", last_runs),
];

mod source_rules;

fn promises(files: &Files) -> Vec<String> {
    let rules: Vec<&str> = RULES.iter().map(|(rule, _check)| *rule).collect();
    let stages: Vec<&str> = super::stages::ALL.iter().map(|stage| stage.name).collect();
    evidence::claims(files, &rules, &stages)
}

/// Links of the documents below `root` that lead to nothing there.
///
/// # Errors
///
/// The files cannot be read.
pub fn dead_links(root: &Path) -> Result<Vec<String>> {
    Ok(text::links(&Files::read(root)?))
}

fn last_runs(files: &Files) -> Vec<String> {
    parts::last_runs(files, &super::rounds::parts())
}

/// Checks every rule on the checkout.
///
/// # Errors
///
/// The sources cannot be read.
pub fn check() -> Result<Vec<Finding>> {
    let files = Files::read(crate::workspace::root())?;
    Ok(RULES.iter().map(|(rule, check)| Finding { rule, breaches: check(&files) }).collect())
}
