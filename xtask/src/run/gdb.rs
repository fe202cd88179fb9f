//! A run that waits for a debugger.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::{Object, ObjectSymbol};

use super::recording::is_elf;
use crate::workspace;

/// Port that QEMU's stub listens on if none is given; also QEMU's own choice.
pub const PORT: &str = "1234";
/// Where QEMU's `virt` puts an image that asks for no offset: 2 MiB into its RAM.
const LOADED_AT: u64 = 0x4020_0000;
/// Bytes from there to the first instruction of EL2's, behind the header.
const FIRST_CODE: u64 = 0x40;

/// Words for QEMU: stop before the first instruction, listen on this machine only.
pub fn arguments(port: u16) -> [OsString; 3] {
    ["-S".into(), "-gdb".into(), format!("tcp:127.0.0.1:{port}").into()]
}

/// Writes what the debugger needs to know and says how to start it. `guest` has the guest's symbols.
///
/// # Errors
///
/// The file cannot be written, or `elf` is no image of ours.
pub fn prepare(port: u16, elf: &Path, is_virt: bool, guest: Option<&Path>) -> Result<()> {
    let path = workspace::output_dir()?.join("postern.gdb");
    let bytes = fs::read(elf).with_context(|| format!("could not read {}", elf.display()))?;
    let linked_at = if is_virt { Some(image_start(&bytes)?) } else { None };
    fs::write(&path, script(port, elf, linked_at, guest))
        .with_context(|| format!("could not write {}", path.display()))?;
    eprintln!("[xtask] the machine waits for a debugger. In another terminal:");
    eprintln!("[xtask]   {} -x {}", debugger(), quoted(&shown(&path)));
    eprintln!(
        "[xtask] then `continue`, or `guest` to go on to the guest; docs/debugging.md says more"
    );
    Ok(())
}

/// The ELF file with the symbols of the guest whose payload is `kernel`: itself, or what Linux was made
/// of beside it.
pub fn guest_symbols(kernel: &Path) -> Option<PathBuf> {
    [kernel.to_owned(), kernel.with_file_name("vmlinux")].into_iter().find(|path| is_elf(path))
}

/// gdb's commands. `linked_at` adds the code that runs where it was loaded, before the MMU is on.
fn script(port: u16, elf: &Path, linked_at: Option<u64>, guest: Option<&Path>) -> String {
    let elf = quoted(elf);
    let (early, no_early) = linked_at.map_or_else(Default::default, |linked_at| {
        (
            // The difference wraps around: the image is linked far above where it is loaded.
            format!("add-symbol-file {elf} -o {:#x}\n", LOADED_AT.wrapping_sub(linked_at)),
            format!("remove-symbol-file -a {:#x}\n", LOADED_AT + FIRST_CODE),
        )
    });
    let guest = guest.map_or_else(
        || "echo No symbols of the guest are known: add-symbol-file FILE\\n\n".to_owned(),
        |guest| format!("add-symbol-file {}\n", quoted(guest)),
    );
    format!(
        "set architecture aarch64\n\
         set confirm off\n\
         # Code is read from the file: before the MMU is on nothing is at the linked address.\n\
         set trust-readonly-sections on\n\
         file {elf}\n\
         {early}\
         # EL2's early code lies where guests are loaded, too: until it has run, a breakpoint there is its.\n\
         define guest\n\
         tbreak hyp::cpu::begin\n\
         continue\n\
         {no_early}\
         {guest}\
         end\n\
         document guest\n\
         Go on to where a vCPU is about to enter the guest, and take the guest's symbols.\n\
         end\n\
         target remote 127.0.0.1:{port}\n"
    )
}

/// `path` as a word for gdb and for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text }
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
        let text = script(4000, Path::new("p.elf"), Some(0x8000_0000_0000), None);
        assert!(text.contains("\nfile p.elf\nadd-symbol-file p.elf -o 0xffff800040200000\n"));
        assert!(text.ends_with("target remote 127.0.0.1:4000\n"));
        let elsewhere = script(1, Path::new("p.elf"), None, None);
        assert!(!elsewhere.contains("-symbol-file p.elf") && !elsewhere.contains("remove-"));
    }

    #[test]
    fn the_guests_symbols_take_the_place_of_the_early_ones_once_those_have_run() {
        let text = script(1, Path::new("my p.elf"), Some(0), Some(Path::new("g.elf")));
        let order = [
            "file \"my p.elf\"\n",
            "define guest\n",
            "tbreak hyp::cpu::begin\n",
            "continue\n",
            "remove-symbol-file -a 0x40200040\n",
            "add-symbol-file g.elf\n",
            "end\n",
        ];
        let mut rest = &*text;
        for line in order {
            rest = rest.split_once(line).unwrap_or_else(|| panic!("{line} {text}")).1;
        }
    }

    #[test]
    fn a_kernels_symbols_lie_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("Image");
        fs::write(&image, "MZ").unwrap();
        assert_eq!(guest_symbols(&image), None);
        fs::write(folder.path().join("vmlinux"), b"\x7fELF and more").unwrap();
        assert_eq!(guest_symbols(&image), Some(folder.path().join("vmlinux")));
        fs::write(&image, b"\x7fELF and more").unwrap();
        assert_eq!(guest_symbols(&image), Some(image));
    }

    #[test]
    fn the_machine_stops_and_listens_to_this_host_only() {
        assert_eq!(arguments(1234), ["-S", "-gdb", "tcp:127.0.0.1:1234"]);
    }
}
