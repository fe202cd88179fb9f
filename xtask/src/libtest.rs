//! What test programs say of themselves.

/// How many checks of a stage ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Well.
    pub passed: usize,
    /// Not well.
    pub failed: usize,
}

/// Sums libtest's `test result: ok. 16 passed; 0 failed; …` lines.
pub fn count(text: &str) -> Checks {
    let number = |line: &str, word: &str| -> usize {
        line.split([';', '.'])
            .filter_map(|part| part.trim().strip_suffix(word))
            .find_map(|number| number.trim().parse().ok())
            .unwrap_or(0)
    };
    text.lines().filter(|line| line.starts_with("test result:")).fold(
        Checks { passed: 0, failed: 0 },
        |sum, line| Checks {
            passed: sum.passed + number(line, "passed"),
            failed: sum.failed + number(line, "failed"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_summed() {
        let text = "\nrunning 3 tests\n...\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s\n\
            not a test result: ok. 9 passed\n\
            test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count(text), Checks { passed: 15, failed: 2 });
        assert_eq!(count(""), Checks { passed: 0, failed: 0 });
    }
}
