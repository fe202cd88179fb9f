//! Where things are in EL2's address space.
//!
//! All of it is under one level-0 entry, the one that begins at 2^47: the lower half belongs to
//! the flat page of `boot.s`, and both its roots share the level-1 table behind this entry.

/// Bytes that one level-1 entry covers.
const GIB: usize = 1 << 30;

/// The image; `IMAGE_VA` of `hyp.ld`.
pub(super) const IMAGE: usize = 1 << 47;
/// The firmware's device tree.
pub(super) const TREE: usize = IMAGE + GIB;
/// Device registers, one after the other.
pub(super) const DEVICES: usize = IMAGE + 2 * GIB;
/// Windows onto guest memory, [`WINDOW_SIZE`] for each CPU.
pub(super) const WINDOWS: usize = IMAGE + 3 * GIB;
/// Memory that EL2 keeps: heap and tables.
pub(super) const OWNED: usize = IMAGE + 4 * GIB;
/// What is only read: the bundle.
pub(super) const READ_ONLY: usize = IMAGE + 128 * GIB;
/// End of everything.
pub(super) const END: usize = IMAGE + 512 * GIB;

/// Bytes of one CPU's window.
pub(super) const WINDOW_SIZE: usize = 1 << 21;
