//! `cargo xtask miri`: host tests in an interpreter that knows what is undefined, which also chooses
//! among the values that weak memory allows an atomic load to see.
//!
//! It needs a nightly toolchain and is some thousand times slower than the machine, so that the whole
//! is in parts.

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
const SHIM: &[Run] =
    &[(&["--package", "hyp-abi", "--package", "guest-shim", "--package", "guest-shim-c"], &[])];

/// Modules of `hyp-core` that have a part of their own.
const VGIC: &[Run] = &[(CORE, &["vgic::"])];
const MEMORY: &[Run] = &[(CORE, &["memory::", "stage2::", "guard::", "share::", "vm::"])];
const READERS: &[Run] = &[(CORE, &["tree::", "bundle::", "insn::", "sysreg::", "esr::"])];
/// All others.
const REST: &[Run] = &[(
    CORE,
    &[
        "--skip", "vgic::", "--skip", "memory::", "--skip", "stage2::", "--skip", "guard::",
        "--skip", "share::", "--skip", "vm::", "--skip", "tree::", "--skip", "bundle::", "--skip",
        "insn::", "--skip", "sysreg::", "--skip", "esr::",
    ],
)];
const CORE: &[&str] = &["--package", "hyp-core", "--lib"];

/// The short round ends within this time, or hangs.
const SHORT_LIMIT: Duration = Duration::from_secs(600);
/// Each part ends within this time, or hangs.
const PART_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Options of `miri`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A few minutes' worth of it.
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
    if options.short {
        return Ok(play(SHORT, SHORT_LIMIT)?.conclude());
    }
    let parts = [SHIM, VGIC, MEMORY, READERS, REST];
    let tallies = parts.into_iter().map(|part| play(part, PART_LIMIT));
    Ok(tallies.sum::<Result<Tally>>()?.conclude())
}

/// A part of `cargo xtask test --all`; skipped where the interpreter cannot be had.
///
/// # Errors
///
/// Cargo cannot be started, or does not end.
fn part(runs: &[Run]) -> Result<Tally> {
    if let Err(error) = setup::ensure_miri() {
        return Ok(Tally::skip("miri", &error));
    }
    play(runs, PART_LIMIT)
}

/// Who touches raw memory.
///
/// # Errors
///
/// Cargo cannot be started, or does not end; so with the others.
pub fn shim() -> Result<Tally> {
    part(SHIM)
}

/// The interrupt controller.
pub fn vgic() -> Result<Tally> {
    part(VGIC)
}

/// Translation tables and who owns memory.
pub fn memory() -> Result<Tally> {
    part(MEMORY)
}

/// What reads foreign bytes.
pub fn readers() -> Result<Tally> {
    part(READERS)
}

/// All the rest of `hyp-core`.
pub fn rest() -> Result<Tally> {
    part(REST)
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
        let finished = exec::run(&mut command, limit, |_| {}, exec::every_minute("miri"))?;
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
