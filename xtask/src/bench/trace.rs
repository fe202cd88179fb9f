//! `cargo xtask bench --trace ROW`: every instruction of one operation.
//!
//! QEMU writes one line for each instruction that it executes and, once, what each address holds.
//! The guest brackets each sample with two functions that do nothing else; what lies between the
//! last two of them, at addresses of EL2, is the path.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result, bail, ensure};
use object::{Object as _, ObjectSymbol as _};

use super::subject::{Laboratory, Subject, Variant};
use super::{measure, rows};
use crate::symbolize::Symbolizer;

/// Samples of a traced run: the last is shown, when everything is in its place.
const SAMPLES: u32 = 8;
/// Guests run below this address, Postern's EL2 above.
const EL2: u64 = 1 << 40;
/// Where EL2's image is linked to (`linker/hyp.ld`).
const EL2_IMAGE: u64 = 1 << 47;
/// Where QEMU puts an `Image` on the machine `virt`.
const LOADED_AT: u64 = 0x4020_0000;

/// The path of one operation.
#[derive(Debug, Default)]
pub struct Path {
    /// Each instruction, by function; empty for the boot, which has too many.
    pub listing: String,
    /// Functions and how many instructions each ran, the most first.
    pub parts: Vec<(String, u64)>,
}

/// The path of the row `name`, in a normal VM or a protected one.
///
/// # Errors
///
/// There is no such row, or the run fails.
pub fn path(laboratory: &Laboratory, name: &str, normal: bool) -> Result<Path> {
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
    // The boot is that of the figure.
    let image_len = (name == rows::BOOT).then_some(measure::IMAGE_LENGTHS[0]);
    laboratory.run(subject, Variant { image_len, ..Variant::cpus(cpus) }, &words, &extra)?;
    let trace = Trace::read(&log)?;
    fs::remove_file(&log).ok();

    let guest = fs::read(&laboratory.guest)?;
    let guest = object::File::parse(&*guest)?;
    let address = |name: &str| {
        let found = guest.symbols().find(|symbol| symbol.name() == Ok(name));
        found.map(|symbol| symbol.address()).with_context(|| format!("no symbol `{name}`"))
    };
    let mut names = Names::new(&laboratory.hypervisor.elf)?;
    if name == rows::BOOT {
        // The last: before the MMU is on, EL2 runs at the address at which the guest will be.
        let entry = address("first_cpu")?;
        let began = trace.executed.iter().rposition(|address| *address == entry);
        let before = began.and_then(|at| trace.executed.get(..at)).unwrap_or(&[]);
        return Ok(Path { listing: String::new(), parts: parts(before, &mut names) });
    }
    let sample = last_sample(&trace.executed, address("trace_begin")?, address("trace_end")?)
        .context("the trace holds no sample")?;
    // The other CPU says when it was reached, and goes on with other things.
    let [started, interrupted] = [address("cpu_on_entry")?, address("ipi_arrived")?];
    let end = sample.iter().position(|address| [started, interrupted].contains(address));
    let visits = visits(&sample[..end.unwrap_or(sample.len())]);
    Ok(Path {
        listing: listing(&visits, &trace.texts, &mut names),
        parts: parts(&visits.concat(), &mut names),
    })
}

impl Path {
    /// For a terminal.
    pub fn plain(&self) -> String {
        let mut text = self.listing.clone();
        for (part, count) in &self.parts {
            let _ = writeln!(text, "{count:8}  {part}");
        }
        let sum: u64 = self.parts.iter().map(|(_, count)| count).sum();
        let _ = writeln!(text, "{sum:8}  together");
        text
    }
}

/// Of the functions at an address, innermost first, the one that wants what is done there: what the
/// language's library does belongs to its caller, and so does the reading of a register.
fn author(frames: &[String]) -> &str {
    let is_ours = |frame: &&String| {
        frame.contains(" at hyp/") && !frame.contains(" at hyp/src/arch/sysreg.rs:")
    };
    let frame = frames.iter().find(is_ours).or(frames.last()).map_or("?", String::as_str);
    frame.split_once(" at ").map_or(frame, |(function, _)| function)
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

/// Each instruction of `visits`.
fn listing(visits: &[&[u64]], texts: &HashMap<u64, String>, names: &mut Names) -> String {
    let mut text = String::new();
    for visit in visits {
        let _ = writeln!(text, "{} instructions at EL2", visit.len());
        let mut inside = String::new();
        for address in *visit {
            let function = names.function(*address);
            if *function != inside {
                let _ = writeln!(text, "{function}");
                inside.clone_from(function);
            }
            let instruction = texts.get(address).map_or("?", String::as_str);
            let _ = writeln!(text, "  {:6x}  {instruction}", address & 0xff_ffff);
        }
        text.push('\n');
    }
    text
}

/// How many instructions each function ran, the most first.
fn parts(executed: &[u64], names: &mut Names) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for address in executed {
        let function = names.function(*address);
        match counts.get_mut(function) {
            Some(count) => *count += 1,
            None => drop(counts.insert(function.clone(), 1)),
        }
    }
    let mut parts: Vec<_> = counts.into_iter().collect();
    parts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    parts
}

/// Addresses in the order of execution, and what they hold.
struct Trace {
    executed: Vec<u64>,
    texts: HashMap<u64, String>,
}

impl Trace {
    fn read(log: &std::path::Path) -> Result<Self> {
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

/// Whom instructions belong to.
struct Names {
    symbols: Option<Symbolizer>,
    known: HashMap<u64, String>,
}

impl Names {
    fn new(elf: &std::path::Path) -> Result<Self> {
        Ok(Self { symbols: Some(Symbolizer::open(elf)?), known: HashMap::new() })
    }

    /// The function that `address` was written in, even if it was inlined: the innermost of our
    /// own sources, since what the language's library does belongs to its caller.
    fn function(&mut self, address: u64) -> &String {
        let symbols = &self.symbols;
        self.known.entry(address).or_insert_with(|| {
            // Boot code that runs where QEMU loaded it has its symbols elsewhere.
            let linked = match address.checked_sub(LOADED_AT) {
                Some(offset) if address < EL2 => EL2_IMAGE + offset,
                _ => address,
            };
            let frames = symbols.as_ref().map(|all| all.frames(linked)).unwrap_or_default();
            author(&frames).to_owned()
        })
    }
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
    fn instructions_belong_to_our_innermost_function() {
        let frames = |all: &[&str]| all.iter().map(|frame| (*frame).to_owned()).collect::<Vec<_>>();
        for (all, function) in [
            (&["core::x at library/core/src/x.rs:1", "hyp::a at hyp/src/a.rs:2"][..], "hyp::a"),
            (&["hyp::r at hyp/src/arch/sysreg.rs:9", "hyp::a at hyp/src/a.rs:2"], "hyp::a"),
            (&["c::copy at x/src/c.rs:1", "memcpy at x/src/m.rs:2"], "memcpy"),
            (&["vectors"], "vectors"),
            (&[], "?"),
        ] {
            assert_eq!(author(&frames(all)), function);
        }
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
        let known = HashMap::from([(0x8000_0000_1234, "f".to_owned())]);
        let mut names = Names { symbols: None, known };
        let path = Path {
            listing: listing(&visits(&trace.executed), &trace.texts, &mut names),
            parts: parts(&trace.executed, &mut names),
        };
        assert_eq!(
            path.plain(),
            "1 instructions at EL2\nf\n    1234  nop\n\n       1  f\n       1  together\n"
        );
    }
}
