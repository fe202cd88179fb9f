//! `cargo xtask bench --trace ROW`: every instruction of one operation.
//!
//! QEMU writes one line for each instruction that it executes and, once, what each address holds.
//! The guest brackets each sample with two functions that do nothing else; what lies between the
//! last two of them, at addresses of EL2, is the path.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use object::{Object as _, ObjectSymbol as _, SymbolKind};

use super::rows;
use super::subject::{Laboratory, Subject, Variant};

/// Samples of a traced run: the last is shown, when everything is in its place.
const SAMPLES: u32 = 8;
/// Guests run below this address, Postern's EL2 above.
const EL2: u64 = 1 << 40;
/// Where QEMU puts an `Image` on the machine `virt`.
const LOADED_AT: u64 = 0x4020_0000;

/// The listing of the row `name`.
///
/// # Errors
///
/// There is no such row, or the run fails.
pub fn listing(laboratory: &Laboratory, name: &str, normal: bool) -> Result<String> {
    let Some(row) = rows::all().find(|row| row.name == name) else {
        let names: Vec<_> = rows::all().map(|row| row.name).collect();
        bail!("no row is called `{name}`; there are {}", names.join(", "));
    };
    ensure!(
        row.name != rows::BOOT_LARGE && row.unit == rows::Unit::Instructions,
        "`{name}` has no instructions to show"
    );
    let cpus = if rows::TWO_CPUS.iter().any(|row| row.name == name) { 2 } else { 1 };
    let subject = if normal { Subject::Normal } else { Subject::Protected };
    let log = laboratory.file(&format!("{name}.trace"));
    let one_by_one: &[&str] = if laboratory.qemu.version < (8, 1) {
        &["-singlestep"]
    } else {
        &["-accel", "tcg,one-insn-per-tb=on"]
    };
    let mut extra: Vec<_> = one_by_one.iter().map(Into::into).collect();
    extra.extend(["-d", "exec,in_asm,nochain", "-D"].map(Into::into));
    extra.push(log.clone().into());
    let words = format!("only={name} samples={SAMPLES}");
    laboratory.run(subject, Variant::cpus(cpus), &words, &extra)?;

    let guest = Symbols::read(&laboratory.guest)?;
    let hypervisor = Symbols::read(laboratory.elf(subject))?;
    let trace = Trace::read(&log)?;
    fs::remove_file(&log).ok();
    if name == rows::BOOT {
        // The last: before the MMU is on, EL2 runs at the address at which the guest will be.
        let entry = guest.address("first_cpu")?;
        let began = trace.executed.iter().rposition(|address| *address == entry);
        let before = began.and_then(|at| trace.executed.get(..at)).unwrap_or(&[]);
        return Ok(by_function(before, &hypervisor));
    }
    let sample =
        last_sample(&trace.executed, guest.address("trace_begin")?, guest.address("trace_end")?)
            .context(
                "the trace holds no sample; this QEMU may not know -singlestep: use version 7.2",
            )?;
    Ok(show(sample, &trace.texts, &hypervisor))
}

/// What lies between the last `begin` and the `end` that follows it.
fn last_sample(executed: &[u64], begin: u64, end: u64) -> Option<&[u64]> {
    let last = executed.iter().rposition(|address| *address == end)?;
    let first = executed[..last].iter().rposition(|address| *address == begin)?;
    executed.get(first + 1..last)
}

/// Runs of instructions at EL2 in `sample`, each once.
fn visits(sample: &[u64]) -> Vec<&[u64]> {
    let mut visits: Vec<&[u64]> = Vec::new();
    for visit in sample.chunk_by(|a, b| (*a >= EL2) == (*b >= EL2)) {
        if visit.first().is_some_and(|first| *first >= EL2) && !visits.contains(&visit) {
            visits.push(visit);
        }
    }
    visits
}

fn show(sample: &[u64], texts: &HashMap<u64, String>, symbols: &Symbols) -> String {
    let mut text = String::new();
    for visit in visits(sample) {
        let _ = writeln!(text, "{} instructions at EL2\n", visit.len());
        let mut inside = "";
        for address in visit {
            let function = symbols.function(*address);
            if function != inside {
                let _ = writeln!(text, "{function}:");
                inside = function;
            }
            let instruction = texts.get(address).map_or("?", String::as_str);
            let _ = writeln!(text, "  {:6x}  {instruction}", address & 0xff_ffff);
        }
        let _ = writeln!(text, "\n{}", by_function(visit, symbols));
    }
    text
}

/// How many instructions each function ran, the most first.
fn by_function(executed: &[u64], symbols: &Symbols) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for address in executed {
        *counts.entry(symbols.function(*address)).or_default() += 1;
    }
    let mut order: Vec<_> = counts.into_iter().collect();
    order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut text = String::new();
    for (function, count) in order {
        let _ = writeln!(text, "{count:8}  {function}");
    }
    let _ = writeln!(text, "{:8}  together", executed.len());
    text
}

/// Addresses in the order of execution, and what they hold.
struct Trace {
    executed: Vec<u64>,
    texts: HashMap<u64, String>,
}

impl Trace {
    fn read(log: &Path) -> Result<Self> {
        let file = File::open(log)
            .with_context(|| format!("QEMU has written no trace to {}", log.display()))?;
        let mut trace = Self { executed: Vec::new(), texts: HashMap::new() };
        for line in BufReader::new(file).split(b'\n') {
            trace.line(&String::from_utf8_lossy(&line?));
        }
        Ok(trace)
    }

    /// `Trace 0: 0x7f… [00000000/0000800000001234/…] name` is an execution, `0x80…:  d503201f  nop`
    /// an instruction.
    fn line(&mut self, line: &str) {
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        if let Some(executed) = line.strip_prefix("Trace ") {
            self.executed.extend(executed.split('/').nth(1).and_then(hex));
        } else if let Some((address, rest)) =
            line.strip_prefix("0x").and_then(|line| line.split_once(':'))
            && let Some(address) = hex(address)
        {
            let words: Vec<_> = rest.split_ascii_whitespace().skip(1).collect();
            self.texts.insert(address, words.join(" "));
        }
    }
}

/// The functions of an ELF file.
struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    fn read(elf: &Path) -> Result<Self> {
        let bytes = fs::read(elf).with_context(|| format!("could not read {}", elf.display()))?;
        let file = object::File::parse(&*bytes)?;
        let functions = file
            .symbols()
            .filter(|symbol| {
                symbol.is_definition()
                    && matches!(
                        symbol.kind(),
                        SymbolKind::Text | SymbolKind::Unknown | SymbolKind::Label
                    )
            })
            .filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?.to_owned())))
            // Marks of code and data within a function.
            .filter(|(_, name)| !name.is_empty() && !name.starts_with('$'))
            .map(|(address, name)| (address, plain(&name)));
        Ok(Self(functions.collect()))
    }

    /// The address of `name`.
    fn address(&self, name: &str) -> Result<u64> {
        let found = self.0.iter().find(|(_, other)| *other == name);
        found.map(|(address, _)| *address).with_context(|| format!("no symbol `{name}`"))
    }

    /// The name of what `address` belongs to; Postern's boot code runs at the address that QEMU
    /// loads it to.
    fn function(&self, address: u64) -> &str {
        let image = self.0.first_key_value().map_or(0, |(address, _)| *address);
        let address = match address.checked_sub(LOADED_AT) {
            Some(offset) if address < EL2 && image >= EL2 => image.saturating_add(offset),
            _ => address,
        };
        self.0.range(..=address).next_back().map_or("?", |(_, name)| name)
    }
}

/// A Rust name as it is written.
fn plain(name: &str) -> String {
    addr2line::demangle_auto(name.into(), None).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_sample_is_found() {
        let (begin, end) = (1, 2);
        assert_eq!(last_sample(&[1, 5, 2, 1, 6, 7, 2, 8, 1, 9], begin, end), Some(&[6, 7][..]));
        assert_eq!(last_sample(&[5, 2], begin, end), None);
        assert_eq!(last_sample(&[], begin, end), None);
    }

    #[test]
    fn equal_visits_are_shown_once() {
        let at = |n| EL2 + n;
        let sample = [3, at(0), at(4), 7, at(0), at(4), 7, at(0), at(8), 9];
        assert_eq!(visits(&sample), [&[at(0), at(4)][..], &[at(0), at(8)][..]]);
    }

    #[test]
    fn qemus_lines_are_read() {
        let mut trace = Trace { executed: Vec::new(), texts: HashMap::new() };
        for line in [
            "IN: ",
            "0x800000001234:  d503201f  nop      ",
            "OBJD-T: 1f2003d5",
            "Trace 0: 0x7f12 [00000000/0000800000001234/00000000/ff200000] name/with/slashes",
        ] {
            trace.line(line);
        }
        assert_eq!(trace.executed, [0x8000_0000_1234]);
        assert_eq!(trace.texts[&0x8000_0000_1234], "nop");
        let symbols = Symbols(BTreeMap::from([(0x8000_0000_1200, "f".to_owned())]));
        let text = show(&trace.executed, &trace.texts, &symbols);
        assert!(text.starts_with("1 instructions at EL2\n\nf:\n    1234  nop\n"), "{text}");
        assert!(text.contains("       1  f\n       1  together\n"), "{text}");
    }
}
