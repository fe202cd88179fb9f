//! The device tree this guest was started with: just enough reading.
//!
//! The tree comes from the party that loaded this guest and is taken as well-formed; a damaged one
//! ends the walk early. Runs with the MMU off too.

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const MAX_DEPTH: usize = 8;

/// One property and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Property<'a> {
    /// Name of its node's parent; empty for children of the root.
    pub parent: &'a [u8],
    /// Name of its node.
    pub node: &'a [u8],
    /// Its own name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

/// A number of one or two cells.
pub fn cells(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let first = u64::from(be32(bytes, at)?);
    if count == 1 { Some(first) } else { Some((first << 32) | u64::from(be32(bytes, at + 4)?)) }
}

fn string(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    rest.get(..rest.iter().position(|&b| b == 0)?)
}

/// Calls `visit` for every property in order.
fn walk<'a>(tree: &'a [u8], mut visit: impl FnMut(Property<'a>)) -> Option<()> {
    let mut at = be32(tree, 8)? as usize;
    let strings = be32(tree, 12)? as usize;
    let mut names: [&[u8]; MAX_DEPTH] = [b""; MAX_DEPTH];
    let mut depth = 0;
    loop {
        let token = be32(tree, at)?;
        at += 4;
        match token {
            BEGIN_NODE => {
                let name = string(tree, at)?;
                *names.get_mut(depth)? = name;
                depth += 1;
                at = (at + name.len() + 4) & !3;
            }
            END_NODE => depth = depth.checked_sub(1)?,
            PROPERTY => {
                let length = be32(tree, at)? as usize;
                let name = string(tree, strings + be32(tree, at + 4)? as usize)?;
                let value = tree.get(at + 8..at + 8 + length)?;
                at = (at + 8 + length + 3) & !3;
                let [parent, node] = match depth {
                    0 => return None,
                    1 => [&b""[..], b""],
                    _ => [names[depth - 2], names[depth - 1]],
                };
                visit(Property { parent, node, name, value });
            }
            NOP => {}
            _ => return Some(()),
        }
    }
}

/// The last property that `select` picks.
pub fn find<'a>(tree: &'a [u8], select: impl Fn(&Property<'a>) -> bool) -> Option<Property<'a>> {
    let mut found = None;
    walk(tree, |property| {
        if select(&property) {
            found = Some(property);
        }
    });
    found
}

/// Calls `visit` with the affinity of each CPU.
pub fn cpus(tree: &[u8], mut visit: impl FnMut(u64)) {
    walk(tree, |p| {
        if p.parent == b"cpus" && p.node.starts_with(b"cpu@") && p.name == b"reg" {
            visit(cells(p.value, 0, p.value.len() / 4).unwrap_or(0));
        }
    });
}

/// Base and size of RAM: the first bank.
pub fn memory(tree: &[u8]) -> (u64, u64) {
    find(tree, |p| p.parent.is_empty() && p.node.starts_with(b"memory") && p.name == b"reg")
        .and_then(|p| Some((cells(p.value, 0, 2)?, cells(p.value, 8, 2)?)))
        .unwrap_or((0, 0))
}

/// The `reg` of the node that is `compatible`; two cells for each number.
pub fn reg<'a>(tree: &'a [u8], compatible: &[u8]) -> Option<&'a [u8]> {
    let node = find(tree, |p| {
        p.name == b"compatible" && p.value.split(|&b| b == 0).any(|one| one == compatible)
    })?
    .node;
    Some(find(tree, |p| p.node == node && p.name == b"reg")?.value)
}

/// The command line.
pub fn bootargs(tree: &[u8]) -> &str {
    find(tree, |p| p.node == b"chosen" && p.name == b"bootargs")
        .and_then(|p| string(p.value, 0))
        .and_then(|text| core::str::from_utf8(text).ok())
        .unwrap_or("")
}
