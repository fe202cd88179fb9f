//! The options that say which VMs to run or to pack.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use hyp_core::bundle::{self as reader, GicVersion, crc32};

use super::Supplies;
use crate::bundle::{self, Bundle};
use crate::setup::say;
use crate::vm_desc::{self, VmDesc, VmOptions, What, advice, preset};

/// VMs, in one of several ways.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// What to run, unless `--kernel`, `--vm` or `--bundle` say it.
    #[arg(value_enum, conflicts_with_all = ["kernel", "vm_file", "bundle"])]
    what: Option<What>,
    #[command(flatten)]
    vm: VmOptions,
    /// Run the VMs that this file describes, each on CPUs of its own.
    #[arg(long = "vm", value_name = "FILE.toml", conflicts_with_all = ["bundle", "VmOptions"])]
    vm_file: Option<PathBuf>,
    /// Boot this finished bundle.
    #[arg(long, value_name = "FILE", conflicts_with = "VmOptions")]
    bundle: Option<PathBuf>,
}

/// The bundle of a [`Selection`].
#[derive(Debug)]
pub enum Selected {
    /// Somebody else's, in this file.
    Given(PathBuf),
    /// Ours.
    Made(Bundle),
}

/// What is known of a VM before it runs.
#[derive(Debug)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// How many vCPUs it has.
    pub vcpus: usize,
    /// The file with its payload.
    pub kernel: Option<PathBuf>,
}

impl Selection {
    /// The bundle that the command line asks for.
    ///
    /// # Errors
    ///
    /// A file is missing or unfit, or a payload cannot be had on this machine.
    pub fn bundle(&self, supplies: &Supplies) -> Result<Selected> {
        if let Some(path) = &self.bundle {
            let bytes = std::fs::read(path)
                .with_context(|| format!("cannot read the bundle {}", path.display()))?;
            // It may be anything that somebody found.
            if let Err(error) = reader::Bundle::open(&bytes, crc32::update) {
                bail!("{}: {error}", path.display());
            }
            return Ok(Selected::Given(path.clone()));
        }
        let vms = self.vms(supplies)?;
        vms.iter().filter_map(advice).for_each(|advice| say(&advice));
        Ok(Selected::Made(bundle::build(&vms)?))
    }

    /// The payload that needs no file, if it is one.
    pub fn what(&self) -> Option<What> {
        let has_file = self.bundle.is_some() || self.vm_file.is_some() || self.vm.has_kernel();
        (!has_file).then(|| self.what.unwrap_or(What::Demo))
    }

    /// What is asked to be added to the guest's command line.
    pub fn append(&self) -> &str {
        self.vm.append()
    }

    /// The VMs by their numbers, as far as they are known.
    ///
    /// # Errors
    ///
    /// As [`Self::bundle`].
    pub fn guests(&self, supplies: &Supplies) -> Result<Vec<Guest>> {
        let Some(path) = &self.bundle else {
            let known =
                |vm: VmDesc| Guest { name: vm.name, vcpus: vm.cpus, kernel: Some(vm.kernel) };
            return Ok(self.vms(supplies)?.into_iter().map(known).collect());
        };
        let bytes = std::fs::read(path)?;
        let bundle =
            reader::Bundle::open(&bytes, crc32::update).map_err(|error| anyhow!("{error}"))?;
        // EL2 says what is wrong with one.
        let vms = (0..bundle.len()).map_while(|at| bundle.vm(at, GicVersion::V3).ok());
        Ok(vms
            .map(|vm| Guest { name: vm.name.to_owned(), vcpus: vm.vcpus, kernel: None })
            .collect())
    }

    fn vms(&self, supplies: &Supplies) -> Result<Vec<VmDesc>> {
        if let Some(file) = &self.vm_file {
            return vm_desc::read(file);
        }
        let words = self.vm.words()?;
        Ok(vec![match self.what() {
            Some(what) => what.describe(supplies.files(what)?, words)?,
            None => preset::describe(words)?,
        }])
    }
}
