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
    let Ok(link) = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)") else { return Vec::new() };
    let mut breaches = Vec::new();
    for file in files.0.iter().filter(|file| file.path.ends_with(".md")) {
        for (index, line) in file.text.lines().enumerate() {
            for found in link.captures_iter(line) {
                let target = &found[1];
                if !target.contains("://") && !exists(files, &resolve(&file.path, target)) {
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
    fn links_lead_to_files_and_folders() {
        let files = Files::of(&[
            ("README.md", "[a](docs/a.md) [b](docs/) [c](https://x.org/y) [d](#here) [e](gone.md)"),
            ("docs/a.md", "[up](../README.md#top) [side](b.md)"),
        ]);
        assert_eq!(links(&files), ["README.md:1: no gone.md", "docs/a.md:1: no b.md"]);
    }
}
