//! The checkout's text files in memory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::source::code_only;

/// A text file.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// From the root of the checkout, with `/`.
    pub path: String,
    /// Its contents.
    pub text: String,
    /// Rust only: contents without comments and literals.
    pub code: String,
}

/// All text files.
#[derive(Debug, Default)]
pub struct Files(pub Vec<TextFile>);

impl Files {
    /// Reads every text file below `root`; build products and git's own files are left out.
    ///
    /// # Errors
    ///
    /// A folder or file cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Self::default();
        files.read_folder(root, "")?;
        Ok(files)
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> Result<()> {
        let path = root.join(folder);
        let entries =
            fs::read_dir(&path).with_context(|| format!("could not read {}", path.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in names {
            let below = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            // In a second worktree `.git` is a file.
            if matches!(name.as_str(), "target" | ".git" | "Cargo.lock") {
                continue;
            }
            if kind.is_dir() {
                self.read_folder(root, &below)?;
            } else if kind.is_file() {
                let bytes = fs::read(root.join(&below))
                    .with_context(|| format!("could not read {below}"))?;
                if let Ok(text) = String::from_utf8(bytes) {
                    self.add(below, text);
                }
            }
        }
        Ok(())
    }

    /// Adds one file.
    pub fn add(&mut self, path: String, text: String) {
        let code = if path.ends_with(".rs") { code_only(&text) } else { String::new() };
        self.0.push(TextFile { path, text, code });
    }

    /// The Rust sources.
    pub fn rust(&self) -> impl Iterator<Item = &TextFile> {
        self.0.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&TextFile> {
        self.0.iter().find(|file| file.path == path)
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut all = Self::default();
        for (path, text) in files {
            all.add((*path).to_owned(), (*text).to_owned());
        }
        all
    }
}

/// `path:line: what`, lines counted from 1.
pub fn breach(file: &TextFile, line_index: usize, what: &str) -> String {
    format!("{}:{}: {what}", file.path, line_index + 1)
}
