//! When each part of `cargo xtask test --all` ran last, as `docs/assurance.md` says.

use super::files::Files;

const DOCUMENT: &str = "docs/assurance.md";

/// Each of `parts` has one line there that says when it ran, and no other line does.
pub fn last_runs(files: &Files, parts: &[&str]) -> Vec<String> {
    let Some(document) = files.get(DOCUMENT) else { return vec![format!("{DOCUMENT}: missing")] };
    let mut rest = document.text.lines().skip_while(|line| *line != HEAD);
    if rest.next().is_none() {
        return vec![format!("{DOCUMENT}: no table `{HEAD}`")];
    }
    let rows: Vec<(&str, &str)> = rest
        .map_while(|line| line.strip_prefix("| ").or(line.strip_prefix("|-")))
        .filter_map(|line| line.strip_prefix('`')?.split_once("` | "))
        .collect();
    let mut breaches = Vec::new();
    for part in parts {
        let said: Vec<_> = rows.iter().filter(|(name, _)| name == part).collect();
        if !matches!(said[..], [(_, when)] if !when.trim_start().starts_with('|')) {
            breaches
                .push(format!("{DOCUMENT}: not said, or twice, when the part `{part}` ran last"));
        }
    }
    let unknown = rows.iter().filter(|(name, _)| !parts.contains(name));
    breaches.extend(unknown.map(|(name, _)| format!("{DOCUMENT}: there is no part `{name}`")));
    breaches
}

const HEAD: &str = "| part | last ran | result |";

#[cfg(test)]
mod tests {
    use super::super::files::TextFile;
    use super::*;

    fn of(rows: &str) -> Vec<String> {
        let text = format!(
            "| part | else |\n| `x` | 1 |\n\n{HEAD}\n|---|---|---|\n{rows}\n| `y` | 1 | 2 |\n"
        );
        last_runs(
            &Files(vec![TextFile { path: DOCUMENT.to_owned(), text, code: String::new() }]),
            &["one", "two"],
        )
    }

    #[test]
    fn each_part_has_one_line_with_a_date() {
        assert_eq!(of("| `one` | today | passed |\n| `two` | never | |\n"), Vec::<String>::new());
        for (rows, wrong) in [
            ("| `one` | today | passed |\n", "`two`"),
            ("| `one` | today | |\n| `two` | | passed |\n", "`two`"),
            ("| `one` | a | |\n| `one` | b | |\n| `two` | c | |\n", "`one`"),
            ("| `one` | a | |\n| `two` | b | |\n| `three` | c | |\n", "no part `three`"),
        ] {
            let breaches = of(rows);
            assert!(breaches.len() == 1 && breaches[0].contains(wrong), "{rows}: {breaches:?}");
        }
    }
}
