//! Names for the raw addresses that EL2 prints when it dies.
//!
//! The image carries no symbols and EL2 no code to read them: it prints numbers, and here they are
//! looked up in the ELF file of the same build, which also tells real callers from what is left on the stack.

mod report;
pub mod unwind;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use object::elf::PF_X;
use object::{Object as _, ObjectSegment as _, SegmentFlags};
use regex::Regex;

use report::Report;
use unwind::{Chain, Unwinder};

/// Opens the line of return addresses.
const CHAIN: &str = "backtrace:";

/// Comes before what is not certain.
pub const GUESSES: &str =
    "by whom is not certain; of what is further up, some is left over from earlier calls:";

/// Looks addresses up in one ELF file.
pub struct Symbolizer {
    elf: PathBuf,
    symbols: addr2line::Loader,
    /// Where the file has code in memory. Functions that the linker dropped are still in the
    /// debug information, at address 0.
    segments: Vec<Range<u64>>,
    address: Regex,
}

impl Symbolizer {
    /// Reads the debug information of `elf`.
    ///
    /// # Errors
    ///
    /// The file is missing or no ELF file.
    pub fn open(elf: &Path) -> Result<Self> {
        let symbols = addr2line::Loader::new(elf)
            .map_err(|error| anyhow!("no symbols from {}: {error}", elf.display()))?;
        let bytes =
            fs::read(elf).map_err(|error| anyhow!("no symbols from {}: {error}", elf.display()))?;
        let file = object::File::parse(&*bytes)?;
        let code = file.segments().filter(|segment| match segment.flags() {
            SegmentFlags::Elf { p_flags, .. } => p_flags.contains(PF_X),
            _ => true,
        });
        let segments = code.map(|code| code.address()..code.address().saturating_add(code.size()));
        Ok(Self {
            elf: elf.to_owned(),
            symbols,
            segments: segments.collect(),
            address: Regex::new("0x[0-9a-fA-F_]{4,}")?,
        })
    }

    /// Whether `line` is part of a crash report.
    pub fn concerns(line: &str) -> bool {
        line.contains(CHAIN) || line.starts_with("[postern] ERROR")
    }

    /// One line for each code address in `line`, inlined functions included; nothing for lines that
    /// are no crash report.
    pub fn explain(&self, line: &str) -> Vec<String> {
        if !Self::concerns(line) {
            return Vec::new();
        }
        if let Some(report) = Report::read(line) {
            return self.calls(&report);
        }
        let addresses = self.address.find_iter(line).filter_map(|found| {
            u64::from_str_radix(&found.as_str()[2..].replace('_', ""), 16).ok()
        });
        // The highest address is code nowhere, and addr2line adds one to it.
        let addresses = addresses.filter(|address| *address != u64::MAX);
        addresses.flat_map(|address| self.names(address, address)).collect()
    }

    /// Who called whom in a crash.
    fn calls(&self, report: &Report) -> Vec<String> {
        let mut lines = self.names(report.pc, report.pc);
        // The call is one instruction before where it returns to.
        let caller = |address: &u64| self.names(*address, address.wrapping_sub(4));
        let unwinder = fs::read(&self.elf).map_err(Into::into).and_then(|elf| Unwinder::of(&elf));
        match unwinder.map(|unwinder| unwinder.chain(report)) {
            Ok(Chain { callers, guesses }) => {
                lines.extend(callers.iter().flat_map(caller));
                if !guesses.is_empty() {
                    lines.push(GUESSES.to_owned());
                    lines.extend(guesses.iter().flat_map(caller));
                }
            }
            Err(error) => lines.push(format!("no calls from {}: {error:#}", self.elf.display())),
        }
        lines
    }

    /// The functions at `place`, as those of `address`.
    fn names(&self, address: u64, place: u64) -> Vec<String> {
        self.frames(place).into_iter().map(|name| format!("{address:#x} {name}")).collect()
    }

    /// The functions at `address`, innermost first, each with its place if that is known: `name at
    /// file:line`. None where the file has no code.
    pub fn frames(&self, address: u64) -> Vec<String> {
        let mut names = Vec::new();
        if !self.segments.iter().any(|segment| segment.contains(&address)) {
            return names;
        }
        if let Ok(mut frames) = self.symbols.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let function = frame
                    .function
                    .as_ref()
                    .and_then(|name| name.demangle().ok().map(std::borrow::Cow::into_owned));
                let place = frame.location.and_then(|place| {
                    let file = short_path(place.file?);
                    Some(format!(" at {file}:{}", place.line.unwrap_or(0)))
                });
                if function.is_none() && place.is_none() {
                    continue;
                }
                names.push(format!(
                    "{}{}",
                    function.unwrap_or_else(|| "?".to_owned()),
                    place.unwrap_or_default()
                ));
            }
        }
        if names.is_empty() {
            // Assembly has symbols but no functions in its debug information.
            names.extend(self.symbols.find_symbol(address).map(str::to_owned));
        }
        names
    }
}

/// A source path without the part that belongs to one machine: from the checkout, or from the
/// crate's own folder.
pub fn short_path(path: &str) -> &str {
    let below_root = crate::workspace::root().to_str().and_then(|root| path.strip_prefix(root));
    if let Some(below) = below_root {
        return below.trim_start_matches('/');
    }
    ["/registry/src/", "/rustc/"]
        .iter()
        .find_map(|mark| path.split_once(mark))
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or(path, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of this very program, which carries its own symbols.
    #[inline(never)]
    fn landmark() -> u32 {
        std::hint::black_box(line!())
    }

    #[test]
    fn only_crash_reports_are_looked_up() {
        let own = Symbolizer::open(&std::env::current_exe().unwrap()).unwrap();
        assert!(own.explain("[postern] VM 0 starts at 0x40200000").is_empty());
        assert!(own.explain("0x1234 5678").is_empty());
        assert!(own.explain("backtrace: 0x10 nonsense 0xffff_ffff_ffff_ffff").is_empty());
    }

    #[test]
    fn the_place_of_a_crash_is_named() {
        let own = std::env::current_exe().unwrap();
        let file = std::fs::read(&own).unwrap();
        let object = object::File::parse(&*file).unwrap();
        let symbol = object::Object::symbols(&object)
            .find(|symbol| {
                object::ObjectSymbol::name(symbol).is_ok_and(|name| name.contains("landmark"))
            })
            .expect("the test program has symbols");
        let start = object::ObjectSymbol::address(&symbol);
        assert!(landmark() > 0, "it is part of the program");
        let own = Symbolizer::open(&own).unwrap();
        for line in [
            format!("[postern] ERROR: ELR {start:#x} SPSR 0x3c9"),
            format!("[postern] ERROR: backtrace: {start:#x} 0x0, fp 0x0 sp 0x0, stack:"),
        ] {
            let names = own.explain(&line);
            let prefix = format!("{start:#x} ");
            let found: Vec<_> = names.iter().filter(|name| name.starts_with(&prefix)).collect();
            assert!(found.iter().any(|name| name.contains("landmark")), "{names:?}");
            assert!(found.iter().any(|name| name.contains("symbolize.rs:")), "{names:?}");
        }
    }

    /// The debug information of this program, too, has functions at 0 that were dropped.
    #[test]
    fn an_address_without_code_has_no_name() {
        let own = Symbolizer::open(&std::env::current_exe().unwrap()).unwrap();
        for address in (0..0x100).step_by(4) {
            assert_eq!(own.frames(address), Vec::<String>::new(), "{address:#x}");
        }
    }

    #[test]
    fn paths_lose_the_part_of_one_machine() {
        let own = crate::workspace::root().join("hyp/src/main.rs");
        assert_eq!(short_path(own.to_str().unwrap()), "hyp/src/main.rs");
        assert_eq!(
            short_path("/x/registry/src/index-1/spin-0.12.0/src/lib.rs"),
            "spin-0.12.0/src/lib.rs"
        );
        assert_eq!(
            short_path("/rustc/0abc/library/core/src/panicking.rs"),
            "library/core/src/panicking.rs"
        );
        assert_eq!(short_path("src/a.rs"), "src/a.rs");
    }
}
