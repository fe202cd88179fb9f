//! Names in the bundle: one file with everything the VMs of a machine need.
//!
//! A bundle is a flattened device tree in the form of U-Boot's FIT (U-Boot,
//! `doc/usage/fit/source_file_format.rst`), followed by the data of its images, which the tree
//! names by position. Names that begin with `postern,` are ours; the rest is FIT.
//!
//! ```text
//! / {
//!     description = "…"; timestamp = <0>; #address-cells = <2>;
//!     postern,version = <1>;
//!     postern,crc32 = <…>;            of the tree's bytes, this value taken as 0
//!     images {
//!         NAME {
//!             description = "…"; type = "kernel"; arch = "arm64"; os = "linux"; compression = "none";
//!             load = <IPA, 2 cells>;
//!             data-position = <bytes from the start of the file>; data-size = <bytes>;
//!             hash-1 { algo = "crc32"; value = <…>; };
//!             postern,gic = <3>;              trees only: the GIC version it describes
//!             postern,seeds = <offset size>…; trees only: properties that EL2 fills at random
//!         };
//!     };
//!     configurations {
//!         default = "VM";
//!         VM {
//!             description = "…";
//!             loadables = "NAME", …;          what is copied into the VM's memory
//!             fdt = "NAME", …;                one tree for each GIC version
//!             postern,type = <2 cells>;       the VM type word
//!             postern,dialect = "pkvm";
//!             postern,guard = <1>;            absent: as the dialect and the type word say
//!             postern,vcpus = <1>;
//!             postern,memory = <IPA size>…;   2 cells each
//!             postern,entry = <IPA, 2 cells>;
//!             postern,guarded = <IPA size>…;  2 cells each: guarded from the start
//!             postern,smc = "serve";
//!             postern,insecure-entropy;       present or absent
//!         };
//!     };
//! };
//! ```
//!
//! The first vCPU starts at the entry with the address of its tree in x0.
//!
//! The checksums find damage, and a CRC-32 does that at a few instructions per byte. They prove
//! nothing about where a bundle comes from: whoever can change the data can change a hash that
//! nobody has signed, so a cryptographic one would cost a second at each start and protect nothing.

/// The layout's version, in [`VERSION_PROPERTY`].
pub const VERSION: u32 = 1;
/// Root: one cell, [`VERSION`].
pub const VERSION_PROPERTY: &str = "postern,version";
/// Root: one cell, CRC-32 of the tree's bytes with this value taken as 0.
pub const CHECKSUM_PROPERTY: &str = "postern,crc32";
/// Data of images begins at multiples of this many bytes.
pub const DATA_ALIGN: u64 = 4096;

/// Node below the root: the images.
pub const IMAGES: &str = "images";
/// Node below the root: the VMs.
pub const CONFIGURATIONS: &str = "configurations";
/// Image: `load`, IPA in two cells.
pub const LOAD: &str = "load";
/// Image: bytes from the start of the file to the data, one cell.
pub const DATA_POSITION: &str = "data-position";
/// Image: bytes of data, one cell.
pub const DATA_SIZE: &str = "data-size";
/// Image: node with the data's hash.
pub const HASH: &str = "hash-1";
/// Hash: which function.
pub const HASH_ALGORITHM: &str = "algo";
/// Hash: its value.
pub const HASH_VALUE: &str = "value";
/// The one hash function in use: CRC-32 as in ISO 3309 and zlib, one cell.
pub const CRC32: &str = "crc32";
/// Tree image: version of the GIC it describes, one cell.
pub const GIC: &str = "postern,gic";
/// Tree image: pairs of cells, offset and size of properties' values in it that EL2 fills at random.
pub const SEEDS: &str = "postern,seeds";

/// VM: names of the images that are copied into its memory.
pub const LOADABLES: &str = "loadables";
/// VM: names of its trees, one for each GIC version.
pub const TREES: &str = "fdt";
/// VM: type word, two cells; see [`crate::vm_type`].
pub const TYPE: &str = "postern,type";
/// VM: [`DIALECT_PKVM`] or [`DIALECT_LIST_2021`].
pub const DIALECT: &str = "postern,dialect";
/// VM: one cell, 0 or 1: whether the MMIO guard is offered; absent means the default.
pub const GUARD: &str = "postern,guard";
/// VM: how many vCPUs, one cell.
pub const VCPUS: &str = "postern,vcpus";
/// VM: its memory, pairs of IPA and size, two cells each.
pub const MEMORY: &str = "postern,memory";
/// VM: where the first vCPU starts, IPA in two cells.
pub const ENTRY: &str = "postern,entry";
/// VM: what is guarded from the start, pairs of IPA and size, two cells each.
pub const GUARDED: &str = "postern,guarded";
/// VM: [`SMC_SERVE`] or [`SMC_UNDEFINED`].
pub const SMC: &str = "postern,smc";
/// VM: without a value: it may run protected without a source of entropy.
pub const INSECURE_ENTROPY: &str = "postern,insecure-entropy";

/// The numbering of [`crate::vendor::pkvm`].
pub const DIALECT_PKVM: &str = "pkvm";
/// The numbering of the list postings of 2021.
pub const DIALECT_LIST_2021: &str = "list-2021";
/// SMC is answered like HVC.
pub const SMC_SERVE: &str = "serve";
/// SMC is undefined.
pub const SMC_UNDEFINED: &str = "undefined";

/// Longest name of a VM or an image in bytes.
pub const MAX_NAME: usize = 31;
/// The most VMs in a bundle.
pub const MAX_VMS: usize = 8;
/// The most images that one VM loads, trees not counted.
pub const MAX_LOADABLES: usize = 8;
/// The most ranges of memory of one VM.
pub const MAX_MEMORY: usize = 4;
/// The most ranges that are guarded from the start.
pub const MAX_GUARDED: usize = 32;
/// The most random fields in one tree.
pub const MAX_SEEDS: usize = 4;
/// The largest guest tree in bytes: Linux maps no more (Linux, `Documentation/arch/arm64/booting.rst`).
pub const MAX_TREE: u64 = 2 << 20;
