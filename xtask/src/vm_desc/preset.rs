//! The payloads that need no file, and the VMs they run in.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum as _;
use serde::Deserialize;
use toml::{Table, Value};

use super::{Dialect, VmDesc};

/// A payload that the project can make by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Shows in a few lines how a protected guest guards its devices, and what happens to an
    /// access that was not announced. What runs if nothing else is asked for.
    Demo,
    /// Mainline Linux with the pKVM guest driver, protected, to a busybox shell. Built once.
    Linux,
    /// The same from an older kernel, with an older generation of the driver.
    #[value(name = "linux-6.12")]
    #[serde(rename = "linux-6.12")]
    Linux612,
    /// Debian's stock arm64 kernel as a normal VM, to a busybox shell: the oldest, 6.1.
    #[value(name = "debian-6.1", alias = "debian")]
    #[serde(rename = "debian-6.1", alias = "debian")]
    Debian61,
    /// The same with Debian's 6.12.
    #[value(name = "debian-6.12")]
    #[serde(rename = "debian-6.12")]
    Debian612,
    /// The same with Debian's newest 7.x.
    #[value(name = "debian-7")]
    #[serde(rename = "debian-7")]
    Debian7,
    /// Debian's installer as a normal VM: its own kernel and a large RAM disk.
    DebianInstaller,
    /// The conformance guest, protected: every row of the guest ABI's test table that one VM can
    /// see.
    Conformance,
    /// A guest that fires random streams of everything at the hypervisor and checks the answers.
    Hostile,
    /// The guest shim's example in C: a small firmware that guards a device and shares a page.
    CExample,
}

/// The files of a payload.
#[derive(Debug, Clone)]
pub struct Files {
    /// The payload itself.
    pub kernel: PathBuf,
    /// Its initial RAM disk.
    pub initrd: Option<PathBuf>,
}

impl What {
    fn is_protected(self) -> bool {
        !matches!(self, Self::Debian61 | Self::Debian612 | Self::Debian7 | Self::DebianInstaller)
    }

    /// Whether it is a Linux.
    #[cfg(test)]
    pub fn is_linux(self) -> bool {
        self.words(&VmDesc::new(PathBuf::new())).starts_with("console=")
    }

    fn memory(self) -> &'static str {
        match self {
            Self::Demo | Self::Conformance | Self::Hostile | Self::CExample => "64M",
            Self::Linux | Self::Linux612 => "256M",
            Self::Debian61 | Self::Debian612 | Self::Debian7 => "512M",
            Self::DebianInstaller => "1G",
        }
    }

    /// The word on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What the payload must find on its command line in the VM that `vm` describes.
    fn words(self, vm: &VmDesc) -> String {
        match self {
            Self::Linux
            | Self::Linux612
            | Self::Debian61
            | Self::Debian612
            | Self::Debian7
            | Self::DebianInstaller => "console=ttyAMA0".to_owned(),
            Self::Demo => format!("{} demo", conformance_words(vm)),
            Self::Conformance | Self::Hostile => conformance_words(vm),
            Self::CExample => String::new(),
        }
    }

    /// The VM that runs this payload from `files`, changed as `words` say: keys and values of a VM
    /// description, none of them necessary.
    ///
    /// # Errors
    ///
    /// The words describe no possible VM.
    pub fn describe(self, files: &Files, mut words: Table) -> Result<VmDesc> {
        words.entry("protected").or_insert(Value::Boolean(self.is_protected()));
        words.entry("mem").or_insert(Value::String(self.memory().to_owned()));
        words.entry("name").or_insert(Value::String(self.name()));
        // Paths go around the table, which can only hold UTF-8.
        let own_initrd = words.contains_key("initrd");
        words.insert("kernel".to_owned(), Value::String(String::new()));
        let mut vm = describe(words)?;
        vm.kernel.clone_from(&files.kernel);
        if !own_initrd {
            vm.initrd.clone_from(&files.initrd);
        }
        let said = std::mem::take(&mut vm.append);
        vm.append = format!("{} {said}", self.words(&vm)).trim_end().to_owned();
        Ok(vm)
    }
}

/// The VM that `words` describe completely.
///
/// # Errors
///
/// They describe no possible VM.
pub fn describe(words: Table) -> Result<VmDesc> {
    let mut vm: VmDesc = words.try_into()?;
    vm.complete();
    vm.check()?;
    Ok(vm)
}

/// Makes the paths in `words`, which count from `folder`, count from the current folder.
pub fn resolve_paths(words: &mut Table, folder: &Path) {
    for key in ["kernel", "initrd", "dtb"] {
        if let Some(Value::String(path)) = words.get_mut(key) {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
}

/// What the conformance guest is to expect; its `config.rs` explains the words.
fn conformance_words(vm: &VmDesc) -> String {
    let mut words = String::from(if vm.protected { "expect=protected" } else { "expect=normal" });
    if vm.dialect == Dialect::List2021 {
        words.push_str(" dialect=list-2021");
    } else if vm.guard == Some(true) && !vm.protected {
        words.push_str(" guard=on");
    }
    if vm.ipa_bits != 0 {
        words.push_str(&format!(" ipa={}", vm.ipa_bits));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(what: What, words: &str) -> VmDesc {
        let files = Files { kernel: "/k".into(), initrd: Some("/i".into()) };
        what.describe(&files, words.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_payload_comes_with_its_vm() {
        let linux = described(What::Linux, "");
        assert!(linux.protected);
        assert_eq!((linux.mem, linux.append.as_str()), (256 << 20, "console=ttyAMA0"));
        assert_eq!((linux.kernel, linux.initrd), ("/k".into(), Some("/i".into())));
        assert!(!described(What::Debian61, "").protected);
        assert_eq!(described(What::Demo, "").append, "expect=protected demo");
        assert_eq!(described(What::Linux612, "").name, "linux-6.12");
        assert_eq!(described(What::Linux, "name = 'own'").name, "own");
    }

    #[test]
    fn words_change_it() {
        let linux = described(What::Linux, "protected = false\nappend = 'a b'\ninitrd = '/own'");
        assert_eq!((linux.protected, linux.append.as_str()), (false, "console=ttyAMA0 a b"));
        assert_eq!(linux.initrd, Some("/own".into()));
        for (words, append) in [
            ("protected = false", "expect=normal"),
            ("protected = false\nguard = true", "expect=normal guard=on"),
            ("dialect = 'list-2021'", "expect=protected dialect=list-2021"),
            ("ipa-bits = 36", "expect=protected ipa=36"),
        ] {
            assert_eq!(described(What::Conformance, words).append, append);
        }
    }

    #[test]
    fn impossible_vms_are_refused() {
        let files = Files { kernel: "/k".into(), initrd: None };
        for words in ["cpus = 9", "mem = '1M'", "colour = 'red'"] {
            assert!(What::Demo.describe(&files, words.parse().unwrap()).is_err(), "{words}");
        }
    }
}
