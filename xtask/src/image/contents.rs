//! What goes into an image.

/// A device tree with the name of its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedTree<'a> {
    /// Name on the card.
    pub(super) name: &'a str,
    /// The tree.
    pub(super) bytes: &'a [u8],
}

/// The parts that every form of image has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents<'a> {
    /// Flat hypervisor image.
    pub(super) image: &'a [u8],
    /// The VMs. Without one EL2 can only complain, and a test wants to see that.
    pub(super) bundle: Option<&'a [u8]>,
    /// The board's tree; without one U-Boot passes the one that it has.
    pub(super) tree: Option<NamedTree<'a>>,
    /// EL2's boot arguments.
    pub(super) arguments: &'a str,
}
