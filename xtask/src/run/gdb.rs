//! A run that waits for a debugger.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::{Object, ObjectSymbol};

use crate::workspace;

/// Port that QEMU's stub listens on if none is given; also QEMU's own choice.
pub const PORT: &str = "1234";
/// Where QEMU's `virt` puts an image that asks for no offset: 2 MiB into its RAM.
const LOADED_AT: u64 = 0x4020_0000;

/// Words for QEMU: stop before the first instruction, listen on this machine only.
pub fn arguments(port: u16) -> [OsString; 3] {
    ["-S".into(), "-gdb".into(), format!("tcp:127.0.0.1:{port}").into()]
}

/// Writes what the debugger needs to know and says how to start it.
///
/// # Errors
///
/// The file cannot be written, or `elf` is no image of ours.
pub fn prepare(port: u16, elf: &Path, is_virt: bool) -> Result<()> {
    let path = workspace::output_dir()?.join("postern.gdb");
    let bytes = fs::read(elf).with_context(|| format!("could not read {}", elf.display()))?;
    let linked_at = if is_virt { Some(image_start(&bytes)?) } else { None };
    fs::write(&path, script(port, elf, linked_at))
        .with_context(|| format!("could not write {}", path.display()))?;
    eprintln!("[xtask] the machine waits for a debugger. In another terminal:");
    eprintln!("[xtask]   {} -x {}", debugger(), shown(&path).display());
    eprintln!("[xtask] then `continue`; docs/debugging.md says more");
    Ok(())
}

/// gdb's commands. `linked_at` adds the code that runs where it was loaded, before the MMU is on.
fn script(port: u16, elf: &Path, linked_at: Option<u64>) -> String {
    let elf = elf.display();
    let early = linked_at.map_or_else(String::new, |linked_at| {
        // The difference wraps around: the image is linked far above where it is loaded.
        format!("add-symbol-file {elf} -o {:#x}\n", LOADED_AT.wrapping_sub(linked_at))
    });
    format!(
        "set architecture aarch64\n\
         set confirm off\n\
         # Code is read from the file: before the MMU is on nothing is at the linked address.\n\
         set trust-readonly-sections on\n\
         file {elf}\n\
         {early}\
         target remote 127.0.0.1:{port}\n"
    )
}

/// The address that the image is linked at.
fn image_start(elf: &[u8]) -> Result<u64> {
    let file = object::File::parse(elf)?;
    let start = file.symbols().find(|symbol| symbol.name() == Ok("image_start"));
    Ok(start.context("the image's ELF file has no symbol image_start")?.address())
}

/// A gdb that knows this architecture: Debian's plain one does not, other systems' does.
fn debugger() -> &'static str {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["gdb-multiarch", "aarch64-linux-gnu-gdb", "aarch64-none-elf-gdb"]
        .into_iter()
        .find(|name| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
        .unwrap_or("gdb-multiarch")
}

/// `path` from the current folder where possible.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_lie_where_the_image_is_linked_and_where_it_is_loaded() {
        let text = script(4000, Path::new("p.elf"), Some(0x8000_0000_0000));
        assert!(text.contains("\nfile p.elf\nadd-symbol-file p.elf -o 0xffff800040200000\n"));
        assert!(text.ends_with("target remote 127.0.0.1:4000\n"));
        assert!(!script(1, Path::new("p.elf"), None).contains("add-symbol-file"));
    }

    #[test]
    fn the_machine_stops_and_listens_to_this_host_only() {
        assert_eq!(arguments(1234), ["-S", "-gdb", "tcp:127.0.0.1:1234"]);
    }
}
