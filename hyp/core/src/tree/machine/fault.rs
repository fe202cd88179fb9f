//! What is wrong with a node, in a form that is carried from call to call in one register.

use crate::tree::{NodeName, TreeError};

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A property says something that cannot be.
    Content {
        /// The property.
        property: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// It is one more of something than is kept.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are kept.
        limit: usize,
    },
}

/// The result of reading a part of a node.
pub(super) type Read<T> = Result<T, &'static Fault>;

impl Fault {
    /// The error, for a reader who wants to know the node.
    #[cold]
    #[inline(never)]
    pub(super) fn of(&self, node: &[u8]) -> TreeError {
        match *self {
            Self::Content { property, problem } => TreeError::content(node, property, problem),
            Self::TooMany { what, limit } => {
                TreeError::TooMany { node: NodeName::new(node), what, limit }
            }
        }
    }
}

/// A [`Fault::Content`], as a constant.
macro_rules! content {
    ($property:literal, $problem:literal) => {
        &Fault::Content { property: $property, problem: $problem }
    };
}
pub(super) use content;
