//! The guests that documents walk through, built and run as they are printed.

mod page;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::scenario::Tally;
use crate::setup::{self, exec, say};
use crate::workspace;
use page::{Page, Step};

/// The documents.
const PAGES: [&str; 2] = ["docs/own-guest-rust.md", "docs/own-guest-c.md"];

/// How a manifest names the repository.
const REPOSITORY: &str = concat!("git = \"", env!("CARGO_PKG_REPOSITORY"), "\"");

/// Compiling a guest and, at most, the hypervisor.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Each document is a check.
pub fn round() -> Result<Tally> {
    if let Err(error) = setup::ensure_own_guest_tools() {
        // In CI nothing may be missing quietly.
        if super::in_ci() {
            return Err(error);
        }
        return Ok(Tally::skip("own guests", &error));
    }
    let mut tally = Tally::default();
    for page in PAGES {
        let result = perform(page);
        let verdict = if result.is_ok() { "PASS" } else { "FAIL" };
        println!("{verdict} {page}");
        if let Err(error) = &result {
            println!("     {}", format!("{error:#}").replace('\n', "\n     "));
        }
        tally = [tally, Tally::of_one(result.is_ok())].into_iter().sum();
    }
    Ok(tally)
}

/// Writes the files of a document to an empty folder outside of the workspace, does what it says there
/// and compares what comes of it.
fn perform(path: &str) -> Result<()> {
    let text = fs::read_to_string(workspace::root().join(path))
        .with_context(|| format!("could not read {path}"))?;
    let page = Page::parse(&text)?;
    let folder = tempfile::tempdir()?;
    std::os::unix::fs::symlink(workspace::root(), folder.path().join("postern"))?;
    let guest = folder.path().join("my-guest");
    for (name, contents) in &page.files {
        let file = guest.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&guest))?;
        fs::write(&file, with_checkout(contents))?;
    }
    page.steps.iter().try_for_each(|step| take(step, &guest))
}

/// The text with the checkout's path in place of the repository's address.
fn with_checkout(text: &str) -> String {
    let shim = toml::Value::from(workspace::root().join("guest-shim").to_string_lossy().as_ref());
    text.replace(REPOSITORY, &format!("path = {shim}"))
}

/// Does one step in the folder of the guest.
fn take(step: &Step, guest: &Path) -> Result<()> {
    say(&step.commands.replace('\n', "; "));
    let mut command = Command::new("sh");
    command.args(["-euc", &step.commands]).current_dir(guest);
    // The page knows of none of these; what it depends on is there.
    command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("CARGO_NET_OFFLINE", "true");
    let finished = exec::run(&mut command, LIMIT, |_| {}, |_| {})?;
    if !finished.status.success() {
        bail!("{}\ncame back: {}\n{}", step.commands, finished.status, finished.tail);
    }
    let missing = step.missing(&finished.stdout);
    if !missing.is_empty() {
        bail!("{}\nnever said: {}\n{}", step.commands, missing.join("\n"), finished.stdout);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_whole() {
        for path in PAGES {
            let text = fs::read_to_string(workspace::root().join(path)).unwrap();
            let page = Page::parse(&text).unwrap();
            assert!(page.files.len() >= 4, "{path}: {} files", page.files.len());
            let said = page.steps.iter().map(|step| step.said.len()).sum::<usize>();
            assert!(said >= 5, "{path}: {said} lines of output");
        }
    }

    #[test]
    fn the_checkout_takes_the_repositorys_place() {
        let manifest = with_checkout(&format!("guest-shim = {{ {REPOSITORY}, features = [] }}"));
        let manifest: toml::Table = manifest.parse().unwrap();
        let path = Path::new(manifest["guest-shim"]["path"].as_str().unwrap());
        assert!(path.join("Cargo.toml").is_file());
    }
}
