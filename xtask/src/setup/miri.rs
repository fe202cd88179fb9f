//! The interpreter for undefined behaviour, which only a nightly toolchain has.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{cache, exec, say};

/// The toolchain it is part of. One that is known to work with the pinned stable one: a newer nightly
/// may have a Miri that knows other rules.
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";

/// A download is given up after this time.
const FETCH_LIMIT: Duration = Duration::from_secs(180);
/// Its own build of the standard library, once.
const BUILD_LIMIT: Duration = Duration::from_secs(600);

/// Provides `cargo miri` of the nightly toolchain.
///
/// # Errors
/// There is no rustup, or it cannot fetch what is missing.
pub(crate) fn ensure_miri() -> Result<()> {
    if exec::on_path("rustup").is_none() {
        bail!("no rustup on PATH, and a nightly toolchain has to be there for Miri");
    }
    let _lock = cache::lock("miri")?;
    if !works() {
        say("rustup: a nightly toolchain with Miri, to look for undefined behaviour");
        let mut command = Command::new("rustup");
        command.args(["toolchain", "install", NIGHTLY, "--profile", "minimal", "--no-self-update"]);
        command.args(["--component", "miri", "--component", "rust-src"]);
        exec::output(&mut command, FETCH_LIMIT, "check the network and try again")?;
    }
    let mut command = miri();
    command.arg("setup");
    exec::output(&mut command, BUILD_LIMIT, "see above")?;
    Ok(())
}

fn works() -> bool {
    exec::output(miri().arg("--version"), Duration::from_secs(60), "").is_ok()
}

/// `cargo miri` of that toolchain, whichever this program was started with.
fn miri() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", NIGHTLY, "cargo", "miri"]);
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    command
}
