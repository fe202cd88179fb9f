//! `cargo xtask test`: format, lints, host tests, rules of the house. What CI runs.

mod house;
mod stages;

use std::time::Instant;

use anyhow::Result;

use crate::setup;

/// The command `cargo xtask test`; the answer is the exit status of this program. A failed stage
/// does not stop the others.
///
/// # Errors
///
/// A stage cannot be run at all.
pub fn command() -> Result<u8> {
    setup::ensure_lint_tools()?;
    let begun = Instant::now();
    let mut passed = 0;
    let mut failed = 0;
    for stage in stages::ALL {
        eprintln!("[xtask] {}", stage.name);
        let result = (stage.run)()?;
        let verdict = if result.failed == 0 { "PASS" } else { "FAIL" };
        println!("{verdict} {} ({} checks)", stage.name, result.passed + result.failed);
        passed += result.passed;
        failed += result.failed;
    }
    for finding in house::check()? {
        if finding.breaches.is_empty() {
            passed += 1;
            println!("PASS rule: {}", finding.rule);
        } else {
            failed += 1;
            println!("FAIL rule: {}", finding.rule);
            finding.breaches.iter().for_each(|breach| println!("     {breach}"));
        }
    }
    eprintln!("[xtask] all of it took {:.0} s", begun.elapsed().as_secs_f64());
    println!("{passed} passed, {failed} failed");
    Ok(u8::from(failed > 0))
}
