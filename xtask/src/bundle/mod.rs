//! `cargo xtask bundle`: packs VMs into the one file that EL2 reads.
//!
//! Everything that can be known before the machine starts is decided and checked here: what a
//! payload is, where it and its companions lie in the VM's memory, and the VM's device trees.

mod guest_tree;
pub(crate) mod node;
mod placement;
mod user_tree;
mod user_tree_check;
mod writer;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hyp_abi::bundle::MAX_TREE;
use hyp_abi::vm_type;
use hyp_abi::vplatform::RAM_BASE;
use hyp_core::tree::machine::MAX_CPUS;

use crate::payload::Payload;
use crate::setup::say;
use crate::units::shown_size;
use crate::vm_desc::{self, VmDesc, VmOptions, advice, preset};
use crate::{output_file, workspace};
use guest_tree::Platform;
use placement::Layout;
use writer::{Image, Vm};

/// Memory of the machine beyond the VMs' and the bundle: EL2, its tables, and room for pieces that
/// do not fit together.
const OVERHEAD: u64 = 64 << 20;

/// Options of `bundle`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Pack the VMs that this file describes.
    #[arg(long = "vm", value_name = "FILE.toml", conflicts_with = "VmOptions")]
    vm_file: Option<PathBuf>,
    /// Where the bundle goes [default: target/postern/NAME.bundle].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    vm: VmOptions,
}

/// A finished bundle and what its VMs need of the machine.
#[derive(Debug)]
pub struct Bundle {
    /// The file's contents.
    pub bytes: Vec<u8>,
    /// CPUs, one for each vCPU.
    pub cpus: usize,
    /// Bytes of RAM that suffice for the VMs, the bundle and EL2.
    pub machine_ram: u64,
}

/// Runs `cargo xtask bundle`.
///
/// # Errors
///
/// As [`vm_desc::read`] and [`build`], or the file cannot be written.
pub fn command(options: &Options) -> Result<()> {
    if let Some(path) = &options.output {
        output_file::check("--output", path, &["bundle", "itb", "fit", "img", "bin"])?;
    }
    let vms = options.vms()?;
    vms.iter().filter_map(advice).for_each(|advice| say(&advice));
    let bundle = build(&vms)?;
    let path = match &options.output {
        Some(path) => path.clone(),
        None => {
            let name = vms.first().map_or("vm", |vm| &vm.name);
            workspace::output_dir()?.join(format!("{name}.bundle"))
        }
    };
    bundle.write(&path)?;
    println!(
        "{}: {}; needs {} CPU(s) and {} of RAM",
        workspace::shown(&path),
        shown_size(u64::try_from(bundle.bytes.len())?),
        bundle.cpus,
        shown_size(bundle.machine_ram)
    );
    Ok(())
}

impl Options {
    /// The VMs that the options describe.
    fn vms(&self) -> Result<Vec<VmDesc>> {
        if let Some(path) = &self.vm_file {
            return vm_desc::read(path);
        }
        let words = self.vm.words()?;
        if !words.contains_key("kernel") {
            bail!("nothing to pack: give --vm FILE.toml, or --kernel FILE for one VM");
        }
        Ok(vec![preset::describe(words)?])
    }
}

impl Bundle {
    /// Writes the file.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, &self.bytes)
            .with_context(|| format!("cannot write the bundle {}", path.display()))
    }
}

/// Packs `vms` into a bundle.
///
/// # Errors
///
/// A file is missing, damaged or foreign, or does not fit into its VM's memory.
pub fn build(vms: &[VmDesc]) -> Result<Bundle> {
    for vm in vms {
        vm.check().with_context(|| format!("VM `{}`", vm.name))?;
    }
    let cpus: usize = vms.iter().map(|vm| vm.cpus).sum();
    if cpus > MAX_CPUS {
        bail!(
            "the {} VMs have {cpus} vCPUs, each on a CPU of its own, and Postern uses {MAX_CPUS}: give \
             the VMs fewer `cpus`, or make several bundles",
            vms.len()
        );
    }
    build_unchecked(vms)
}

/// Packs `vms` as [`build`] does, whatever they are called: other people's bundles have other names.
///
/// # Errors
///
/// Those of [`build`].
pub fn build_unchecked(vms: &[VmDesc]) -> Result<Bundle> {
    let mut made = Vec::new();
    for (number, vm) in vms.iter().enumerate() {
        made.push(make(vm, number).with_context(|| format!("VM `{}`", vm.name))?);
    }
    let bytes = writer::write(&made)?;
    let mem: u64 = vms.iter().map(|vm| vm.mem).sum();
    let machine_ram = mem + u64::try_from(bytes.len())? + OVERHEAD;
    Ok(Bundle {
        bytes,
        cpus: vms.iter().map(|vm| vm.cpus).sum(),
        machine_ram: machine_ram.next_multiple_of(64 << 20),
    })
}

/// VM number `number` with its images in place.
fn make(desc: &VmDesc, number: usize) -> Result<Vm> {
    let payload = Payload::read(&desc.kernel, desc.load_addr)?;
    if let Some(doubt) = &payload.doubt {
        say(&format!("VM `{}`: {}: {doubt}", desc.name, desc.kernel.display()));
    }
    let initrd = match &desc.initrd {
        None => None,
        Some(path) => {
            let bytes = fs::read(path)
                .with_context(|| format!("cannot read the initrd {}", path.display()))?;
            if bytes.is_empty() {
                bail!("the initrd {} is empty", path.display());
            }
            Some(bytes)
        }
    };
    // A tree's size does not depend on the addresses in it, so a first one tells how long it is.
    let trees = |initrd| trees(desc, initrd);
    let initrd_len = initrd.as_ref().map_or(Ok(0), |bytes| u64::try_from(bytes.len()))?;
    let draft = trees(initrd.as_ref().map(|_| (0, initrd_len)))?;
    let tree_len = draft.iter().map(|tree| tree.bytes.len()).max().unwrap_or(0);
    let tree_len = u64::try_from(tree_len)?;
    if tree_len > MAX_TREE {
        bail!("its device tree has {}, more than the 2 MiB that guests map", shown_size(tree_len));
    }
    let layout = Layout::new(desc, &payload, tree_len, initrd_len)?;
    let trees = trees(layout.initrd.map(|at| (at, at + initrd_len)))?;

    // Not after the VM: its name may be as long as a name can be.
    let name = |what: &str| format!("vm{number}-{what}");
    let mut images =
        vec![Image::payload(name("kernel"), payload.kind, payload.load, payload.bytes)];
    if let Some((bytes, at)) = initrd.zip(layout.initrd) {
        images.push(Image::ramdisk(name("initrd"), at, bytes));
    }
    let trees = trees
        .into_iter()
        .map(|tree| {
            let name = name(&format!("gicv{}", tree.gic));
            Image::tree(name, layout.tree, tree.gic, tree.seeds, tree.bytes)
        })
        .collect();
    Ok(Vm {
        desc: desc.clone(),
        type_word: u64::from(desc.ipa_bits) | if desc.protected { vm_type::PROTECTED } else { 0 },
        entry: payload.entry,
        images,
        trees,
    })
}

/// The tree made for a VM with this version of the GIC, as if its memory were `ram`, base and bytes.
///
/// # Errors
///
/// The command line cannot be in a tree.
pub fn tree(
    desc: &VmDesc,
    gic: u8,
    ram: (u64, u64),
    initrd: Option<(u64, u64)>,
) -> Result<Vec<u8>> {
    guest_tree::build(&Platform { gic, cpus: desc.cpus, ram, bootargs: &desc.append, initrd })
}

/// A guest tree and the GIC version it describes.
struct GuestTree {
    gic: u8,
    bytes: Vec<u8>,
    /// Offset and size of what EL2 fills at random.
    seeds: Vec<(u32, u32)>,
}

/// The VM's trees, for an initrd from one address to another.
fn trees(desc: &VmDesc, initrd: Option<(u64, u64)>) -> Result<Vec<GuestTree>> {
    if let Some(path) = &desc.dtb {
        return user_tree::trees(path, desc, initrd);
    }
    [2, 3]
        .into_iter()
        .map(|gic| {
            let ram = (RAM_BASE, desc.mem);
            let bytes = tree(desc, gic, ram, initrd)?;
            let seeds = user_tree::seeds(&bytes)?;
            Ok(GuestTree { gic, bytes, seeds })
        })
        .collect()
}
