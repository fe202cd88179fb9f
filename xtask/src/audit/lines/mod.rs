//! How much source there is of what stays in the image while guests run: lines of code of each file that
//! has an instruction there, its own or one that was inlined elsewhere.

mod count;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSymbol as _};

use super::places::Places;
use super::program::Program;
use crate::workspace;

/// Lines of code that the files may have: what they had when they were first counted (15,910), drivers of four more
/// UARTs and the log in memory (313), several VMs (291), and turns at the terminal (36), so that what a reviewer must
/// read does not grow unnoticed. Raise it with a feature that needs it, lower it with what became shorter.
const CEILING: usize = 16_550;
/// What the next simplification should reach: the first count less 8 %.
const AIM: usize = 14_637;
const _: () = assert!(AIM <= CEILING);

/// Packages and the folder of each's sources. The EFI program is another image.
const PACKAGES: [(&str, &str); 3] =
    [("hyp", "hyp/src/"), ("hyp-core", "hyp/core/src/"), ("hyp-abi", "hyp/abi/src/")];
/// The model that tests run beside a VM, and what stands for it without them.
const GHOST: &str = "hyp/src/watch/ghost";
/// Where assembly is.
const ASSEMBLY: &str = "hyp/src/arch";

/// Lines of code by file, from the root of the checkout.
type Count = BTreeMap<String, usize>;

/// Counts the files of which code stays in `elf_file`: what to say of them, and whether they have too many
/// lines.
///
/// # Errors
///
/// A source or the image cannot be read.
pub fn check(
    elf_file: &[u8],
    program: &Program,
    places: &Places,
) -> Result<(Vec<String>, Option<String>)> {
    let boot = boot_code(elf_file)?;
    let mut files = BTreeSet::new();
    let mut labels = BTreeSet::new();
    for piece in program.pieces().iter().filter(|piece| !boot.contains(&piece.start)) {
        labels.extend(piece.names.iter().map(String::as_str));
        for address in (piece.start..piece.end).step_by(4) {
            places.each_file(address, |file| {
                if !files.contains(file) {
                    files.insert(file.to_owned());
                }
            });
        }
    }
    let mut count = Count::new();
    for path in files {
        let is_own = PACKAGES.iter().any(|(_, folder)| path.starts_with(folder));
        if is_own && !path.starts_with(GHOST) {
            let lines = count::rust(&read(&path)?).with_context(|| path.clone())?;
            count.insert(path, lines);
        }
    }
    for path in assembly()? {
        let text = read(&path)?;
        // Assembly has no debug information, but labels.
        if defines_any(&text, &labels) {
            count.insert(path, count::assembly(&text));
        }
    }
    Ok((report(&count), complaint(count.values().sum())))
}

/// The addresses of what is taken out of the map before guests run (`linker/hyp.ld`).
fn boot_code(elf_file: &[u8]) -> Result<Range<u64>> {
    let file = object::File::parse(elf_file).context("not an ELF file")?;
    let [start, end] = ["boot_code", "boot_code_end"].map(|name| {
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
        let symbol = symbol.with_context(|| format!("no symbol {name}: linker/hyp.ld has it"));
        symbol.map(|symbol| symbol.address())
    });
    Ok(start?..end?)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join(path))
        .with_context(|| format!("could not read {path}"))
}

/// The assembly of the hypervisor.
fn assembly() -> Result<Vec<String>> {
    let folder = workspace::root().join(ASSEMBLY);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not read {ASSEMBLY}"))? {
        let name = entry?.file_name();
        if Path::new(&name).extension().is_some_and(|extension| extension == "s") {
            paths.push(format!("{ASSEMBLY}/{}", name.to_string_lossy()));
        }
    }
    Ok(paths)
}

/// Whether assembly defines one of these labels.
fn defines_any(text: &str, labels: &BTreeSet<&str>) -> bool {
    text.lines().filter_map(|line| line.split_once(':')).any(|(label, _)| labels.contains(label))
}

/// Lines of each package and of each folder in it, and the sum.
fn report(count: &Count) -> Vec<String> {
    let sum: usize = count.values().sum();
    let mut lines =
        vec![format!("code lines: {sum} in {} files that stay; at most {CEILING}", count.len())];
    if sum > AIM {
        lines.push(format!("warning: code lines: {} above the aim of {AIM}", sum - AIM));
    }
    for (package, folder) in PACKAGES {
        let mut folders = BTreeMap::<&str, usize>::new();
        for (path, lines) in count {
            let Some(below) = path.strip_prefix(folder) else { continue };
            // A folder's own module may be beside it.
            let name = below.split_once('/').map_or(below, |(name, _)| name);
            *folders.entry(name.strip_suffix(".rs").unwrap_or(name)).or_default() += lines;
        }
        lines.push(format!("     {:6}  {package}", folders.values().sum::<usize>()));
        lines.extend(folders.iter().map(|(name, lines)| format!("     {lines:6}    {name}")));
    }
    lines
}

/// What is wrong with so many lines.
fn complaint(sum: usize) -> Option<String> {
    (sum > CEILING).then(|| {
        format!(
            "code lines: {sum} in files that stay while guests run, and there may be {CEILING}: make \
             them fewer, or raise CEILING in xtask/src/audit/lines with the reason"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_summed_up_by_package_and_folder() {
        let files = [
            ("hyp/src/arch/tlb.rs", 10),
            ("hyp/src/arch/vectors.s", 5),
            ("hyp/core/src/vm/life.rs", 3),
            ("hyp/core/src/pl011.rs", 2),
        ];
        let count = files.map(|(path, lines)| (path.to_owned(), lines)).into();
        let lines = report(&count);
        assert!(lines[0].starts_with("code lines: 20 in 4 files"), "{}", lines[0]);
        let shown: Vec<Vec<_>> =
            lines[1..].iter().map(|line| line.split_whitespace().collect()).collect();
        for pair in [
            ["15", "hyp"],
            ["15", "arch"],
            ["5", "hyp-core"],
            ["3", "vm"],
            ["2", "pl011"],
            ["0", "hyp-abi"],
        ] {
            assert!(shown.contains(&pair.to_vec()), "{pair:?}");
        }
    }

    #[test]
    fn one_line_above_the_ceiling_is_too_many() {
        assert_eq!(complaint(CEILING), None);
        assert!(complaint(CEILING + 1).unwrap().contains(&CEILING.to_string()));
        assert!(report(&[("hyp/src/a.rs".to_owned(), AIM + 1)].into())[1].contains("1 above"));
        assert!(!report(&[("hyp/src/a.rs".to_owned(), AIM)].into())[1].contains("above"));
    }

    #[test]
    fn assembly_stays_with_a_label() {
        let labels = BTreeSet::from(["restore"]);
        assert!(defines_any("// x\nrestore:\n    ret\n", &labels));
        assert!(!defines_any("    b restore\nother: // restore\n1:  ret\n", &labels));
    }
}
