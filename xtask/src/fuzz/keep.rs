//! Choosing the inputs that are committed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::program::Program;
use super::{Target, cached, committed};
use crate::setup::exec;
use crate::workspace;

/// libFuzzer runs every input twice.
const PATIENCE: Duration = Duration::from_secs(900);

/// Replaces the committed inputs of `target` by a small set that reaches all that any input, kept
/// or in the cache, reaches; the answer says what there is now.
///
/// # Errors
///
/// An input fails, or a folder cannot be used.
pub(super) fn keep(program: &Program, target: &Target) -> Result<String> {
    let folder = committed(target);
    let chosen = tempfile::tempdir().context("no temporary folder")?;
    let mut command = program.command(target);
    command.arg("-set_cover_merge=1").arg(chosen.path());
    command.arg(cached(target, "corpus")?).arg(&folder);
    exec::output(&mut command, PATIENCE, "mend what an input finds first: replay it")?;
    let before = sizes(&folder)?;
    for item in fs::read_dir(&folder)? {
        fs::remove_file(item?.path())?;
    }
    for item in fs::read_dir(chosen.path())? {
        let item = item?;
        fs::copy(item.path(), folder.join(item.file_name()))?;
    }
    let after = sizes(&folder)?;
    let shown = workspace::shown(&folder);
    Ok(format!(
        "{shown}: {} inputs of {} bytes, before {} of {}",
        after.0, after.1, before.0, before.1
    ))
}

/// How many files there are, and their bytes.
fn sizes(folder: &Path) -> Result<(usize, u64)> {
    let mut sum = (0, 0);
    for item in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        sum = (sum.0 + 1, sum.1 + item?.metadata()?.len());
    }
    Ok(sum)
}
