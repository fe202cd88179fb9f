//! What a target says when it finds something.

use std::path::PathBuf;
use std::process::ExitStatus;

use super::Target;

/// How much of it is shown.
const LINES: usize = 24;

/// A finding, as its lines come.
#[derive(Debug, Default)]
pub(super) struct Crash {
    lines: Vec<String>,
    file: Option<PathBuf>,
}

impl Crash {
    /// Takes a line of the program's.
    pub(super) fn read(&mut self, line: &str) {
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            self.file = Some(PathBuf::from(file));
        }
        // Progress, and the frames of libFuzzer's own trace, which name nothing without a
        // symbolizer: `--replay` has one.
        let is_noise = line.starts_with(['#', '\t']) || line.trim_start().starts_with("#");
        let begins = line.contains("panicked at") || line.starts_with("==");
        if (begins || !self.lines.is_empty()) && !is_noise && self.lines.len() < LINES {
            self.lines.push(line.to_owned());
        }
    }

    /// What a person needs to know.
    pub(super) fn tell(&self, target: &Target, inputs: u64, status: ExitStatus) -> String {
        let mut text = format!("     after {inputs} inputs ({status}):\n");
        for line in self.lines.iter().filter(|line| !line.trim().is_empty()) {
            text.push_str(&format!("     | {line}\n"));
        }
        match &self.file {
            Some(file) => text.push_str(&format!(
                "     again: cargo xtask fuzz {} --replay {}",
                target.name,
                file.display()
            )),
            None => text.push_str("     and left no input behind"),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_panic() {
        let mut crash = Crash::default();
        for line in [
            "INFO: Seed: 1",
            "#5\tNEW    cov: 7 ft: 8",
            "thread '<unnamed>' (7) panicked at tests/fuzz/src/tree.rs:9:5:",
            "left: 1",
            "==7== ERROR: libFuzzer: deadly signal",
            "    #0 0x5634 in (fuzz+0x17)",
            "artifact_prefix='/c/'; Test unit written to /c/crash-ab",
        ] {
            crash.read(line);
        }
        let target = Target { name: "tree", runs: 1, longest: 1, about: "" };
        let text = crash.tell(&target, 5, ExitStatus::from_raw(6));
        assert!(text.contains("| left: 1\n") && !text.contains("INFO") && !text.contains("0x5634"));
        assert!(text.ends_with("cargo xtask fuzz tree --replay /c/crash-ab"), "{text}");
    }
}
