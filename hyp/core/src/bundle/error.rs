//! What can be wrong with a bundle.

use crate::tree::{NodeName, TreeError};
use thiserror::Error;

/// Why a bundle or one of its VMs was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BundleError {
    /// It is not even a sound tree.
    #[error("the bundle is damaged or no bundle at all ({0}); make it with `cargo xtask bundle`")]
    Tree(#[from] TreeError),
    /// A tree, but not one of a bundle that this image reads.
    #[error(
        "the initrd is no bundle of layout version {}: make it with the `cargo xtask bundle` \
         that belongs to this image",
        u64::from(hyp_abi::bundle::VERSION)
    )]
    Version,
    /// The tree's bytes are not those that were written.
    #[error(
        "the bundle is damaged: its tree's checksum is {have:#010x}, not {want:#010x}; load or make it again"
    )]
    TreeChecksum {
        /// Computed.
        have: u64,
        /// In the bundle.
        want: u64,
    },
    /// An image's bytes are not those that were written.
    #[error(
        "the bundle is damaged: checksum of image {image} is {have:#010x}, not {want:#010x}; load or make it again"
    )]
    ImageChecksum {
        /// Which image.
        image: NodeName,
        /// Computed.
        have: u64,
        /// In the bundle.
        want: u64,
    },
    /// The file ends before an image's data does.
    #[error("the bundle is cut short inside the data of image {image}; load it whole")]
    ImageCut {
        /// Which image.
        image: NodeName,
    },
    /// An image's description is impossible.
    #[error("bundle, image {image}, {property}: {problem}; make the bundle again")]
    Image {
        /// Which image.
        image: NodeName,
        /// Which property.
        property: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No VM, or no such VM.
    #[error("the bundle holds no VM number {0}; describe one and make the bundle again")]
    NoVm(usize),
    /// A VM's description is impossible.
    #[error("bundle, VM {vm}, {property}: {problem}; correct the VM's description")]
    Vm {
        /// Which VM.
        vm: NodeName,
        /// Which property.
        property: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A VM loads an image that is not there.
    #[error("bundle, VM {vm}: there is no image {image}; make the bundle again")]
    NoImage {
        /// Which VM.
        vm: NodeName,
        /// Which image.
        image: NodeName,
    },
    /// A VM has no tree for this machine.
    #[error("bundle, VM {vm}: it has no device tree for a GICv{gic}, which this machine has")]
    NoTree {
        /// Which VM.
        vm: NodeName,
        /// The machine's GIC version.
        gic: u64,
    },
    /// Two things that a VM loads lie on each other, or one lies outside its memory.
    #[error(
        "bundle, VM {vm}: image {image} (IPA {ipa:#x}) {problem}; give the VM more memory or other addresses"
    )]
    Placement {
        /// Which VM.
        vm: NodeName,
        /// Which image.
        image: NodeName,
        /// Where it would be loaded.
        ipa: u64,
        /// What is wrong.
        problem: &'static str,
    },
}
