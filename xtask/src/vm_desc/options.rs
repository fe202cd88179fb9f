//! The options of `run` that describe one VM, as the keys of a VM description.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Dialect;
use crate::units::{self, parse_size};

/// What a page has, and the guard works with.
const PAGE: u64 = 4096;

/// One VM.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Virtual machine")]
pub struct VmOptions {
    /// Run this payload: an arm64 Linux `Image`, an AArch64 ELF file or a raw binary, gzipped or
    /// not.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Initial RAM disk.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Words for the guest's command line, after those that the payload itself needs.
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// What the random stream of `hostile` is made from; short for `--append hostile.seed=NUMBER`.
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    seed: Option<u64>,
    /// vCPUs, 1 to 8 [default: 1].
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    cpus: Option<u32>,
    /// RAM of the VM [default: 256M, or what a payload that needs no file is known to need].
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE", value_parser = parse_size)]
    mem: Option<u64>,
    /// Make it a protected VM.
    #[arg(long)]
    protected: bool,
    /// Make it a normal VM, where protected is the default.
    #[arg(long, conflicts_with = "protected")]
    normal: bool,
    /// Offer the MMIO guard to a normal VM too.
    #[arg(long, conflicts_with = "protected")]
    guard: bool,
    /// Numbering of the guard calls that the guest uses: `pkvm` (Android and mainline Linux) or
    /// `list-2021` (the original posting).
    #[arg(long, value_name = "NAME", value_parser = parse_dialect)]
    dialect: Option<Dialect>,
    /// Give the guest this device tree instead of one made for it.
    #[arg(long, value_name = "FILE")]
    dtb: Option<PathBuf>,
    /// Where in the guest's memory an `Image` or raw binary goes.
    #[arg(long, allow_negative_numbers = true, value_name = "ADDRESS", value_parser = parse_address)]
    load_addr: Option<i64>,
    /// Where in the guest's memory the device tree goes.
    #[arg(long, allow_negative_numbers = true, value_name = "ADDRESS", value_parser = parse_address)]
    dtb_addr: Option<i64>,
    /// Let a protected VM run on a machine without a source of entropy: its random numbers are no
    /// secret then.
    #[arg(long)]
    insecure_entropy: bool,
    /// Guard these pages from the start: one page, or as many bytes as come after a `+`. May be
    /// given several times.
    #[arg(long, value_name = "ADDRESS[+SIZE]", value_parser = parse_range)]
    guarded: Vec<(i64, u64)>,
}

impl VmOptions {
    /// Whether it says what to run.
    pub fn has_kernel(&self) -> bool {
        self.kernel.is_some()
    }

    /// Words for the guest's command line.
    pub fn append(&self) -> &str {
        self.append.as_deref().unwrap_or_default()
    }

    /// What was said, with the keys of a VM description.
    ///
    /// # Errors
    ///
    /// A path that is no UTF-8.
    pub fn words(&self) -> Result<Table> {
        let mut words = Table::new();
        let mut say = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                words.insert(key.to_owned(), value);
            }
        };
        say("kernel", path(self.kernel.as_deref())?);
        say("initrd", path(self.initrd.as_deref())?);
        say("dtb", path(self.dtb.as_deref())?);
        let seed = self.seed.map(|seed| format!("hostile.seed={seed}"));
        let append = match (&self.append, seed) {
            (Some(words), Some(seed)) => Some(format!("{seed} {words}")),
            (words, seed) => words.clone().or(seed),
        };
        say("append", append.map(Value::String));
        say("cpus", self.cpus.map(|cpus| Value::Integer(cpus.into())));
        say("mem", self.mem.map(|bytes| Value::String(bytes.to_string())));
        say("protected", self.protected.then_some(Value::Boolean(true)));
        say("protected", self.normal.then_some(Value::Boolean(false)));
        say("guard", self.guard.then_some(Value::Boolean(true)));
        say("dialect", self.dialect.map(|dialect| Value::String(dialect.name().to_owned())));
        say("insecure-entropy", self.insecure_entropy.then_some(Value::Boolean(true)));
        say("load-addr", self.load_addr.map(Value::Integer));
        say("dtb-addr", self.dtb_addr.map(Value::Integer));
        let guarded = self.guarded.iter().map(|(base, size)| {
            let keys = [
                ("base".to_owned(), Value::Integer(*base)),
                ("size".to_owned(), Value::String(size.to_string())),
            ];
            Value::Table(keys.into_iter().collect())
        });
        say("guarded", (!self.guarded.is_empty()).then(|| Value::Array(guarded.collect())));
        Ok(words)
    }
}

fn path(path: Option<&Path>) -> Result<Option<Value>> {
    let Some(path) = path else { return Ok(None) };
    let text = path.to_str().with_context(|| {
        format!("the file name {path:?} is not UTF-8; give the file another name")
    })?;
    Ok(Some(Value::String(text.to_owned())))
}

fn parse_dialect(text: &str) -> Result<Dialect> {
    [Dialect::Pkvm, Dialect::List2021]
        .into_iter()
        .find(|dialect| dialect.name() == text)
        .with_context(|| format!("`{text}` is neither `pkvm` nor `list-2021`"))
}

/// An address, hexadecimal with `0x` or decimal, up to 63 bits as in a VM description.
fn parse_address(text: &str) -> Result<i64> {
    i64::try_from(units::parse_address(text)?)
        .with_context(|| format!("`{text}` is not an address: it has more than 63 bits"))
}

/// An address, and a size of one page or what comes after a `+`.
fn parse_range(text: &str) -> Result<(i64, u64)> {
    match text.split_once('+') {
        Some((base, size)) => Ok((parse_address(base)?, parse_size(size)?)),
        None => Ok((parse_address(text)?, PAGE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm_desc::{Guarded, VmDesc};

    #[test]
    fn addresses_have_at_most_63_bits() {
        assert_eq!(parse_address("0x4020_0000").unwrap(), 0x4020_0000);
        for wrong in ["-1", "40M", "0xffff_ffff_ffff_ffff"] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_is_a_page_unless_it_has_a_size() {
        assert_eq!(parse_range("0x9000000").unwrap(), (0x900_0000, 4096));
        assert_eq!(parse_range("0x9000000+64K").unwrap(), (0x900_0000, 0x1_0000));
        for wrong in ["", "+4K", "0x1000+", "0x1000+much"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_was_said_is_said() {
        assert!(VmOptions::default().words().unwrap().is_empty());
        let options = VmOptions {
            normal: true,
            mem: Some(1 << 21),
            load_addr: Some(0x4000_0000),
            dialect: Some(Dialect::List2021),
            append: Some("hostile.ops=5".to_owned()),
            seed: Some(7),
            guarded: vec![(0x900_0000, 4096)],
            ..VmOptions::default()
        };
        let mut words = options.words().unwrap();
        words.insert("kernel".to_owned(), Value::String("/k".to_owned()));
        assert_eq!(words.len(), 7);
        let vm: VmDesc = words.try_into().unwrap();
        assert_eq!((vm.protected, vm.mem, vm.load_addr), (false, 1 << 21, Some(0x4000_0000)));
        assert_eq!(vm.dialect, Dialect::List2021);
        assert_eq!(vm.append, "hostile.seed=7 hostile.ops=5");
        assert_eq!(vm.guarded, [Guarded { base: 0x900_0000, size: 4096 }]);
    }
}
