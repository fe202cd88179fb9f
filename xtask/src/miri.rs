//! `cargo xtask miri`: host tests in an interpreter that knows what is undefined, which also chooses
//! among the values that weak memory allows an atomic load to see.
//!
//! It needs a nightly toolchain, is some thousand times slower than the machine, and runs no property
//! tests in the short round of `cargo xtask test`.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::libtest::count;
use crate::scenario::Tally;
use crate::setup::{self, exec};
use crate::workspace;

/// Who is tested: words for `cargo miri test`, then for the test program.
type Run = (&'static [&'static str], &'static [&'static str]);

/// What touches raw memory on the host, and a little of what decides; without property tests, which
/// have hundreds of cases.
const SHORT: &[Run] = &[
    // The fourth program of tests, of a whole virtio device, takes minutes.
    (
        &["--package", "guest-shim", "--lib", "--test", "calls", "--test", "discovery"],
        &["--skip", "runs_are_counts", "--skip", "units_have_one_user"],
    ),
    (&["--package", "guest-shim", "--test", "ioremap"], &["--skip", "guarded_is_what_is_mapped"]),
    (&["--package", "hyp-core", "--lib"], &["a_full_ring", "a_log_line_waits"]),
];

/// All tests of these packages, with few cases of each property.
const FULL: &[Run] = &[
    (&["--package", "hyp-abi", "--package", "guest-shim", "--package", "guest-shim-c"], &[]),
    (&["--package", "hyp-core", "--lib"], &[]),
];

/// The short round ends within this time, or hangs.
const SHORT_LIMIT: Duration = Duration::from_secs(600);
/// A whole round takes hours.
const FULL_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Options of `miri`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only what `cargo xtask test` runs.
    #[arg(long)]
    short: bool,
}

/// The command `cargo xtask miri`; the answer is the exit status of this program.
///
/// # Errors
///
/// The interpreter cannot be had.
pub fn command(options: &Options) -> Result<u8> {
    setup::ensure_miri()?;
    let (runs, limit) = if options.short { (SHORT, SHORT_LIMIT) } else { (FULL, FULL_LIMIT) };
    Ok(play(runs, limit)?.conclude())
}

/// The round of `cargo xtask test`; skipped where the interpreter cannot be had.
///
/// # Errors
///
/// Cargo cannot be started, or does not end.
pub fn test_round() -> Result<Tally> {
    if let Err(error) = setup::ensure_miri() {
        return Ok(Tally::skip("miri", &error));
    }
    play(SHORT, SHORT_LIMIT)
}

/// The round of `cargo xtask test --all`.
///
/// # Errors
///
/// As [`test_round`].
pub fn full_round() -> Result<Tally> {
    if let Err(error) = setup::ensure_miri() {
        return Ok(Tally::skip("miri", &error));
    }
    play(FULL, FULL_LIMIT)
}

/// Every test counts by itself.
fn play(runs: &[Run], limit: Duration) -> Result<Tally> {
    let mut tally = Tally::default();
    for (packages, tests) in runs {
        let mut command = Command::new("rustup");
        command
            .current_dir(workspace::root())
            .args(["run", setup::NIGHTLY, "cargo", "miri", "test", "--quiet", "--no-fail-fast"])
            .args(*packages)
            .arg("--")
            .args(*tests)
            // Property tests ask for the folder that they are in; tests leave to the end of the
            // program what they make for ever.
            .env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-ignore-leaks")
            .env("PROPTEST_CASES", "4")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO");
        let finished = exec::run(&mut command, limit, |_| {}, |_| {})?;
        let mut checks = count(&finished.stdout);
        if !finished.status.success() || checks.passed == 0 {
            eprintln!("{}\n{}", finished.stdout, finished.tail);
            checks.failed = checks.failed.max(1);
        }
        let verdict = if checks.failed == 0 { "PASS" } else { "FAIL" };
        let names: Vec<_> = packages.iter().filter(|word| !word.starts_with("--")).collect();
        let names = names.into_iter().copied().collect::<Vec<_>>().join(", ");
        println!("{verdict} miri {names} ({} checks)", checks.passed + checks.failed);
        tally.passed += checks.passed;
        tally.failed += checks.failed;
    }
    Ok(tally)
}
