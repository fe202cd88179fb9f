//! Bad input is refused before anything starts, by a message that names cause and remedy, with
//! exit status 2.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with one payload in it.
struct Input(TempDir);

impl Input {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }
}

/// Runs `xtask`; QEMU is a program that fails, so that a run that starts it does not pass here.
fn xtask(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(words)
        .args(["--qemu", "false"])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// `run` with `words` is refused; the answer is what it says.
fn refused(words: &[&str]) -> String {
    let words: Vec<_> = ["run"].iter().chain(words).copied().collect();
    let output = xtask(&words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(output.stdout.is_empty(), "{words:?} printed to standard output");
    assert!(!said.contains("-machine virt"), "{words:?} reached QEMU: {said}");
    said
}

fn kernel_refused(path: &Path, more: &[&str]) -> String {
    let mut words = vec!["--kernel", path.to_str().unwrap()];
    words.extend(more);
    refused(&words)
}

/// An arm64 `Image` header (Linux, Documentation/arch/arm64/booting.rst) for `image_size` bytes of
/// memory, and `length` bytes of file.
fn image(image_size: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
    bytes[24..32].copy_from_slice(&0xa_u64.to_le_bytes());
    bytes[56..60].copy_from_slice(b"ARM\x64");
    bytes
}

/// The head of an ELF-64 program for `machine`.
fn elf(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..18].copy_from_slice(&2_u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

#[test]
fn a_missing_file_is_named() {
    for option in ["--kernel", "--vm", "--bundle"] {
        let said = refused(&[option, "no-such-file"]);
        assert!(said.contains("no-such-file"), "{option}: {said}");
    }
    let input = Input::new();
    let kernel = input.file("Image", &image(0x1000, 0x1000));
    for option in ["--initrd", "--dtb"] {
        let said = kernel_refused(&kernel, &[option, "no-such-file"]);
        assert!(said.contains("no-such-file"), "{option}: {said}");
    }
}

#[test]
fn a_foreign_program_is_named() {
    let input = Input::new();
    // x86-64 and 32-bit Arm.
    for machine in [62, 40] {
        let said = kernel_refused(&input.file("prog", &elf(machine)), &[]);
        assert!(said.contains("AArch64"), "{machine}: {said}");
    }
    // The x86 boot protocol's header: a bzImage.
    let mut bz_image = vec![0; 0x1000];
    bz_image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bz_image[0x202..0x206].copy_from_slice(b"HdrS");
    let said = kernel_refused(&input.file("bzImage", &bz_image), &[]);
    assert!(said.contains("x86"), "{said}");
}

#[test]
fn a_truncated_payload_is_noticed() {
    let input = Input::new();
    let said = kernel_refused(&input.file("empty", b""), &[]);
    assert!(said.contains("empty"), "{said}");
    let said = kernel_refused(&input.file("elf", &elf(183)[..40]), &[]);
    assert!(said.contains("cut short") || said.contains("truncated"), "{said}");
    let said = kernel_refused(&input.file("gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01"), &[]);
    assert!(said.contains("gz"), "{said}");
}

#[test]
fn memory_that_does_not_suffice_or_overlaps_is_noticed() {
    let input = Input::new();
    let large = input.file("Image", &image(80 << 20, 40 << 20));
    let said = kernel_refused(&large, &["--mem", "64M"]);
    assert!(said.contains("--mem") || said.contains("mem"), "{said}");
    let small = input.file("raw", &[0; 0x3000]);
    let said = kernel_refused(&small, &["--load-addr", "0x40200000", "--dtb-addr", "0x40201000"]);
    assert!(said.contains("overlap"), "{said}");
    let said = kernel_refused(&small, &["--ram", "64M"]);
    assert!(said.contains("--ram"), "{said}");
    let said = kernel_refused(&small, &["--cpus", "4", "--smp", "2"]);
    assert!(said.contains("--smp"), "{said}");
    let said = kernel_refused(&small, &["--load-addr", "0x1000"]);
    assert!(said.contains("memory"), "{said}");
}

#[test]
fn impossible_options_are_refused() {
    let input = Input::new();
    let raw = input.file("raw", &[0; 64]);
    for (words, reason) in [
        (&["--cpus", "9"][..], "8"),
        (&["--mem", "1M"], "2 MiB"),
        (&["--mem", "lots"], "size"),
        (&["--dialect", "klingon"], "list-2021"),
        (&["--gic", "5"], "2..=3"),
        (&["--protected", "--normal"], "cannot be used with"),
        (&["--load-addr", "here"], "address"),
    ] {
        let said = kernel_refused(&raw, words);
        assert!(said.contains(reason), "{words:?}: {said}");
    }
    assert!(refused(&["solaris"]).contains("possible values"));
    assert!(refused(&["linux", "--kernel", "x"]).contains("cannot be used with"));
}

/// What `image` refuses, its sibling refuses, too.
#[test]
fn words_that_u_boot_would_not_pass_on_are_refused() {
    for words in ["a'b", "a\nb", "a$b"] {
        for way in ["u-boot", "u-boot-script", "u-boot-fit"] {
            let said = refused(&["--via", way, "--boot-args", words]);
            assert!(said.contains("--boot-args"), "{said}");
        }
    }
}

#[test]
fn a_file_for_another_format_is_refused() {
    for (option, file) in [
        ("--trace", "t.pdf"),
        ("--trace", "t.svg"),
        ("--trace", "-"),
        ("--guard-report", "r.html"),
        ("--guard-report", "r.CSV"),
        ("--guard-report", "r.jsonl"),
        ("--guard-report", "-"),
    ] {
        let said = refused(&[option, file]);
        assert!(said.contains(option) && said.contains(file), "{said}");
        assert!(!Path::new(file).exists(), "{file}");
    }
    let input = Input::new();
    let both = input.file("both.json", b"");
    let both = both.to_str().unwrap();
    assert!(refused(&["--trace", both, "--guard-report", both]).contains("twice"));
    let raw = input.file("raw", &[0; 64]);
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bundle", "-o", "-", "--kernel", raw.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), Path::new("-").exists()), (Some(2), false));
}

/// Nobody can make a folder in there, as in a checkout on a read-only file system.
#[test]
fn where_nothing_can_be_written_the_remedy_is_named() {
    let input = Input::new();
    let raw = input.file("raw", &[0; 64]);
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bundle", "--kernel", raw.to_str().unwrap()])
        .env("CARGO_TARGET_DIR", "/proc/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("/proc/nowhere") && said.contains("set CARGO_TARGET_DIR"), "{said}");
}

/// And what is a bundle is looked at before anything is built.
#[test]
fn a_bundle_that_is_none_is_named() {
    let input = Input::new();
    let file = input.file("some.bundle", &[0; 4096]);
    let said = refused(&["--bundle", file.to_str().unwrap()]);
    assert!(said.contains("some.bundle") && said.contains("bundle"), "{said}");
}

#[test]
fn a_wrong_description_is_named() {
    let input = Input::new();
    for (text, reason) in [
        ("[[vm]]\nkernel = 'k'\ncolour = 'red'", "colour"),
        ("[[vm]", "vm.toml"),
        ("[[vm]]\nkernel = 'gone'", "gone"),
    ] {
        let file = input.file("vm.toml", text.as_bytes());
        let said = refused(&["--vm", file.to_str().unwrap()]);
        assert!(said.contains(reason), "{text}: {said}");
    }
}

#[test]
fn an_unknown_scenario_is_no_success() {
    let output = xtask(&["qemu-test", "no-such-scenario"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--list"));
}
