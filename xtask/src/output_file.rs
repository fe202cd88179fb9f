//! Files that a command writes for who called it.

use std::path::Path;

use anyhow::{Result, ensure};

/// Endings of file names that promise a format.
const FORMATS: &[&str] = &[
    "txt", "log", "json", "jsonl", "svg", "pdf", "html", "htm", "xml", "csv", "tsv", "md", "rst",
    "tex", "doc", "docx", "odt", "xls", "xlsx", "ods", "png", "jpg", "jpeg", "gif", "webp", "ps",
    "eps", "yaml", "yml", "toml", "db", "sqlite", "pcap", "perf", "vcd", "zip", "tar", "tgz", "gz",
    "xz", "bz2", "zst", "7z", "deb", "rpm", "iso", "qcow", "qcow2", "vmdk", "vdi", "vhd", "vhdx",
    "dtb", "dts", "elf", "efi",
];

/// Refuses `path`, which `option` names, if its ending promises a format that is none of `own`, or if it
/// is `-`, which elsewhere is standard output: here that has other uses. Endings that promise nothing
/// are fine.
///
/// # Errors
///
/// Says which endings do.
pub fn check(option: &str, path: &Path, own: &[&str]) -> Result<()> {
    let shown = path.display();
    ensure!(
        path != Path::new("-"),
        "{option} -: standard output has another use; name a file, or /dev/stderr"
    );
    let ending = ending(path);
    ensure!(
        own.contains(&&*ending) || !FORMATS.contains(&&*ending),
        "{option} {shown}: nothing is written as .{ending}; take .{}",
        own.join(", .")
    );
    Ok(())
}

/// What stands behind the last dot of the file's name, in small letters.
pub fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_promises_another_format_is_refused() {
        let refused = |file: &str| check("--trace", Path::new(file), &["txt", "json"]).is_err();
        for file in ["a.pdf", "a.HTML", "a.csv", "a.json.gz", "a.svg", "-"] {
            assert!(refused(file), "{file}");
        }
        for file in ["a", "a.txt", "a.JSON", "linux-6.12", "a.trace", "-.txt", "./-", "/dev/null"] {
            assert!(!refused(file), "{file}");
        }
    }
}
