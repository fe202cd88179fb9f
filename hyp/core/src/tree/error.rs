//! What can be wrong with a tree, with the cause and the remedy in the text.

use arrayvec::ArrayString;
use core::fmt;
use thiserror::Error;

/// A node's name as far as it fits, with unprintable bytes replaced: for messages only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NodeName(ArrayString<31>);

impl NodeName {
    /// Keeps the printable head of `name`; the root's empty name becomes `/`.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut text = ArrayString::new();
        for byte in name {
            let shown = if byte.is_ascii_graphic() { char::from(*byte) } else { '?' };
            if text.try_push(shown).is_err() {
                break;
            }
        }
        if text.is_empty() {
            text.push('/');
        }
        Self(text)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

/// Why a tree was refused. `at` is a byte offset from the start of the blob.
///
/// Numbers are of one type here and in the errors that this one is part of, so that one printer
/// prints all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TreeError {
    /// The blob ends before what its header promises.
    #[error("device tree is cut short: {need} bytes are needed, {have} are there; load it whole")]
    TooShort {
        /// Bytes that the header asks for.
        need: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// The blob does not begin as a flattened tree does.
    #[error(
        "no device tree: first word is {magic:#010x}, not 0xd00dfeed; \
         let the loader pass a flattened device tree (QEMU: -dtb FILE)"
    )]
    BadMagic {
        /// The word found instead.
        magic: u64,
    },
    /// The format's version is not 17 or compatible with it.
    #[error("device tree version {version} (compatible back to {last_compatible}): need 17")]
    Version {
        /// Version in the header.
        version: u64,
        /// Oldest version that a reader may know, in the header.
        last_compatible: u64,
    },
    /// A block of the tree is misaligned or outside the blob.
    #[error("device tree is damaged: its {block} block is misaligned or outside the blob")]
    Block {
        /// Which block.
        block: &'static str,
    },
    /// The token stream breaks the grammar.
    #[error("device tree is damaged: {problem} at offset {at:#x}")]
    Structure {
        /// What is wrong there.
        problem: &'static str,
        /// Where.
        at: usize,
    },
    /// The tree is sound but says something that cannot be.
    #[error("device tree, node {node}, property {property}: {problem}; correct the tree")]
    Content {
        /// Whose property it is.
        node: NodeName,
        /// The property.
        property: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// The tree lists more of something than Postern keeps.
    #[error("device tree, node {node}: more than {limit} {what}; merge or remove some")]
    TooMany {
        /// The first node that did not fit.
        node: NodeName,
        /// Of what.
        what: &'static str,
        /// How many are kept.
        limit: usize,
    },
}

impl TreeError {
    /// A sound tree whose `property` of the node called `node` says something impossible.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn content(node: &[u8], property: &'static str, problem: &'static str) -> Self {
        Self::Content { node: NodeName::new(node), property, problem }
    }
}
