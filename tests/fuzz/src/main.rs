//! The targets as one libFuzzer program; `POSTERN_FUZZ_TARGET` chooses which of them it is.
#![no_main]

use std::sync::OnceLock;

use fuzz::{CHOICE, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

/// The chosen target; without one this is the end.
fn chosen() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var(CHOICE).unwrap_or_default();
        fuzz::target(&name).unwrap_or_else(|| {
            let names: Vec<_> = fuzz::ALL.iter().map(|target| target.name).collect();
            eprintln!("{CHOICE}={name}: set it to one of {}", names.join(", "));
            std::process::exit(2);
        })
    })
}

fuzz_target!(init: chosen(), |input: &[u8]| (chosen().run)(input));
