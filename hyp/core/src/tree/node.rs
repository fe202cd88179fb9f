//! A checked tree and look-ups in it by path.

use super::{Blocks, Header, PropertyName, Token, Tokens, TreeError, before, u32_value};

/// A tree that a whole walk has accepted.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    header: Header<'a>,
    root: usize,
}

impl<'a> Tree<'a> {
    /// Checks the tree that `bytes` begin with from header to end.
    ///
    /// # Errors
    ///
    /// Any [`TreeError`] but the two about contents.
    pub fn new(bytes: &'a [u8]) -> Result<Self, TreeError> {
        let header = Header::read(bytes)?;
        let mut tokens = Tokens::new(header);
        let mut root = None;
        while let Some(token) = tokens.advance().map_err(|problem| tokens.error(problem))? {
            if let Token::Begin { inside, .. } = token {
                root.get_or_insert(inside);
            }
        }
        // An accepted walk has seen a root.
        Ok(Self { header, root: root.unwrap_or(header.blocks.structure.len()) })
    }

    /// A tree whose root's inside the caller has met in a walk. If the walk did not reach the end,
    /// look-ups find no more than the walk did.
    pub(super) fn walked(header: Header<'a>, root: usize) -> Self {
        Self { header, root }
    }

    /// The tree's bytes, as long as its header says.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.header.blob
    }

    /// The checked header.
    #[must_use]
    pub fn header(&self) -> Header<'a> {
        self.header
    }

    /// The root node.
    #[must_use]
    pub fn root(&self) -> Node<'a> {
        Node { blocks: self.header.blocks, name: b"", inside: self.root }
    }

    /// The node whose inside begins at `inside`, without its name.
    pub(super) fn at(&self, inside: usize) -> Node<'a> {
        Node { blocks: self.header.blocks, name: b"", inside }
    }

    /// The first node with this `phandle`, which older trees call `linux,phandle`.
    pub(super) fn with_phandle(&self, phandle: u32) -> Option<Node<'a>> {
        let mut node = self.root();
        let mut tokens = Tokens::inside(node.blocks, node.inside);
        loop {
            match tokens.advance().ok()?? {
                Token::Begin { name, inside } => node = Node { name, inside, ..node },
                // All of them come before the node's first child.
                Token::Property { name, value, .. } => {
                    if (name.is(b"phandle") || name.is(b"linux,phandle"))
                        && u32_value(value) == Some(phandle)
                    {
                        return Some(node);
                    }
                }
                Token::End if tokens.depth() == 0 => return None,
                Token::End => {}
            }
        }
    }

    /// The node at an absolute path. A step without unit address finds the first node with that
    /// name and any unit address.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<Node<'a>> {
        let mut rest = path.strip_prefix(b"/")?;
        let mut node = self.root();
        while !rest.is_empty() {
            let step = before(rest, b'/').unwrap_or(rest);
            if !step.is_empty() {
                node = node.child(step)?;
            }
            rest = rest.get(step.len()..)?.strip_prefix(b"/").unwrap_or_default();
        }
        Some(node)
    }
}

/// One node of a checked tree.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    blocks: Blocks<'a>,
    name: &'a [u8],
    inside: usize,
}

/// One property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property<'a> {
    /// Its name.
    pub name: PropertyName<'a>,
    /// Its value.
    pub value: &'a [u8],
    /// Where the value is, as an offset in the blob.
    pub at: usize,
}

impl<'a> Node<'a> {
    /// The name with unit address; empty for the root.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Tells one node of a tree from another: where its inside begins in the blob.
    #[must_use]
    pub fn id(&self) -> usize {
        self.inside
    }

    /// The node's own properties.
    #[must_use]
    pub fn properties(&self) -> Properties<'a> {
        Properties(Tokens::inside(self.blocks, self.inside))
    }

    /// The node's children.
    #[must_use]
    pub fn children(&self) -> Children<'a> {
        Children(Tokens::inside(self.blocks, self.inside))
    }

    /// The property called `name`.
    #[must_use]
    pub fn property(&self, name: &[u8]) -> Option<Property<'a>> {
        self.properties().find(|property| property.name.is(name))
    }

    /// The value of the property called `name`.
    #[must_use]
    pub fn value(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.property(name).map(|property| property.value)
    }

    /// The value of the property called `name`, if it is one cell.
    #[must_use]
    pub fn cell(&self, name: &str) -> Option<u32> {
        u32_value(self.value(name.as_bytes())?)
    }

    /// The child called `name`, or, where `name` has no unit address, `name@…`.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Option<Node<'a>> {
        self.children().find(|child| {
            child.name.strip_prefix(name).is_some_and(|rest| {
                rest.is_empty() || (rest.starts_with(b"@") && before(name, b'@').is_none())
            })
        })
    }
}

/// Walks one node's properties.
#[derive(Debug, Clone)]
pub struct Properties<'a>(Tokens<'a>);

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        match self.0.advance() {
            Ok(Some(Token::Property { name, value, at })) => Some(Property { name, value, at }),
            _ => None,
        }
    }
}

/// Walks one node's children.
#[derive(Debug, Clone)]
pub struct Children<'a>(Tokens<'a>);

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        loop {
            match self.0.advance().ok()?? {
                // The node itself is depth 1, so a child that has just begun is depth 2.
                Token::Begin { name, inside } if self.0.depth() == 2 => {
                    return Some(Node { blocks: self.0.blocks(), name, inside });
                }
                Token::End if self.0.depth() == 0 => return None,
                _ => {}
            }
        }
    }
}
