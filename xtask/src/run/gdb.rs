//! A run that waits for a debugger.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::{Object, ObjectSymbol};

use super::Guest;
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

/// A VM and the symbols of what it runs, if there are any.
pub struct Program {
    vm: String,
    vcpus: usize,
    elf: Option<Symbols>,
}

/// An ELF file with symbols, and the address of the first instruction in it.
struct Symbols {
    path: PathBuf,
    entry: u64,
}

impl Symbols {
    /// Those of the guest whose payload, or whose symbols, are at `path`.
    fn of(path: &Path) -> Option<Self> {
        let path = guest_symbols(path)?;
        let bytes = fs::read(&path).ok()?;
        Some(Self { entry: object::File::parse(&*bytes).ok()?.entry(), path })
    }
}

/// What `guests` run; `said` are symbols that somebody has named, by the numbers of the VMs.
pub fn programs(guests: &[Guest], said: &[PathBuf]) -> Vec<Program> {
    let program = |(number, guest): (usize, &Guest)| {
        let symbols = said.get(number).or(guest.kernel.as_ref());
        Program {
            vm: guest.name.clone(),
            vcpus: guest.vcpus,
            elf: symbols.and_then(|path| Symbols::of(path)),
        }
    };
    guests.iter().enumerate().map(program).collect()
}

/// Writes what the debugger needs to know and says how to start it.
///
/// # Errors
///
/// The file cannot be written, or `elf` is no image of ours.
pub fn prepare(port: u16, elf: &Path, is_virt: bool, programs: &[Program]) -> Result<()> {
    let path = workspace::output_dir()?.join("postern.gdb");
    let bytes = fs::read(elf).with_context(|| format!("could not read {}", elf.display()))?;
    let linked_at = if is_virt { Some(image_start(&bytes)?) } else { None };
    fs::write(&path, script(port, elf, linked_at, programs))
        .with_context(|| format!("could not write {}", path.display()))?;
    eprintln!("[xtask] the machine waits for a debugger. In another terminal:");
    eprintln!("[xtask]   {} -x {}", debugger(), quoted(&shown(&path)));
    eprintln!(
        "[xtask] then `continue`, or `guest` to go on to the guest; docs/debugging.md says more"
    );
    threads(programs).iter().for_each(|line| eprintln!("[xtask] {line}"));
    Ok(())
}

/// The ELF file with the symbols of the guest whose payload is `kernel`: itself, or what Linux was made
/// of beside it.
fn guest_symbols(kernel: &Path) -> Option<PathBuf> {
    [kernel.to_owned(), kernel.with_file_name("vmlinux")].into_iter().find(|path| is_elf(path))
}

/// Which of gdb's threads, one for each CPU from 1 on, each of several VMs has.
fn threads(programs: &[Program]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut first = 1;
    for program in programs.iter().filter(|_| programs.len() > 1) {
        let last = first + program.vcpus.saturating_sub(1);
        let threads = match first == last {
            true => format!("thread {first}"),
            false => format!("threads {first} to {last}"),
        };
        let vm = &program.vm;
        lines.push(match lines.is_empty() {
            true => format!("VM {vm} has {threads}, and `guest` takes its symbols"),
            false => format!("VM {vm} has {threads}: `guest-{vm}` takes its symbols instead"),
        });
        first = last + 1;
    }
    lines
}

/// gdb's commands. `linked_at` adds the code that runs where it was loaded, before the MMU is on.
fn script(port: u16, elf: &Path, linked_at: Option<u64>, programs: &[Program]) -> String {
    let elf = quoted(elf);
    let (early, no_early) = linked_at.map_or_else(Default::default, |linked_at| {
        (
            // The difference wraps around: the image is linked far above where it is loaded.
            format!("add-symbol-file {elf} -o {:#x}\n", LOADED_AT.wrapping_sub(linked_at)),
            format!("remove-symbol-file -a {:#x}\n", LOADED_AT + FIRST_CODE),
        )
    });
    let symbols = |program: Option<&Program>| {
        let Some(Symbols { path, entry }) = program.and_then(|program| program.elf.as_ref()) else {
            return "echo No symbols of the guest are known: add-symbol-file FILE\\n\n".to_owned();
        };
        format!("add-symbol-file {}\nset $guest_code = {entry:#x}\n", quoted(path))
    };
    let guest = symbols(programs.first());
    // Their addresses are the same more often than not: one at a time.
    let several = |program: &Program| {
        format!(
            "define guest-{vm}\n\
             if $guest_code\nremove-symbol-file -a $guest_code\nset $guest_code = 0\nend\n\
             {}end\n\
             document guest-{vm}\nTake the symbols of VM {vm} instead of another one's.\nend\n",
            symbols(Some(program)),
            vm = program.vm
        )
    };
    let several: String = programs.iter().filter(|_| programs.len() > 1).map(several).collect();
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
         set $guest_code = 0\n\
         {several}\
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
        let text = script(4000, Path::new("p.elf"), Some(0x8000_0000_0000), &[]);
        assert!(text.contains("\nfile p.elf\nadd-symbol-file p.elf -o 0xffff800040200000\n"));
        assert!(text.ends_with("target remote 127.0.0.1:4000\n"));
        let elsewhere = script(1, Path::new("p.elf"), None, &[]);
        assert!(!elsewhere.contains("-symbol-file p.elf") && !elsewhere.contains("remove-"));
    }

    #[test]
    fn the_guests_symbols_take_the_place_of_the_early_ones_once_those_have_run() {
        let text = script(1, Path::new("my p.elf"), Some(0), &[program("g", 1)]);
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
        assert!(!text.contains("guest-"), "{text}");
    }

    fn program(vm: &str, vcpus: usize) -> Program {
        let elf = Symbols { path: format!("{vm}.elf").into(), entry: 0x4020_0000 };
        Program { vm: vm.to_owned(), vcpus, elf: Some(elf) }
    }

    #[test]
    fn of_several_vms_each_has_its_threads_and_its_symbols() {
        let both = [program("a", 2), program("b", 1)];
        let text = script(1, Path::new("p.elf"), None, &both);
        assert!(
            text.contains(
                "\ndefine guest\ntbreak hyp::cpu::begin\ncontinue\nadd-symbol-file a.elf\n"
            )
        );
        assert!(text.contains(
            "\ndefine guest-b\nif $guest_code\nremove-symbol-file -a $guest_code\nset $guest_code = 0\nend\n\
             add-symbol-file b.elf\nset $guest_code = 0x40200000\nend\n"
        ));
        assert_eq!(
            threads(&both),
            [
                "VM a has threads 1 to 2, and `guest` takes its symbols",
                "VM b has thread 3: `guest-b` takes its symbols instead",
            ]
        );
        assert_eq!(threads(&both[..1]), Vec::<String>::new());
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
