//! What a person says about a VM: by options of `run`, or in a file for `--vm`.
//!
//! ```toml
//! [[vm]]
//! name = "linux"
//! kernel = "Image"              # paths count from this file's folder
//! initrd = "initramfs.cpio.gz"
//! append = "console=ttyAMA0"
//! cpus = 4
//! mem = "512M"
//! protected = true
//! # All the rest has a default:
//! ipa-bits = 40
//! dialect = "pkvm"              # or "list-2021"
//! guard = true
//! dtb = "my.dtb"
//! load-addr = 0x4020_0000
//! dtb-addr = 0x4400_0000
//! guarded = [{ base = 0x0900_0000, size = "4K" }]
//! smc = "serve"                 # or "undefined"
//! insecure-entropy = false
//! ```

mod advice;
mod options;
pub mod preset;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use hyp_abi::bundle::{
    DIALECT_LIST_2021, DIALECT_PKVM, MAX_NAME, MAX_VMS, SMC_SERVE, SMC_UNDEFINED,
};
use hyp_abi::vm_type::{DEFAULT_IPA_BITS, MIN_IPA_BITS};
use hyp_abi::vplatform::{MAX_VCPUS, RAM_BASE};
use hyp_core::addr::BLOCK_2M;
use hyp_core::memory::MARK_TABLES;
use hyp_core::vm_type::MAX_IPA_BITS;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

pub use advice::advice;
pub use options::VmOptions;
pub use preset::What;

use crate::units::{parse_size, shown_size};

/// Numbering of the guard calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Dialect {
    /// Android and mainline Linux.
    #[default]
    #[serde(rename = "pkvm")]
    Pkvm,
    /// The original posting of 2021.
    #[serde(rename = "list-2021")]
    List2021,
}

impl Dialect {
    /// The name in a bundle.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pkvm => DIALECT_PKVM,
            Self::List2021 => DIALECT_LIST_2021,
        }
    }
}

/// What an SMC does in the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smc {
    /// The same as an HVC.
    #[default]
    Serve,
    /// An undefined instruction exception.
    Undefined,
}

impl Smc {
    /// The name in a bundle.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serve => SMC_SERVE,
            Self::Undefined => SMC_UNDEFINED,
        }
    }
}

/// A range of guest-physical addresses to guard from the start, in whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarded {
    /// First address.
    pub base: u64,
    /// Bytes.
    #[serde(deserialize_with = "size")]
    pub size: u64,
}

impl Guarded {
    /// Tables that the marks take, one for each block of 2 MiB.
    fn tables(&self) -> u64 {
        let end = self.base.saturating_add(self.size);
        end.div_ceil(BLOCK_2M).saturating_sub(self.base / BLOCK_2M)
    }
}

/// One VM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VmDesc {
    /// Its name in messages; empty until [`VmDesc::complete`] for the name of its payload.
    #[serde(default)]
    pub name: String,
    /// The payload's file.
    pub kernel: PathBuf,
    /// The initial RAM disk's file.
    pub initrd: Option<PathBuf>,
    /// The guest's command line.
    #[serde(default)]
    pub append: String,
    /// vCPUs, 1 to 8.
    #[serde(default = "default_cpus")]
    pub cpus: usize,
    /// Bytes of memory from 0x4000_0000.
    #[serde(default = "default_mem", deserialize_with = "size")]
    pub mem: u64,
    /// Whether it is a protected VM.
    #[serde(default)]
    pub protected: bool,
    /// Bits of its physical addresses; 0 for the default, 40.
    #[serde(default)]
    pub ipa_bits: u8,
    /// Numbering of the guard calls.
    #[serde(default)]
    pub dialect: Dialect,
    /// Whether the MMIO guard is offered; `None` leaves it to type and dialect.
    pub guard: Option<bool>,
    /// A device tree in place of one made for the VM.
    pub dtb: Option<PathBuf>,
    /// Its tree describes another machine on purpose: for a test.
    #[serde(skip)]
    pub has_other_tree: bool,
    /// Where an `Image` or a raw binary is loaded.
    pub load_addr: Option<u64>,
    /// Where the tree is put.
    pub dtb_addr: Option<u64>,
    /// What is guarded from the start.
    #[serde(default)]
    pub guarded: Vec<Guarded>,
    /// What an SMC does.
    #[serde(default)]
    pub smc: Smc,
    /// Whether it may be protected on a machine without a source of entropy.
    #[serde(default)]
    pub insecure_entropy: bool,
}

/// A character that a name may have.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn default_cpus() -> usize {
    1
}

fn default_mem() -> u64 {
    256 << 20
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_str(Size)
}

/// Reads a size.
struct Size;

impl Visitor<'_> for Size {
    type Value = u64;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a size in quotation marks, such as \"512M\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse_size(text).map_err(E::custom)
    }
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    vm: Vec<VmDesc>,
}

impl VmDesc {
    /// Names a VM that was given no name after the file that it runs.
    pub fn complete(&mut self) {
        if self.name.is_empty() {
            let stem = self.kernel.file_stem().unwrap_or_default().to_string_lossy();
            let plain = stem.chars().map(|c| if is_plain(c) { c } else { '-' });
            self.name = plain.take(MAX_NAME).collect();
        }
    }

    /// Checks what can be checked without reading a file.
    ///
    /// # Errors
    ///
    /// Names the key that is wrong and what it may be.
    pub fn check(&self) -> Result<()> {
        let bits = if self.ipa_bits == 0 { DEFAULT_IPA_BITS } else { self.ipa_bits.into() };
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.chars().all(is_plain) {
            bail!("name: take 1 to {MAX_NAME} letters, digits, `-`, `_` or `.`");
        }
        if !(1..=MAX_VCPUS).contains(&self.cpus) {
            bail!("cpus: {} vCPUs are not possible; take 1 to {MAX_VCPUS}", self.cpus);
        }
        if self.mem == 0 || !self.mem.is_multiple_of(2 << 20) {
            bail!("mem: {} bytes are not a multiple of 2 MiB, as a VM's memory must be", self.mem);
        }
        if !(MIN_IPA_BITS..=MAX_IPA_BITS).contains(&bits) {
            bail!("ipa-bits: {bits} bits are not possible; take {MIN_IPA_BITS} to {MAX_IPA_BITS}");
        }
        let room = (1 << bits) - RAM_BASE;
        if self.mem > room {
            bail!(
                "mem: {} are more than a VM with addresses of {bits} bits can have, {}; give less, \
                 or more ipa-bits in a description",
                shown_size(self.mem),
                shown_size(room)
            );
        }
        if self.protected && self.guard == Some(false) {
            bail!("guard: a protected VM always has the guard; leave `guard = false` out");
        }
        for range in &self.guarded {
            let pages = range.base.is_multiple_of(4096) && range.size.is_multiple_of(4096);
            if !pages || range.size == 0 || range.base.checked_add(range.size).is_none() {
                bail!(
                    "guarded: {:#x}, {:#x} bytes, is not a run of 4 KiB pages",
                    range.base,
                    range.size
                );
            }
        }
        let tables: u64 = self.guarded.iter().map(Guarded::tables).sum();
        // At least one more is above them.
        if tables >= MARK_TABLES {
            bail!(
                "guarded: these ranges lie in {tables} blocks of 2 MiB, and there may be marks in fewer \
                 than {MARK_TABLES}: guard fewer pages, or pages closer together"
            );
        }
        Ok(())
    }
}

/// Reads a file for `--vm`.
///
/// # Errors
///
/// The file cannot be read, is not such a description, or describes something impossible.
pub fn read(path: &Path) -> Result<Vec<VmDesc>> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the VM description {shown}"))?;
    parse(&text, path.parent().unwrap_or(Path::new("")))
        .with_context(|| format!("VM description {shown}"))
}

/// The VMs that `text` describes, with paths that count from `folder`.
fn parse(text: &str, folder: &Path) -> Result<Vec<VmDesc>> {
    let Manifest { vm: mut vms } = toml::from_str(text).map_err(|error| {
        anyhow!("cannot be understood: {error}to do: correct it; docs/running.md has an example")
    })?;
    if !(1..=MAX_VMS).contains(&vms.len()) {
        bail!("{} [[vm]] tables: describe 1 to {MAX_VMS} VMs", vms.len());
    }
    for at in 0..vms.len() {
        let (before, rest) = vms.split_at_mut(at);
        let Some(vm) = rest.first_mut() else { break };
        vm.complete();
        vm.check().with_context(|| format!("VM `{}`", vm.name))?;
        if before.iter().any(|other| other.name == vm.name) {
            bail!("two VMs are called `{}`: give each its own name", vm.name);
        }
        for path in
            [Some(&mut vm.kernel), vm.initrd.as_mut(), vm.dtb.as_mut()].into_iter().flatten()
        {
            *path = folder.join(&*path);
        }
    }
    Ok(vms)
}

#[cfg(test)]
impl VmDesc {
    /// A normal VM with one vCPU and 256 MiB that runs the file at `kernel`.
    pub fn new(kernel: PathBuf) -> Self {
        let mut vm = Self {
            name: String::new(),
            kernel,
            initrd: None,
            append: String::new(),
            cpus: default_cpus(),
            mem: default_mem(),
            protected: false,
            ipa_bits: 0,
            dialect: Dialect::default(),
            guard: None,
            dtb: None,
            has_other_tree: false,
            load_addr: None,
            dtb_addr: None,
            guarded: Vec::new(),
            smc: Smc::default(),
            insecure_entropy: false,
        };
        vm.complete();
        vm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_head_of_this_file_is_understood() {
        let source = include_str!("mod.rs");
        let text: String = source
            .lines()
            .skip_while(|line| *line != "//! ```toml")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").trim().to_owned() + "\n")
            .collect();
        let vms = parse(&text, Path::new("/folder")).unwrap();
        let [vm] = &vms[..] else { panic!("{vms:?}") };
        assert_eq!(vm.kernel, Path::new("/folder/Image"));
        assert_eq!((vm.mem, vm.cpus, vm.protected, vm.ipa_bits), (512 << 20, 4, true, 40));
        assert_eq!((vm.load_addr, vm.dtb_addr), (Some(0x4020_0000), Some(0x4400_0000)));
        assert_eq!(vm.guarded, [Guarded { base: 0x0900_0000, size: 4096 }]);
        assert_eq!((vm.dialect, vm.guard, vm.smc), (Dialect::Pkvm, Some(true), Smc::Serve));
    }

    #[test]
    fn the_example_in_the_manual_is_understood() {
        let manual = include_str!("../../../docs/running.md");
        let mut examples = manual.split("```toml\n").filter_map(|text| text.split("```").next());
        let example = examples.find(|text| text.starts_with("[[vm]]")).unwrap();
        let vms = parse(example, Path::new("")).unwrap();
        assert_eq!((vms.len(), vms[0].name.as_str(), vms[0].cpus), (1, "linux", 4));
    }

    #[test]
    fn one_line_is_enough() {
        let vms = parse("[[vm]]\nkernel = '/k'", Path::new("folder")).unwrap();
        assert_eq!(vms, [VmDesc::new(PathBuf::from("/k"))]);
        assert_eq!(vms[0].name, "k");
    }

    #[test]
    fn a_vm_is_called_after_its_payload_unless_it_has_a_name() {
        let long = "x".repeat(2 * MAX_NAME);
        for (kernel, name) in [
            ("dir/Image-6.12.gz", "Image-6.12"),
            ("my kernel", "my-kernel"),
            (&long, &long[..MAX_NAME]),
        ] {
            assert_eq!(VmDesc::new(kernel.into()).name, name);
        }
        let vms = parse("[[vm]]\nname = 'own'\nkernel = 'k'", Path::new("")).unwrap();
        assert_eq!(vms[0].name, "own");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| format!("{:#}", parse(text, Path::new("")).unwrap_err());
        let vm = |rest: &str| error(&format!("[[vm]]\nkernel = 'k'\n{rest}"));
        assert!(error("").contains("missing field `vm`"));
        assert!(error("[vm]\nkernel = 'k'").contains("\nto do: "));
        assert!(error("vm = []").contains("1 to 8"));
        assert!(error("[[vm]]\nname = 'x'").contains("kernel"));
        assert!(vm("memory = '1M'").contains("memory"));
        assert!(vm("mem = '1M'").contains("2 MiB"));
        assert!(vm("mem = 'lots'").contains("lots"));
        assert!(vm("mem = 64").contains("a size in quotation marks"));
        assert!(vm("mem = '1024G'").contains("40 bits can have, 1023 GiB"));
        assert!(vm("mem = '4G'\nipa-bits = 32").contains("32 bits can have, 3 GiB"));
        assert!(vm("mem = '18446744073707454464'").contains("ipa-bits"));
        assert!(vm("ipa-bits = 31").contains("32 to 48"));
        assert!(vm("ipa-bits = 49").contains("32 to 48"));
        assert!(vm("protected = true\nguard = false").contains("always has the guard"));
        assert!(vm("cpus = 9").contains("1 to 8"));
        assert!(vm("dialect = 'klingon'").contains("klingon"));
        assert!(vm("name = 'a b'").contains("letters"));
        assert!(vm("guarded = [{ base = 1, size = '4K' }]").contains("pages"));
        assert!(vm("guarded = [{ base = 0, size = '1G' }]").contains("512 blocks"));
        assert!(vm("guarded = [{ base = 4096, size = '510M' }]").contains("256 blocks"));
        assert!(vm("[[vm]]\nkernel = 'k'").contains("two VMs"));
    }
}
