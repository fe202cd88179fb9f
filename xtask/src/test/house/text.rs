//! Rules about every text file: what does not belong into a public tree, and links that lead
//! nowhere.

use regex::Regex;

use super::files::{Files, breach};

/// Paths that exist on one machine only.
pub fn machine_paths(files: &Files) -> Vec<String> {
    matching(files, r"(^|[^A-Za-z0-9_.~$}])/(home|root|Users|work|farm)/", "a path of one machine")
}

/// Package registries are taken from the machine's own configuration.
pub fn registries(files: &Files) -> Vec<String> {
    let hosts = [
        r"(deb|ftp|security)\.debian\.org",
        r"static\.rust-lang\.org",
        r"index\.crates\.io",
        r"files\.pythonhosted",
        r"registry\.npmjs",
    ];
    matching(files, &hosts.join("|"), "a registry's host")
}

fn matching(files: &Files, pattern: &str, what: &str) -> Vec<String> {
    let Ok(pattern) = Regex::new(pattern) else { return vec![format!("bad pattern {pattern}")] };
    let mut breaches = Vec::new();
    for file in &files.0 {
        for (index, line) in file.text.lines().enumerate() {
            if pattern.is_match(line) {
                breaches.push(breach(file, index, what));
            }
        }
    }
    breaches
}

/// A relative link in a Markdown file names a file or folder of the tree.
pub fn links(files: &Files) -> Vec<String> {
    dead(files, |from, target| (!target.contains("://")).then(|| resolve(from, target)))
}

/// So does a link to the repository, which a document has that goes elsewhere in a package.
pub fn links_home(files: &Files) -> Vec<String> {
    dead(files, |_from, target| {
        let (_kind, path) = target.strip_prefix(HOME)?.split_once("/main/")?;
        Some(path.to_owned())
    })
}

const HOME: &str = "https://github.com/postern-hypervisor/postern/";

/// Links that lead to no file or folder; `path` says from the document's path and the link where it
/// leads in the tree, if it does.
fn dead(files: &Files, path: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    let Ok(link) = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)") else { return Vec::new() };
    let mut breaches = Vec::new();
    for file in files.0.iter().filter(|file| file.path.ends_with(".md")) {
        for (index, line) in file.text.lines().enumerate() {
            for found in link.captures_iter(line) {
                let target = &found[1];
                if path(&file.path, target).is_some_and(|path| !exists(files, &path)) {
                    breaches.push(breach(file, index, &format!("no {target}")));
                }
            }
        }
    }
    breaches
}

fn exists(files: &Files, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    files.0.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}

/// A path that a document names, in backticks and from the root of the tree, is there.
/// `NAME` and `TARGET` stand for any.
pub fn named_paths(files: &Files) -> Vec<String> {
    let pattern = r"`((?:docs|guest-shim|hyp|linker|tests|xtask)/[A-Za-z0-9_./-]*)`";
    let Ok(named) = Regex::new(pattern) else { return vec![format!("bad pattern {pattern}")] };
    let mut breaches = Vec::new();
    for file in files.0.iter().filter(|file| file.path.ends_with(".md")) {
        for (index, line) in file.text.lines().enumerate() {
            for found in named.captures_iter(line) {
                let is_any = found[1].contains("NAME") || found[1].contains("TARGET");
                if !is_any && !exists(files, &found[1]) {
                    breaches.push(breach(file, index, &format!("no {}", &found[1])));
                }
            }
        }
    }
    breaches
}

/// A function that a document has gdb stop at is in the file of the module that it names, or, without
/// a module, a label of the assembly.
pub fn breakpoints(files: &Files) -> Vec<String> {
    let Ok(place) = Regex::new(r"\bbreak (?:\w+::)?((?:\w+::)*)(\w+)(?:`|$)") else {
        return vec!["bad pattern".to_owned()];
    };
    let mut breaches = Vec::new();
    for file in files.0.iter().filter(|file| file.path.ends_with(".md")) {
        for (index, line) in file.text.lines().enumerate() {
            for found in place.captures_iter(line) {
                if !is_there(files, &found[1], &found[2]) {
                    breaches.push(breach(file, index, &format!("no {}{}", &found[1], &found[2])));
                }
            }
        }
    }
    breaches
}

/// Whether `function` is in the file of `modules`, each with `::` behind it.
fn is_there(files: &Files, modules: &str, function: &str) -> bool {
    if modules.is_empty() {
        let label = format!("{function}:");
        return files.0.iter().any(|file| {
            file.path.ends_with(".s") && file.text.lines().any(|line| line.trim_end() == label)
        });
    }
    let stem = modules.trim_end_matches("::").replace("::", "/");
    let [own, folder] = [format!("/src/{stem}.rs"), format!("/src/{stem}/mod.rs")];
    let head = format!("fn {function}(");
    files.0.iter().any(|file| {
        (file.path.ends_with(&own) || file.path.ends_with(&folder)) && file.code.contains(&head)
    })
}

/// `target` as seen from the file `from`, from the root of the tree.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_machine_is_found() {
        let own = |place: &str| format!("see /{place}/me/file");
        for place in ["home", "root", "Users"] {
            assert_eq!(machine_paths(&Files::of(&[("a.md", &own(place))])).len(), 1, "{place}");
        }
        for fine in ["a/home/b", "/proc/cmdline", "https://x.org/home/", "$HOME/work/x"] {
            assert!(machine_paths(&Files::of(&[("a.md", fine)])).is_empty(), "{fine}");
        }
        let host = format!("https://deb.{}/debian", "debian.org");
        assert_eq!(registries(&Files::of(&[("a.rs", &host)])).len(), 1);
    }

    #[test]
    fn a_path_that_is_gone_is_found() {
        let text = "`hyp/src/boot.rs` `hyp/src/guest/traps.rs` `hyp/src` `hyp/src/` `hyp::boot` `a/b` `hyp/NAME.rs`";
        let files = Files::of(&[("docs/a.md", text), ("hyp/src/boot.rs", "//! B.")]);
        assert_eq!(named_paths(&files), ["docs/a.md:1: no hyp/src/guest/traps.rs"]);
    }

    #[test]
    fn links_lead_to_files_and_folders() {
        let files = Files::of(&[
            ("README.md", "[a](docs/a.md) [b](docs/) [c](https://x.org/y) [d](#here) [e](gone.md)"),
            ("docs/a.md", "[up](../README.md#top) [side](b.md)"),
        ]);
        assert_eq!(links(&files), ["README.md:1: no gone.md", "docs/a.md:1: no b.md"]);
    }

    #[test]
    fn links_to_the_repository_lead_to_files_and_folders() {
        let text = format!("[a]({HOME}blob/main/docs/a.md) [b]({HOME}tree/main/b) [c]({HOME})");
        let files = Files::of(&[("docs/a.md", ""), ("b/README.md", &text)]);
        assert_eq!(links_home(&files), [""; 0]);
        let files = Files::of(&[("b/README.md", &text)]);
        assert_eq!(links_home(&files), [format!("b/README.md:1: no {HOME}blob/main/docs/a.md")]);
    }

    #[test]
    fn a_debugger_stops_at_functions_that_are_there() {
        let files = Files::of(&[
            ("a.md", "| `break boot_entry` | `break hyp::a::b::run` | `break hyp::a::go` |"),
            (
                "b.md",
                "(gdb) break hyp::a::gone\n`break hyp::run`, `break other` and a break in prose",
            ),
            ("hyp/src/boot.s", "boot_entry:\n"),
            ("hyp/src/a/b.rs", "fn run() {}"),
            ("hyp/src/a/mod.rs", "fn go() {} // fn gone()"),
        ]);
        assert_eq!(
            breakpoints(&files),
            ["b.md:1: no a::gone", "b.md:2: no run", "b.md:2: no other"]
        );
    }
}
