//! A document that walks through a guest: fenced blocks that are files, commands and their output.
//!
//! A block's language says what it is: `sh` commands for the guest's folder, `text` what they print,
//! `console` what a person does before; everything else is a file, whose name is its first comment.

use anyhow::{Context, Result, bail};

/// What is in a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Names, from the guest's folder, and contents.
    pub files: Vec<(String, String)>,
    /// What to do with them, in order.
    pub steps: Vec<Step>,
}

/// Commands for the shell.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// One on each line.
    pub commands: String,
    /// Lines that they print; `…` stands for anything.
    pub said: Vec<String>,
}

const FENCE: &str = "```";

impl Page {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// A block names no file, is not closed, or is the output of no command.
    pub fn parse(text: &str) -> Result<Self> {
        let mut page = Self::default();
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            let Some(language) = line.strip_prefix(FENCE) else { continue };
            let mut block = String::new();
            loop {
                match lines.next() {
                    Some((FENCE, _)) => break,
                    Some((line, _)) => block.extend([line, "\n"]),
                    None => bail!("the block in line {number} does not end"),
                }
            }
            page.add(language, block).with_context(|| format!("the block in line {number}"))?;
        }
        Ok(page)
    }

    fn add(&mut self, language: &str, block: String) -> Result<()> {
        match language {
            "console" => {}
            "sh" => self.steps.push(Step { commands: block, said: Vec::new() }),
            "text" => {
                let step = self.steps.last_mut().context("no command printed this")?;
                step.said.extend(block.lines().map(str::to_owned));
            }
            _ => {
                let name = file_name(&block).context("its first line is no comment with a name")?;
                self.files.push((name, block));
            }
        }
        Ok(())
    }
}

/// The file name in the comment that `block` begins with.
fn file_name(block: &str) -> Option<String> {
    let line = block.lines().next()?;
    let comment = line.strip_prefix("# ").or_else(|| line.strip_prefix("// "));
    let name = comment.or_else(|| line.strip_prefix("/* ")?.strip_suffix(" */"))?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let leaves = name.starts_with('/') || name.split('/').any(|part| part == "..");
    (is_name && !leaves && !name.is_empty()).then(|| name.to_owned())
}

impl Step {
    /// Lines that `output` should have and has not.
    pub fn missing(&self, output: &str) -> Vec<&str> {
        let is_there = |said: &&String| output.lines().any(|line| is_like(line.trim_end(), said));
        self.said.iter().filter(|said| !is_there(said)).map(String::as_str).collect()
    }
}

/// Whether `line` is as `said`, in which `…` stands for anything.
fn is_like(line: &str, said: &str) -> bool {
    let mut parts = said.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_files_commands_and_output() {
        let text = "# A\n```console\n$ ls\n```\n```rust\n// src/a.rs\nfn a() {}\n```\ntext\n\
                    ```sh\nmake\n```\n```text\nat 0x… it\nends\n```\n```make\n# Makefile\nall:\n```\n";
        let page = Page::parse(text).unwrap();
        let files = [("src/a.rs", "// src/a.rs\nfn a() {}\n"), ("Makefile", "# Makefile\nall:\n")];
        assert_eq!(page.files, files.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(page.steps.len(), 1);
        assert_eq!(page.steps[0].commands, "make\n");
        assert_eq!(page.steps[0].missing("ends\nat 0x123 it\r\n"), [""; 0]);
        assert_eq!(page.steps[0].missing("it ends\nat 0x123 it\n"), ["ends"]);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for (text, complaint) in [
            ("```c\nint a;\n```", "line 1"),
            ("\n```c\n/* ../a.c */\n```", "line 2"),
            ("```c\n/* /a.c */\n```", "no comment with a name"),
            ("```c\n/* Some words. */\n```", "no comment with a name"),
            ("```text\nso\n```", "no command"),
            ("```sh\nls\n", "does not end"),
        ] {
            let error = format!("{:#}", Page::parse(text).unwrap_err());
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }

    #[test]
    fn dots_stand_for_anything() {
        for (line, said, expected) in [
            ("PC 0x40: a", "PC 0x…: a", true),
            ("PC 0x40: b", "PC 0x…: a", false),
            ("a 1 b 2 c", "a … b … c", true),
            ("a 1 c 2 b", "a … b … c", false),
            ("as it is", "as it is", true),
            ("as it is.", "as it is", false),
        ] {
            assert_eq!(is_like(line, said), expected, "{line} / {said}");
        }
    }
}
