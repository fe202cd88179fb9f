//! cargo-mutants: having it, asking it, reading what it found.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::sample::Mutant;
use crate::setup::{cache, exec, say};
use crate::workspace;

/// The release that is built; the sample depends on what a release can change.
const VERSION: &str = "27.1.0";

/// Building it on a slow machine.
const INSTALL_LIMIT: Duration = Duration::from_secs(30 * 60);

/// All of a sample, on a slow machine.
const RUN_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);

/// Building one change.
const BUILD_LIMIT: Duration = Duration::from_secs(600);

/// Histories and cases of a property test. Most changes fall to the first few.
const CASES: &str = "48";

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A test failed, or hung.
    Noticed,
    /// Every test passed.
    Survived,
    /// It does not compile.
    Unviable,
}

/// All possible changes to hyp-core, but for the machine that only tests run on.
pub fn list() -> Result<Vec<Mutant>> {
    let mut command = program()?;
    command.args(["--list", "--json", "--package", "hyp-core"]);
    command.args(["--exclude", "hyp/core/src/testing/**"]);
    let text = exec::output(&mut command, BUILD_LIMIT, "see whether `cargo check` works")?;
    serde_json::from_str(&text).context("what `cargo mutants --list --json` printed")
}

/// Tries each of `mutants` with the tests of `package` and its target `target`.
pub fn try_all(
    mutants: &[Mutant],
    package: &str,
    target: &str,
    limit: Duration,
    jobs: usize,
) -> Result<HashMap<String, Verdict>> {
    let dir = workspace::output_dir()?.join("mutants").join(package);
    fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
    let mut command = program()?;
    command.args(["--package", "hyp-core", "--test-package", package, "--cap-lints", "true"]);
    command.args(["--baseline", "skip", "--no-shuffle", "--jobs", &jobs.to_string()]);
    command.args(["--timeout", &limit.as_secs().to_string()]);
    command.args(["--build-timeout", &BUILD_LIMIT.as_secs().to_string()]);
    command.arg("--output").arg(&dir);
    for mutant in mutants {
        command.arg("--re").arg(format!("^{}$", regex::escape(&mutant.name)));
    }
    command.args(["--", target]).env("PROPTEST_CASES", CASES);
    // Nobody debugs them, and they are built hundreds of times.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_TEST_DEBUG", "0");
    let shown = format!("cargo mutants, tests of {package}, results in {}", dir.display());
    say(&shown);
    let mut last = 0;
    let finished = exec::run(
        &mut command,
        RUN_LIMIT,
        |_line| {},
        |elapsed| {
            let minutes = elapsed.as_secs() / 60;
            if minutes > last {
                last = minutes;
                // cargo-mutants tries some that nobody asked for: those that leave a field out.
                let outcomes = outcomes(&dir).unwrap_or_default();
                let tried = mutants.iter().filter(|mutant| outcomes.contains_key(&mutant.name));
                say(&format!(
                    "{} of {} changes tried, {minutes} min",
                    tried.count(),
                    mutants.len()
                ));
            }
        },
    )?;
    // 0 all noticed, 2 survivors, 3 some hung; others are failures of its own.
    match finished.status.code() {
        Some(0 | 2 | 3) => outcomes(&dir),
        _ => {
            exec::check(&shown, &finished, "see its log there")?;
            bail!("{shown}: it ended without saying how")
        }
    }
}

/// What `outcomes.json` says so far.
fn outcomes(dir: &Path) -> Result<HashMap<String, Verdict>> {
    let path = dir.join("mutants.out/outcomes.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    read(&text).with_context(|| format!("{}", path.display()))
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: String,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant { name: String },
}

fn read(text: &str) -> Result<HashMap<String, Verdict>> {
    let outcomes: Outcomes = serde_json::from_str(text)?;
    let mut verdicts = HashMap::new();
    for outcome in outcomes.outcomes {
        let Scenario::Mutant { name } = outcome.scenario else { continue };
        let verdict = match outcome.summary.as_str() {
            "CaughtMutant" | "Timeout" => Verdict::Noticed,
            "MissedMutant" => Verdict::Survived,
            "Unviable" => Verdict::Unviable,
            other => bail!("`{name}` ended as `{other}`, which means nothing to this program"),
        };
        // Two changes can bear one name: both must be noticed.
        if verdicts.get(&name) != Some(&Verdict::Survived) {
            verdicts.insert(name, verdict);
        }
    }
    Ok(verdicts)
}

/// cargo-mutants at the checkout, built into the cache once.
fn program() -> Result<Command> {
    let path = installed()?;
    let mut command = Command::new(path);
    command.arg("mutants").current_dir(workspace::root());
    Ok(command)
}

/// The program, built if it is not there.
pub fn installed() -> Result<PathBuf> {
    let root = cache::root()?.join("tools").join(format!("cargo-mutants-{VERSION}"));
    let program = root.join("bin/cargo-mutants");
    let _lock = cache::lock("cargo-mutants")?;
    if !program.is_file() {
        say(&format!("building cargo-mutants {VERSION}, which changes sources; takes minutes"));
        let mut command = Command::new(workspace::cargo());
        command.args(["install", "cargo-mutants", "--locked", "--version", VERSION]);
        // Not below the checkout, whose settings it would take.
        command.arg("--root").arg(&root).current_dir(cache::root()?);
        exec::output(&mut command, INSTALL_LIMIT, "see whether cargo can fetch packages")?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_by_name() {
        let outcome = |name: &str, summary: &str| {
            format!(r#"{{"scenario":{{"Mutant":{{"name":"{name}"}}}},"summary":"{summary}"}}"#)
        };
        let text = format!(
            r#"{{"outcomes":[{{"scenario":"Baseline","summary":"Success"}},{},{},{},{}]}}"#,
            outcome("a", "CaughtMutant"),
            outcome("b", "Timeout"),
            outcome("c", "MissedMutant"),
            outcome("d", "Unviable"),
        );
        let verdicts = read(&text).expect("good");
        assert_eq!(verdicts.len(), 4);
        assert_eq!(verdicts["a"], Verdict::Noticed);
        assert_eq!(verdicts["b"], Verdict::Noticed);
        assert_eq!(verdicts["c"], Verdict::Survived);
        assert_eq!(verdicts["d"], Verdict::Unviable);
        let twice = format!(
            r#"{{"outcomes":[{},{}]}}"#,
            outcome("c", "MissedMutant"),
            outcome("c", "CaughtMutant"),
        );
        assert_eq!(read(&twice).expect("good")["c"], Verdict::Survived);
        let odd = format!(r#"{{"outcomes":[{}]}}"#, outcome("e", "Failure"));
        assert!(read(&odd).is_err(), "an outcome nobody knows is not taken for a good one");
    }
}
