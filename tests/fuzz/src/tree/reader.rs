//! A reader of flattened trees, after the Devicetree Specification v0.4, chapter 5, and the limits
//! that `hyp-core` documents for itself: version 17, nodes 16 deep.

/// A tree.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// Bytes.
    pub(crate) size: usize,
    /// Address and size.
    pub(crate) reservations: Vec<(u64, u64)>,
    pub(crate) root: Element<'a>,
}

/// A node.
#[derive(Debug, Default)]
pub(crate) struct Element<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) properties: Vec<(&'a [u8], &'a [u8])>,
    pub(crate) children: Vec<Element<'a>>,
}

impl<'a> Element<'a> {
    /// The first value of the property called `name`.
    pub(crate) fn first(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.properties.iter().find(|(have, _)| *have == name).map(|(_, value)| *value)
    }

    /// The last one: a name should not be there twice, and where it is, the last one counts.
    pub(crate) fn last(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.properties.iter().rfind(|(have, _)| *have == name).map(|(_, value)| *value)
    }

    /// The last value, if it is one cell.
    pub(crate) fn cell(&self, name: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(self.last(name)?.try_into().ok()?))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

fn double(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The tree that `bytes` begin with, if it is one.
pub(crate) fn read(bytes: &[u8]) -> Option<Document<'_>> {
    let [magic, size, structure, strings, reservations, version, compatible] =
        std::array::from_fn(|index| word(bytes, 4 * index));
    let ([strings_size, structure_size], size) =
        (std::array::from_fn(|index| word(bytes, 32 + 4 * index)), size?);
    let (structure, strings, reservations) = (structure?, strings?, reservations?);
    let blob = bytes.get(..size)?;
    let is_placed = |at: usize, size: usize, align: usize| {
        at >= 40 && at + size <= blob.len() && at.is_multiple_of(align)
    };
    if magic? != 0xd00d_feed
        || version? < 17
        || compatible? > 17
        || !is_placed(structure, structure_size?, 4)
        || !is_placed(strings, strings_size?, 1)
        || !is_placed(reservations, 0, 8)
    {
        return None;
    }
    let strings = &blob[strings..strings + strings_size?];
    if strings.last().is_some_and(|last| *last != 0) {
        return None;
    }
    let mut list = Vec::new();
    for at in (reservations..).step_by(16) {
        match (double(blob, at)?, double(blob, at + 8)?) {
            (0, 0) => break,
            entry => list.push(entry),
        }
    }
    let mut text = Text { words: &blob[structure..structure + structure_size?], strings };
    text.skip_nops();
    (text.word()? == 1).then_some(())?;
    let root = text.element(1)?;
    text.skip_nops();
    // The end is the end.
    (text.word()? == 9 && text.words.is_empty()).then_some(())?;
    Some(Document { size, reservations: list, root })
}

/// What is left of the structure block, always whole words from its start.
struct Text<'a> {
    words: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Text<'a> {
    fn word(&mut self) -> Option<usize> {
        let found = word(self.words, 0)?;
        self.words = &self.words[4..];
        Some(found)
    }

    /// `len` bytes, and what fills the last word up. At the very end of the block that may be
    /// missing, but then so is the token that has to follow.
    fn padded(&mut self, len: usize) -> Option<&'a [u8]> {
        let found = self.words.get(..len)?;
        self.words = self.words.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(found)
    }

    fn skip_nops(&mut self) {
        while word(self.words, 0) == Some(4) {
            self.words = &self.words[4..];
        }
    }

    /// What follows the token that begins a node at this depth.
    fn element(&mut self, depth: usize) -> Option<Element<'a>> {
        if depth > 16 {
            return None;
        }
        let len = self.words.iter().position(|byte| *byte == 0)?;
        let mut element = Element { name: &self.padded(len + 1)?[..len], ..Element::default() };
        loop {
            match self.word()? {
                4 => {}
                3 if element.children.is_empty() => {
                    let (len, name) = (self.word()?, self.word()?);
                    let value = self.padded(len)?;
                    let name = self.strings.get(name..).filter(|name| !name.is_empty())?;
                    let len = name.iter().position(|byte| *byte == 0)?;
                    element.properties.push((&name[..len], value));
                }
                1 => element.children.push(self.element(depth + 1)?),
                2 => return Some(element),
                _ => return None,
            }
        }
    }
}
