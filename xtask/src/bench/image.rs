//! The part of the report that is about the image: its sections and its largest stack frames.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::subject::Laboratory;
use crate::audit::frames::{self, Frame};
use crate::build::size::Sizes;

/// Frames shown.
const FRAMES: usize = 8;

/// What is known of the image.
#[derive(Debug)]
pub struct ImageReport {
    sizes: Sizes,
    file: u64,
    frames: Vec<Frame>,
}

impl ImageReport {
    /// Reads the finished hypervisor.
    ///
    /// # Errors
    ///
    /// A file cannot be read or is no ELF file.
    pub fn read(laboratory: &Laboratory) -> Result<Self> {
        let path = &laboratory.hypervisor.elf;
        let elf = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        let mut frames = frames::of(&elf)?;
        frames.truncate(FRAMES);
        let file = fs::metadata(&laboratory.hypervisor.image)?.len();
        Ok(Self { sizes: Sizes::of(&elf)?, file, frames })
    }

    /// KiB of code and constants that EL2 has mapped while guests run.
    pub fn resident(&self) -> f64 {
        kib(self.sizes.resident())
    }

    /// KiB of code and constants, what only boot executes included.
    pub fn code_and_constants(&self) -> f64 {
        kib(self.sizes.code + self.sizes.constants)
    }

    /// KiB of the image's file.
    pub fn file(&self) -> f64 {
        kib(self.file)
    }

    fn sections(&self) -> [(&'static str, u64); 6] {
        let Sizes { code, boot, constants, data, zeroed } = self.sizes;
        [
            ("code", code),
            ("read-only data", constants),
            ("of both only for boot", boot),
            ("data", data),
            ("zeroed memory", zeroed),
            ("image file", self.file),
        ]
    }

    /// For a terminal.
    pub fn plain(&self) -> String {
        let mut text = String::from("\nimage, bytes\n");
        for (what, bytes) in self.sections() {
            let _ = writeln!(text, "{bytes:10}  {what}");
        }
        text.push_str("\nlargest stack frames, bytes\n");
        for frame in &self.frames {
            let _ = writeln!(text, "{:10}  {}", frame.bytes, frame.function);
        }
        text
    }

    /// In Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| part of the image | bytes |\n|---|--:|\n");
        for (what, bytes) in self.sections() {
            let _ = writeln!(text, "| {what} | {bytes} |");
        }
        text.push_str("\n| largest stack frames | bytes |\n|---|--:|\n");
        for frame in &self.frames {
            let _ = writeln!(text, "| `{}` | {} |", frame.function, frame.bytes);
        }
        text
    }
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_sections_and_frames() {
        let report = ImageReport {
            sizes: Sizes { code: 3072, boot: 2048, constants: 1024, data: 8, zeroed: 16 },
            file: 5000,
            frames: vec![Frame { bytes: 640, function: "a::b".to_owned() }],
        };
        assert_eq!((report.resident(), report.code_and_constants()), (2.0, 4.0));
        let plain = report.plain();
        assert!(plain.contains("      3072  code\n") && plain.contains("       640  a::b\n"));
        let markdown = report.markdown();
        assert!(markdown.contains("| image file | 5000 |\n"), "{markdown}");
        assert!(markdown.contains("| `a::b` | 640 |\n"), "{markdown}");
    }
}
