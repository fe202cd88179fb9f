//! The token walk: checks each token as it yields it.

use super::value::be32_at;
use super::{Header, NodeName, TreeError};
use core::fmt;

/// Nodes may nest this deep, the root included. Real trees stay below 10.
pub const MAX_DEPTH: usize = 16;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// A property's name. Most names are only asked whether they are a certain one, so their length is
/// not looked for until somebody wants it.
#[derive(Clone, Copy)]
pub struct PropertyName<'a>(&'a [u8]);

impl<'a> PropertyName<'a> {
    /// Whether this is `name`.
    #[must_use]
    pub fn is(self, name: &[u8]) -> bool {
        self.0.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
    }

    /// Its first byte; 0 for an empty name.
    #[must_use]
    pub fn first(self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    /// The name.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        // The strings block ends with a NUL: `Header::read` has checked that.
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl PartialEq for PropertyName<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for PropertyName<'_> {}

impl fmt::Debug for PropertyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NodeName::new(self.bytes()).fmt(f)
    }
}

/// One step of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A node begins.
    Begin {
        /// Its name with unit address; empty for the root.
        name: &'a [u8],
        /// Where its first property or child begins, as an offset in the blob.
        inside: usize,
    },
    /// A property of the node that began last.
    Property {
        /// Its name.
        name: PropertyName<'a>,
        /// Its value.
        value: &'a [u8],
        /// Where the value is, as an offset in the blob.
        at: usize,
    },
    /// The innermost open node ends.
    End,
}

/// A walk over the structure block, or over one node's inside.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    header: Header<'a>,
    at: usize,
    depth: usize,
    /// Properties come before children (Devicetree Specification, 5.4.2).
    properties_allowed: bool,
    root_seen: bool,
}

impl<'a> Tokens<'a> {
    /// A walk over the whole tree, which yields `None` only behind a correct end.
    #[must_use]
    pub fn new(header: Header<'a>) -> Self {
        Self { header, at: header.structure, depth: 0, properties_allowed: false, root_seen: false }
    }

    /// A walk that starts at the first property or child of a node (see [`Token::Begin`]).
    pub(super) fn inside(header: Header<'a>, at: usize) -> Self {
        Self { header, at, depth: 1, properties_allowed: true, root_seen: true }
    }

    /// How many nodes are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The next token, or `None` behind the end of the tree.
    ///
    /// # Errors
    ///
    /// [`TreeError::Structure`] for the first break of the grammar. After an error the walk is over:
    /// the same error comes again.
    pub fn next_token(&mut self) -> Result<Option<Token<'a>>, TreeError> {
        loop {
            let start = self.at;
            let fail = |problem| TreeError::Structure { problem, at: start };
            let word = self.word(start).ok_or(fail("the structure block ends early"))?;
            let body = start.saturating_add(4);
            match word {
                NOP => self.at = body,
                BEGIN_NODE => return self.begin(body).map_err(fail).map(Some),
                PROP => return self.property(body).map_err(fail).map(Some),
                END_NODE => {
                    self.depth = self.depth.checked_sub(1).ok_or(fail("a node ends twice"))?;
                    self.properties_allowed = false;
                    self.at = body;
                    return Ok(Some(Token::End));
                }
                END if self.depth != 0 => return Err(fail("the tree ends inside a node")),
                END if !self.root_seen => return Err(fail("the tree has no root")),
                END if body != self.header.structure_end => {
                    return Err(fail("something follows the end"));
                }
                END => return Ok(None),
                _ => return Err(fail("unknown token")),
            }
        }
    }

    /// The word at `at` of the structure block.
    fn word(&self, at: usize) -> Option<u32> {
        be32_at(self.header.blob.get(..self.header.structure_end)?, at)
    }

    fn begin(&mut self, body: usize) -> Result<Token<'a>, &'static str> {
        if self.depth == 0 && self.root_seen {
            return Err("a second root begins");
        }
        if self.depth >= MAX_DEPTH {
            return Err("nodes nest too deep");
        }
        let unterminated = "a node's name does not end";
        let rest = self.header.blob.get(body..self.header.structure_end).ok_or(unterminated)?;
        let len = rest.iter().position(|byte| *byte == 0).ok_or(unterminated)?;
        let name = rest.get(..len).ok_or(unterminated)?;
        let behind = len.checked_add(1).and_then(|len| body.checked_add(len));
        let inside = behind.and_then(align4).ok_or(unterminated)?;
        self.at = inside;
        self.depth = self.depth.saturating_add(1);
        self.properties_allowed = true;
        self.root_seen = true;
        Ok(Token::Begin { name, inside })
    }

    fn property(&mut self, body: usize) -> Result<Token<'a>, &'static str> {
        if !self.properties_allowed {
            return Err("a property stands outside a node or behind a child");
        }
        let header = "a property is cut short";
        let len = self.word(body).ok_or(header)?;
        let name = self.word(body.saturating_add(4)).ok_or(header)?;
        let value_at = body.saturating_add(8);
        let too_long = "a property's value runs past the structure block";
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| value_at.checked_add(len))
            .filter(|end| *end <= self.header.structure_end)
            .ok_or(too_long)?;
        let value = self.header.blob.get(value_at..end).ok_or(too_long)?;
        self.at = align4(end).ok_or(too_long)?;
        let outside = "a property's name lies outside the strings block";
        let name = usize::try_from(name).ok().and_then(|at| self.header.strings.get(at..));
        let name = name.ok_or(outside)?;
        let name = PropertyName(name.split_first().ok_or(outside).map(|_| name)?);
        Ok(Token::Property { name, value, at: value_at })
    }
}

/// Whether the root of the tree in `bytes` is as the specification wants it beyond what the walk
/// asks for: no name, and names of properties in ASCII. For a reader that panics otherwise.
#[must_use]
pub fn has_plain_root(bytes: &[u8]) -> bool {
    let Ok(header) = Header::read(bytes) else { return false };
    let mut tokens = Tokens::new(header);
    if !matches!(tokens.next_token(), Ok(Some(Token::Begin { name: b"", .. }))) {
        return false;
    }
    while let Ok(Some(Token::Property { name, .. })) = tokens.next_token() {
        if !name.bytes().is_ascii() {
            return false;
        }
    }
    true
}

/// The next multiple of four.
fn align4(at: usize) -> Option<usize> {
    at.checked_next_multiple_of(4)
}
