//! Several runs in one scenario file: `[[case]]`, and `[[axis]]` for every combination of some.

use anyhow::{Result, bail};
use toml::{Table, Value};

/// The runs in a file called `stem`: name and whole description of each.
///
/// Each case is laid over the file, tables key by key, lists joined, everything else replaced. An
/// axis is a list of cases, too: each of them is combined with each of every other axis.
///
/// # Errors
///
/// A case has no name, or two have the same.
pub fn expand(stem: &str, mut base: Table) -> Result<Vec<(String, Table)>> {
    let mut axes = Vec::new();
    if let Some(cases) = base.remove("case") {
        axes.push(tables("case", cases)?);
    }
    if let Some(written) = base.remove("axis") {
        for mut axis in tables("axis", written)? {
            let Some(cases) = axis.remove("case") else { bail!("an axis has no `case`") };
            if let Some(other) = axis.keys().next() {
                bail!("an axis has only `case`, not `{other}`");
            }
            axes.push(tables("case", cases)?);
        }
    }
    if axes.is_empty() {
        return Ok(vec![(stem.to_owned(), base)]);
    }
    let mut runs = vec![(String::new(), base)];
    for axis in axes {
        let mut more: Vec<(String, Table)> = Vec::new();
        for (name, table) in &runs {
            for case in &axis {
                let mut case = case.clone();
                let Some(Value::String(word)) = case.remove("name") else {
                    bail!("a case has no `name`")
                };
                let name = if name.is_empty() { word } else { format!("{name}-{word}") };
                let mut whole = table.clone();
                lay_over(&mut whole, case);
                if more.iter().any(|(other, _)| *other == name) {
                    bail!("{stem}/{name} is there twice");
                }
                more.push((name, whole));
            }
        }
        runs = more;
    }
    Ok(runs.into_iter().map(|(name, table)| (format!("{stem}/{name}"), table)).collect())
}

/// The tables in a list of tables called `name`.
fn tables(name: &str, list: Value) -> Result<Vec<Table>> {
    let Value::Array(list) = list else { bail!("`{name}` must be written [[{name}]]") };
    list.into_iter()
        .map(|item| match item {
            Value::Table(table) => Ok(table),
            _ => bail!("`{name}` must be written [[{name}]]"),
        })
        .collect()
}

/// Lays `over` on `base`.
fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (Some(Value::Array(below)), Value::Array(above)) => below.extend(above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>> {
        Ok(expand("f", text.parse().unwrap())?.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn axes_are_combined_in_order() {
        let text = "a = 1\nrows = ['x']\n\
            [[axis]]\ncase = [{ name = 'p', a = 2 }, { name = 'q', rows = ['y'] }]\n\
            [[axis]]\ncase = [{ name = '1' }, { name = '2', rows = ['z'] }]";
        assert_eq!(names(text).unwrap(), ["f/p-1", "f/p-2", "f/q-1", "f/q-2"]);
        let runs = expand("f", text.parse().unwrap()).unwrap();
        assert_eq!(runs[0].1["a"].as_integer(), Some(2));
        assert_eq!(runs[3].1["a"].as_integer(), Some(1));
        assert_eq!(runs[3].1["rows"].to_string(), r#"["x", "y", "z"]"#);
    }

    #[test]
    fn a_file_without_cases_is_one_run_and_odd_ones_are_refused() {
        assert_eq!(names("a = 1").unwrap(), ["f"]);
        for (text, reason) in [
            ("[[axis]]\na = 1", "no `case`"),
            ("[[axis]]\ncase = [{ name = 'p' }]\na = 1", "not `a`"),
            ("[[case]]\na = 1", "no `name`"),
            ("case = 1", "[[case]]"),
            ("[[axis]]\ncase = [{ name = 'p' }, { name = 'p' }]", "twice"),
        ] {
            assert!(names(text).unwrap_err().to_string().contains(reason), "{text}");
        }
    }
}
