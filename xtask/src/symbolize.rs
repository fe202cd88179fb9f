//! Names for the raw addresses that EL2 prints when it dies.
//!
//! The image carries no symbols and EL2 no code to read them: it prints numbers, and here they are
//! looked up in the ELF file of the same build.

use std::path::Path;

use anyhow::{Result, anyhow};
use regex::Regex;

/// Opens the line of return addresses.
const CHAIN: &str = "backtrace:";

/// Looks addresses up in one ELF file.
pub struct Symbolizer {
    symbols: addr2line::Loader,
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
        Ok(Self { symbols, address: Regex::new("0x[0-9a-fA-F_]{4,}")? })
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
        let call_chain = line.contains(CHAIN);
        let mut lines = Vec::new();
        for (index, found) in self.address.find_iter(line).enumerate() {
            let digits = found.as_str()[2..].replace('_', "");
            let Ok(address) = u64::from_str_radix(&digits, 16) else { continue };
            // The highest address is code nowhere, and addr2line adds one to it.
            if address == u64::MAX {
                continue;
            }
            // In a chain all but the first are return addresses: the call is one instruction before.
            let call = if call_chain && index > 0 { address.wrapping_sub(4) } else { address };
            lines.extend(self.frames(call).into_iter().map(|name| format!("{address:#x} {name}")));
        }
        lines
    }

    /// The functions at `address`, innermost first, each with its place if that is known: `name at
    /// file:line`.
    pub fn frames(&self, address: u64) -> Vec<String> {
        let mut names = Vec::new();
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
    fn a_return_address_names_the_call_before_it() {
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
        let line = format!("backtrace: {start:#x} {:#x}", start + 4);
        let names = Symbolizer::open(&own).unwrap().explain(&line);
        let of = |prefix: String| {
            names.iter().filter(|name| name.starts_with(&prefix)).cloned().collect::<Vec<_>>()
        };
        for address in [start, start + 4] {
            let found = of(format!("{address:#x} "));
            assert!(found.iter().any(|name| name.contains("landmark")), "{names:?}");
            assert!(found.iter().any(|name| name.contains("symbolize.rs:")), "{names:?}");
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
