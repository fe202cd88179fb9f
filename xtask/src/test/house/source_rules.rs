//! Rules about Rust code.

use super::files::{Files, TextFile, breach};

/// Folders and files that may hold `unsafe`: the EL2 shell where it touches the machine, the EFI
/// part where it calls the firmware and where it begins and ends, the shim's file with the HVC
/// instruction, its memory that the host writes to (and the test that plays the host), its
/// interface for C, and the bare-metal part of test guests.
const UNSAFE_PLACES: &[&str] = &[
    "guest-shim/c/src/",
    "guest-shim/src/call.rs",
    "guest-shim/src/virtio.rs",
    "guest-shim/tests/virtio.rs",
    "hyp/efi/src/arch.rs",
    "hyp/efi/src/files.rs",
    "hyp/efi/src/firmware.rs",
    "hyp/efi/src/start.rs",
    "hyp/src/arch/",
    "hyp/src/drivers/mmio.rs",
    "hyp/src/mm/",
    "tests/bench/src/arch/",
    "tests/conformance/src/arch/",
    "tests/hostile/src/arch/",
    "tests/floors/src/",
    "tests/runtime/src/mmio.rs",
    "tests/runtime/src/start.rs",
];

/// How far above an unsafe block its claim may stand.
const CLAIM_REACH: usize = 8;

/// Lines that a file may have; beyond, nobody reads it.
const MOST_LINES: usize = 1000;

/// `unsafe` stands only where raw hardware is touched.
pub fn unsafe_places(files: &Files) -> Vec<String> {
    files
        .rust()
        .filter(|file| !UNSAFE_PLACES.iter().any(|place| file.path.starts_with(place)))
        .flat_map(|file| {
            let code = file.code.replace("forbid(unsafe_code)", "");
            let file = TextFile { code, ..file.clone() };
            lines_with(&file, &["unsafe", "unsafe_code"], "unsafe code")
        })
        .collect()
}

/// Each unsafe block and implementation has a `SAFETY:` within a few lines above it.
pub fn safety_claims(files: &Files) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files.rust() {
        let lines: Vec<_> = file.text.lines().collect();
        for (index, code) in file.code.lines().enumerate() {
            let opens = words_from(code, "unsafe").any(|rest| {
                let rest = rest.trim_start();
                rest.is_empty() || rest.starts_with('{') || rest.starts_with("impl")
            });
            let above = &lines[index.saturating_sub(CLAIM_REACH)..=index];
            if opens && !above.iter().any(|line| line.contains("SAFETY:")) {
                breaches.push(breach(file, index, "no SAFETY claim"));
            }
        }
    }
    breaches
}

/// Only one module imports the accessors of system registers, because their writes are safe
/// functions that can break memory safety.
pub fn register_imports(files: &Files) -> Vec<String> {
    files
        .rust()
        .filter(|file| file.path != "hyp/src/arch/sysreg.rs" && file.path.starts_with("hyp/"))
        .flat_map(|file| lines_with(file, &["aarch64_cpu"], "registers belong in arch/sysreg.rs"))
        .collect()
}

/// No `todo!` and its kin.
pub fn unfinished(files: &Files) -> Vec<String> {
    let marks = [concat!("to", "do"), concat!("unimpl", "emented")];
    let mut breaches = Vec::new();
    for file in files.rust() {
        for (index, code) in file.code.lines().enumerate() {
            if marks.iter().any(|mark| words_from(code, mark).any(|rest| rest.starts_with('!'))) {
                breaches.push(breach(file, index, "unfinished"));
            }
        }
    }
    breaches
}

/// What decides is one program everywhere: no conditional compilation by machine.
pub fn core_is_portable(files: &Files) -> Vec<String> {
    files
        .rust()
        .filter(|file| file.path.starts_with("hyp/core/src/"))
        .flat_map(|file| {
            lines_with(file, &["target_arch", "target_os", "asm"], "hyp-core knows no machine")
        })
        .collect()
}

/// The first line of every source file is its purpose; tests stand beside what they test and are
/// named after it.
pub fn module_heads(files: &Files) -> Vec<String> {
    files
        .rust()
        .filter(|file| {
            !file.path.ends_with("tests.rs")
                && !file.path.ends_with("tests/mod.rs")
                && !file.text.starts_with("//! ")
        })
        .map(|file| breach(file, 0, "does not begin with a `//!` line"))
        .collect()
}

/// Files stay readable.
pub fn lengths(files: &Files) -> Vec<String> {
    files
        .rust()
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(file, lines)| breach(file, lines - 1, "too long"))
        .collect()
}

/// Lines of `file` whose code has one of `words` as a word.
fn lines_with(file: &TextFile, words: &[&str], what: &str) -> Vec<String> {
    file.code
        .lines()
        .enumerate()
        .filter(|(_, code)| words.iter().any(|word| words_from(code, word).next().is_some()))
        .map(|(index, _)| breach(file, index, what))
        .collect()
}

/// What follows each `word` in `code`; a longer word does not count.
fn words_from<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).filter_map(move |(at, _)| {
        let rest = &code[at + word.len()..];
        let alone = !code[..at].ends_with(part_of_word) && !rest.starts_with(part_of_word);
        alone.then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_has_its_places() {
        let text = "//! x\nunsafe fn f() {}\n// unsafe\n";
        for (path, count) in [
            ("hyp/src/arch/tlb.rs", 0),
            ("hyp/src/mm/frames.rs", 0),
            ("hyp/src/drivers/mmio.rs", 0),
            ("hyp/src/drivers/gicv3.rs", 1),
            ("hyp/core/src/esr.rs", 1),
        ] {
            assert_eq!(unsafe_places(&Files::of(&[(path, text)])).len(), count, "{path}");
        }
        let opened = Files::of(&[("xtask/src/a.rs", "#![expect(unsafe_code)]")]);
        assert_eq!(unsafe_places(&opened), ["xtask/src/a.rs:1: unsafe code"]);
        let forbidden = Files::of(&[("hyp/core/src/lib.rs", "#![forbid(unsafe_code)]")]);
        assert!(unsafe_places(&forbidden).is_empty());
        let named = Files::of(&[("xtask/src/a.rs", "fn not_unsafe() { \"unsafe\" }")]);
        assert!(unsafe_places(&named).is_empty());
    }

    #[test]
    fn claims_stand_near_their_blocks() {
        for (text, count) in [
            ("unsafe { a() }", 1),
            ("// SAFETY: why\nunsafe { a() }", 0),
            ("// SAFETY: why\n\n\n\n\n\n\n\n\nunsafe { a() }", 1),
            ("let x = unsafe\n{ a() };", 1),
            ("unsafe impl Send for A {}", 1),
            ("unsafe fn a();", 0),
            ("unsafe extern \"C\" {}", 0),
        ] {
            let found = safety_claims(&Files::of(&[("a.rs", text)]));
            assert_eq!(found.len(), count, "{text}");
        }
    }

    #[test]
    fn unfinished_code_is_found() {
        let text = format!("fn a() {{ {}!() }}\nfn todo() {{}} // {0}!()", concat!("to", "do"));
        assert_eq!(unfinished(&Files::of(&[("a.rs", &text)])), ["a.rs:1: unfinished"]);
    }

    #[test]
    fn the_other_rules_see_what_they_are_for() {
        let files = Files::of(&[
            ("hyp/core/src/a.rs", "//! A.\n#[cfg(target_arch = \"aarch64\")]\nfn a() {}"),
            ("hyp/src/boot.rs", "use aarch64_cpu::registers::*;"),
            ("hyp/src/arch/sysreg.rs", "//! S.\nuse aarch64_cpu::registers::*;"),
        ]);
        assert_eq!(core_is_portable(&files).len(), 1);
        assert_eq!(
            register_imports(&files),
            ["hyp/src/boot.rs:1: registers belong in arch/sysreg.rs"]
        );
        assert_eq!(module_heads(&files).len(), 1);
        let long = "\n".repeat(1001);
        assert_eq!(lengths(&Files::of(&[("a.rs", &long), ("b.rs", &long[1..])])).len(), 1);
    }
}
