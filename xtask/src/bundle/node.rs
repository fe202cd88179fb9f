//! Short words for building trees.

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// What a property can be given.
pub(crate) trait Value {
    /// The bytes in the tree.
    fn bytes(self) -> Vec<u8>;
}

impl Value for u32 {
    fn bytes(self) -> Vec<u8> {
        self.to_be_bytes().into()
    }
}

impl Value for u64 {
    fn bytes(self) -> Vec<u8> {
        self.to_be_bytes().into()
    }
}

impl Value for &[u32] {
    fn bytes(self) -> Vec<u8> {
        self.iter().flat_map(|cell| cell.to_be_bytes()).collect()
    }
}

impl Value for &[u8] {
    fn bytes(self) -> Vec<u8> {
        self.into()
    }
}

impl Value for &str {
    fn bytes(self) -> Vec<u8> {
        [self].as_slice().bytes()
    }
}

impl Value for &[&str] {
    fn bytes(self) -> Vec<u8> {
        self.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect()
    }
}

/// A node to be filled by [`Node::with`] and [`Node::child`].
pub(crate) struct Node(DeviceTreeNode);

impl Node {
    /// An empty node; the root's name is empty.
    pub(crate) fn new(name: &str) -> Self {
        Self(DeviceTreeNode::new_unchecked(name))
    }

    /// Adds a property.
    pub(crate) fn with(mut self, name: &str, value: impl Value) -> Self {
        self.0.add_property(DeviceTreeProperty::new_unchecked(name, value.bytes()));
        self
    }

    /// Adds a property without value.
    pub(crate) fn flag(self, name: &str) -> Self {
        self.with(name, [].as_slice() as &[u8])
    }

    /// Adds a child.
    pub(crate) fn child(mut self, child: Self) -> Self {
        self.0.add_child(child.0);
        self
    }

    /// The tree with this node as root, flattened.
    pub(crate) fn flatten(self) -> Vec<u8> {
        let mut tree = DeviceTree::new();
        tree.root = self.0;
        tree.to_dtb()
    }
}

/// The cells of a list of 64-bit numbers.
pub(crate) fn cells(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    numbers.into_iter().flat_map(u64::to_be_bytes).collect()
}
