//! Reads kernel configurations and the build's own progress lines.

/// The symbols that `wanted` sets otherwise than `got` does.
///
/// `wanted` and `got` have lines `CONFIG_X=value` and `# CONFIG_X is not set`; a symbol that `got`
/// does not mention is not set.
pub(super) fn missing(wanted: &str, got: &str) -> Vec<String> {
    let value_in = |text: &str, symbol: &str| {
        settings(text).find(|(name, _)| *name == symbol).map_or("n", |(_, value)| value).to_owned()
    };
    settings(wanted)
        .filter(|(symbol, value)| value_in(got, symbol) != *value)
        .map(|(symbol, _)| symbol.to_owned())
        .collect()
}

fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("# ") {
            let symbol = rest.strip_suffix(" is not set")?;
            return symbol.starts_with("CONFIG_").then_some((symbol, "n"));
        }
        line.split_once('=').filter(|(symbol, _)| symbol.starts_with("CONFIG_"))
    })
}

/// Whether a line of the kernel's build reports a step: `  CC      kernel/fork.o`.
pub(super) fn is_step(line: &str) -> bool {
    line.strip_prefix("  ")
        .and_then(|rest| rest.split_whitespace().next())
        .is_some_and(|word| word.len() >= 2 && word.chars().all(|c| c.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let wanted = "# a comment\nCONFIG_A=y\nCONFIG_B=\"text\"\n# CONFIG_C is not set\n\
                      # CONFIG_D is not set\nCONFIG_E=17\nCONFIG_F=y\n";
        let got = "CONFIG_A=y\nCONFIG_B=\"text\"\nCONFIG_D=y\nCONFIG_E=18\n# CONFIG_F is not set\n";
        assert_eq!(missing(wanted, got), ["CONFIG_D", "CONFIG_E", "CONFIG_F"]);
        assert!(missing(wanted, wanted).is_empty());
    }

    #[test]
    fn a_symbol_is_not_its_own_prefix() {
        assert_eq!(missing("CONFIG_NET=y\n", "CONFIG_NET_9P=y\n"), ["CONFIG_NET"]);
    }

    #[test]
    fn steps_are_told_from_chatter() {
        assert!(is_step("  CC      kernel/fork.o"));
        assert!(is_step("  AR      built-in.a"));
        assert!(!is_step("make[1]: Entering directory"));
        assert!(!is_step("  see above"));
    }
}
