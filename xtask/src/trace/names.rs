//! Names for a guest's code addresses, from an ELF file or a kernel's `System.map`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use hyp_core::console::Plain;
use object::{Object, ObjectSymbol};

use crate::symbolize::Symbolizer;

/// The symbol at which Linux' exception vectors begin: VBAR_EL1 of a running kernel.
const VECTORS: &str = "vectors";
/// First and last of Linux' own symbols.
const BOUNDS: [&str; 2] = ["_text", "_end"];
/// A kernel moves by multiples of this (Linux, `arch/arm64/kernel/pi/kaslr_early.c`; the smallest
/// granule of its map).
const STEP: u64 = 0x1_0000;

/// Symbols of one guest.
pub struct Names {
    source: Source,
    kernel: Option<Kernel>,
}

enum Source {
    Elf(Box<Symbolizer>),
    /// Sorted by address.
    Map(Vec<(u64, String)>),
}

/// A Linux kernel as it was linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kernel {
    vectors: u64,
    start: u64,
    end: u64,
}

impl Names {
    /// Reads the symbols in `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is neither an ELF file with symbols nor a `System.map`.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)
            .with_context(|| format!("cannot read the symbols {}", path.display()))?;
        if bytes.starts_with(b"\x7fELF") {
            let file = object::File::parse(&*bytes)
                .with_context(|| format!("{} is a damaged ELF file", path.display()))?;
            let of = |name: &str| {
                file.symbols().find(|symbol| symbol.name() == Ok(name)).map(|s| s.address())
            };
            if file.symbols().next().is_none() {
                bail!(
                    "{} has no symbols; take the file from before it was stripped",
                    path.display()
                );
            }
            let kernel = kernel(of);
            return Ok(Self { source: Source::Elf(Box::new(Symbolizer::open(path)?)), kernel });
        }
        let neither = || {
            format!(
                "{} is neither an ELF file nor a System.map, whose lines are like \
                 `ffff800080010000 T _stext`",
                path.display()
            )
        };
        let text = str::from_utf8(&bytes).with_context(neither)?;
        let map = parse_map(text).with_context(neither)?;
        let of = |name: &str| map.iter().find(|(_, symbol)| symbol == name).map(|(at, _)| *at);
        Ok(Self { kernel: kernel(of), source: Source::Map(map) })
    }

    /// The functions of the code at `address`, innermost first, those behind the first being the ones
    /// that it is inlined into. `vectors` is the guest's VBAR_EL1. Empty where no symbol fits.
    pub fn frames(&self, address: u64, vectors: Option<u64>) -> Vec<String> {
        let plain = |name: &String| Plain(name.as_bytes()).to_string();
        self.find(address, vectors).iter().flatten().map(plain).collect()
    }

    fn find(&self, address: u64, vectors: Option<u64>) -> Option<Vec<String>> {
        let linked = match self.kernel {
            None => address,
            Some(kernel) => {
                let linked = address.wrapping_sub(kernel.slide(vectors?)?);
                if !(kernel.start..kernel.end).contains(&linked) {
                    return None;
                }
                linked
            }
        };
        match &self.source {
            Source::Elf(symbols) => Some(symbols.frames(linked)),
            Source::Map(map) => {
                let behind = map.partition_point(|(at, _)| *at <= linked);
                let (at, name) = map.get(behind.checked_sub(1)?)?;
                // Where the last one ends nobody says.
                if behind == map.len() && *at != linked {
                    return None;
                }
                Some(vec![format!("{name}+{:#x}", linked - at)])
            }
        }
    }
}

impl Kernel {
    /// How far the kernel runs from where it was linked. `None` while its vectors are not set.
    fn slide(&self, vectors: u64) -> Option<u64> {
        let slide = vectors.wrapping_sub(self.vectors);
        (slide.is_multiple_of(STEP) && vectors >> 63 == 1).then_some(slide)
    }
}

fn kernel(of: impl Fn(&str) -> Option<u64>) -> Option<Kernel> {
    let [start, end] = BOUNDS.map(&of);
    Some(Kernel { vectors: of(VECTORS)?, start: start?, end: end? })
}

/// The code and the marks in a `System.map`, by address.
fn parse_map(text: &str) -> Result<Vec<(u64, String)>> {
    let mut map = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
        else {
            bail!("a line is `{line}`");
        };
        let address = u64::from_str_radix(address, 16)?;
        // `$x` and `$d` mark code and data for a disassembler.
        let is_mark = name.starts_with('$');
        if matches!(kind, "t" | "T" | "w" | "W" | "B" | "D") && !is_mark {
            map.push((address, name.to_owned()));
        }
    }
    if map.is_empty() {
        bail!("it has no symbols");
    }
    // Of several symbols at one address the first stays the last, which is the one found.
    map.reverse();
    map.sort_by_key(|(address, _)| *address);
    Ok(map)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const MAP: &str = "ffff800080000000 T _text\n\
                       ffff800080010000 T _stext\n\
                       ffff800080010800 T vectors\n\
                       ffff800080011000 t $x\n\
                       ffff800080011000 t mmio_guard_ioremap_hook\n\
                       ffff800080012000 T ioremap_prot\n\
                       ffff800080012000 T ioremap_alias\n\
                       ffff800080090000 r some_table\n\
                       ffff800081000000 B _end\n";

    fn names(text: &str) -> Result<Names> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Names::open(file.path())
    }

    fn one(names: &Names, address: u64, vectors: Option<u64>) -> Option<String> {
        names.frames(address, vectors).into_iter().next()
    }

    #[test]
    fn a_kernel_is_found_wherever_it_moved_itself() {
        let names = names(MAP).unwrap();
        for slide in [0, 0x1234_0000, 0x0000_5a5a_0000_0000] {
            let vectors = Some(0xffff_8000_8001_0800_u64.wrapping_add(slide));
            let at = |address: u64| one(&names, address.wrapping_add(slide), vectors);
            assert_eq!(at(0xffff_8000_8001_1010), Some("mmio_guard_ioremap_hook+0x10".to_owned()));
            assert_eq!(at(0xffff_8000_8001_2000), Some("ioremap_prot+0x0".to_owned()));
            assert_eq!(at(0xffff_8000_8100_0000), None);
            assert_eq!(at(0x1000), None);
        }
    }

    /// Early code and foreign vectors tell nothing.
    #[test]
    fn without_its_vectors_a_kernel_may_be_anywhere() {
        let names = names(MAP).unwrap();
        let inside = 0xffff_8000_8001_1010;
        for vectors in [None, Some(0), Some(0xffff_8000_8001_1800), Some(0x4020_0800)] {
            assert_eq!(one(&names, inside, vectors), None, "{vectors:?}");
        }
    }

    #[test]
    fn behind_the_last_symbol_nothing_has_a_name() {
        let names = names("0000000040200000 T _start\n0000000040200100 T last\n").unwrap();
        assert_eq!(one(&names, 0x4020_0010, None), Some("_start+0x10".to_owned()));
        assert_eq!(one(&names, 0x4020_0100, None), Some("last+0x0".to_owned()));
        for address in [0x401f_fffc, 0x4020_0104, 0x4_0000_0000] {
            assert_eq!(one(&names, address, None), None, "{address:#x}");
        }
    }

    #[test]
    fn an_elf_file_is_taken_as_it_is_linked() {
        let own = std::env::current_exe().unwrap();
        let bytes = fs::read(&own).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let symbol = file
            .symbols()
            .find(|symbol| symbol.name().is_ok_and(|name| name.contains("an_elf_file_is_taken")))
            .unwrap();
        let name = one(&Names::open(&own).unwrap(), symbol.address(), None).unwrap();
        assert!(name.contains("names::tests::an_elf_file_is_taken"), "{name}");
    }

    #[test]
    fn what_holds_no_symbols_is_refused_with_a_reason() {
        for (text, reason) in [
            ("hello\n", "System.map"),
            ("zz T name\n", "System.map"),
            ("ffff000000000000 r table\n", "no symbols"),
            ("", "no symbols"),
            ("\x7fELF", "damaged"),
        ] {
            let error = names(text).err().unwrap();
            assert!(format!("{error:#}").contains(reason), "{text:?}: {error:#}");
        }
        assert!(Names::open(Path::new("/nowhere")).is_err());
    }
}
