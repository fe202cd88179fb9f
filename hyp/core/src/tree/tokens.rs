//! The token walk: checks each token as it yields it.

use super::{Blocks, Header, NodeName, TreeError, before};
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
    #[inline(never)]
    #[must_use]
    pub fn is(self, name: &[u8]) -> bool {
        // Its end is rarer than its beginning.
        self.0.get(name.len()) == Some(&0) && self.0.starts_with(name)
    }

    /// Its first byte; 0 for an empty name.
    #[inline]
    #[must_use]
    pub fn first(self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    /// The name.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        // The strings block ends with a NUL: `Header::read` has checked that.
        before(self.0, 0).unwrap_or(self.0)
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

/// How the grammar is broken: a number, because a text is more work to carry along, and hardly any
/// token needs one.
#[derive(Debug, Clone, Copy)]
pub enum Problem {
    EndsEarly,
    EndsTwice,
    EndsInside,
    NoRoot,
    Behind,
    Unknown,
    SecondRoot,
    TooDeep,
    OpenName,
    Misplaced,
    CutShort,
    TooLong,
    Nameless,
}

impl Problem {
    #[cold]
    #[inline(never)]
    const fn at(self, at: usize) -> TreeError {
        let problem = match self {
            Self::EndsEarly => "the structure block ends early",
            Self::EndsTwice => "a node ends twice",
            Self::EndsInside => "the tree ends inside a node",
            Self::NoRoot => "the tree has no root",
            Self::Behind => "something follows the end",
            Self::Unknown => "unknown token",
            Self::SecondRoot => "a second root begins",
            Self::TooDeep => "nodes nest too deep",
            Self::OpenName => "a node's name does not end",
            Self::Misplaced => "a property stands outside a node or behind a child",
            Self::CutShort => "a property is cut short",
            Self::TooLong => "a property's value runs past the structure block",
            Self::Nameless => "a property's name lies outside the strings block",
        };
        TreeError::Structure { problem, at }
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
    blocks: Blocks<'a>,
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
        Self {
            blocks: header.blocks,
            at: header.structure,
            depth: 0,
            properties_allowed: false,
            root_seen: false,
        }
    }

    /// A walk that starts at the first property or child of a node (see [`Token::Begin`]).
    pub(super) fn inside(blocks: Blocks<'a>, at: usize) -> Self {
        Self { blocks, at, depth: 1, properties_allowed: true, root_seen: true }
    }

    /// What it walks over.
    pub(super) fn blocks(&self) -> Blocks<'a> {
        self.blocks
    }

    /// How many nodes are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Where the next token begins, or words without meaning before it, as an offset in the blob.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next token, or `None` behind the end of the tree.
    ///
    /// # Errors
    ///
    /// The first break of the grammar. After an error the walk is over: the same error comes again.
    #[inline(never)]
    pub fn advance(&mut self) -> Result<Option<Token<'a>>, Problem> {
        self.step()
    }

    /// The error behind a problem that the walk has just met.
    #[cold]
    #[inline(never)]
    pub(super) fn error(&self, problem: Problem) -> TreeError {
        // The position stays where it is until a token is accepted.
        problem.at(self.at)
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Option<Token<'a>>, Problem> {
        loop {
            let rest = self.blocks.structure.get(self.at..).unwrap_or_default();
            let (word, body) = rest.split_first_chunk().ok_or(Problem::EndsEarly)?;
            let behind = self.at.saturating_add(4);
            match u32::from_be_bytes(*word) {
                PROP => return self.property(body, behind).map(Some),
                BEGIN_NODE => return self.begin(body, behind).map(Some),
                END_NODE => {
                    self.depth = self.depth.checked_sub(1).ok_or(Problem::EndsTwice)?;
                    self.properties_allowed = false;
                    self.at = behind;
                    return Ok(Some(Token::End));
                }
                NOP => self.at = behind,
                END if self.depth != 0 => return Err(Problem::EndsInside),
                END if !self.root_seen => return Err(Problem::NoRoot),
                END if !body.is_empty() => return Err(Problem::Behind),
                END => return Ok(None),
                _ => return Err(Problem::Unknown),
            }
        }
    }

    /// A node begins; its name is at the start of `body`, at the offset `at`.
    #[inline(always)]
    fn begin(&mut self, body: &'a [u8], at: usize) -> Result<Token<'a>, Problem> {
        if self.depth == 0 && self.root_seen {
            return Err(Problem::SecondRoot);
        }
        if self.depth >= MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        let unterminated = Problem::OpenName;
        let name = before(body, 0).ok_or(unterminated)?;
        let behind = name.len().checked_add(1).and_then(|len| at.checked_add(len));
        let inside = behind.and_then(align4).ok_or(unterminated)?;
        self.at = inside;
        self.depth = self.depth.saturating_add(1);
        self.properties_allowed = true;
        self.root_seen = true;
        Ok(Token::Begin { name, inside })
    }

    /// A property; `body`, at the offset `at`, holds the length of its value, the offset of its name
    /// and the value.
    #[inline(always)]
    fn property(&mut self, body: &'a [u8], at: usize) -> Result<Token<'a>, Problem> {
        if !self.properties_allowed {
            return Err(Problem::Misplaced);
        }
        let header = Problem::CutShort;
        let ([a, b, c, d, name @ ..], body) = body.split_first_chunk::<8>().ok_or(header)?;
        let too_long = Problem::TooLong;
        let len = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).map_err(|_| too_long)?;
        let value = body.get(..len).ok_or(too_long)?;
        let at = at.saturating_add(8);
        let next = at.checked_add(len).and_then(align4).ok_or(too_long)?;
        let outside = Problem::Nameless;
        let name = usize::try_from(u32::from_be_bytes(*name)).map_err(|_| outside)?;
        let name =
            self.blocks.strings.get(name..).filter(|name| !name.is_empty()).ok_or(outside)?;
        self.at = next;
        Ok(Token::Property { name: PropertyName(name), value, at })
    }
}

/// The next multiple of four.
#[inline(always)]
fn align4(at: usize) -> Option<usize> {
    Some(at.checked_add(3)? & !3)
}
