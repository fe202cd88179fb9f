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

/// The first property that `select` picks.
fn first<'a>(tree: &'a [u8], select: impl Fn(&Property<'a>) -> bool) -> Option<Property<'a>> {
    let mut found = None;
    walk(tree, |property| {
        if found.is_none() && select(&property) {
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
    let node = find(tree, |p| is_compatible(p, compatible))?.node;
    Some(find(tree, |p| p.node == node && p.name == b"reg")?.value)
}

/// A UART that this guest can drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uart {
    /// A PL011 (Arm DDI 0183), registers accessed as words.
    Pl011,
    /// A 16550 (devicetree bindings, `serial/8250.yaml`): register `n` is `n << shift` bytes from the
    /// first, accessed as a word or as a byte.
    Ns16550 {
        /// `reg-shift`.
        shift: u32,
        /// `reg-io-width` is 4.
        is_wide: bool,
    },
}

/// Address and kind of the console: the UART that `/chosen/stdout-path` names, by its path or by an
/// alias; without one, the first PL011, and then the first 16550, of the tree.
pub fn console(tree: &[u8]) -> Option<(u64, Uart)> {
    let named = || {
        let path = find(tree, |p| p.node == b"chosen" && p.name == b"stdout-path")?.value;
        let path = until(until(path, 0), b':');
        let path = match path.first()? {
            b'/' => path,
            _ => until(find(tree, |p| p.node == b"aliases" && p.name == path)?.value, 0),
        };
        uart(tree, path.rsplit(|&b| b == b'/').next()?)
    };
    let first = |compatible: &[u8]| uart(tree, first(tree, |p| is_compatible(p, compatible))?.node);
    named().or_else(|| first(PL011)).or_else(|| first(NS16550A))
}

const PL011: &[u8] = b"arm,pl011";
const NS16550A: &[u8] = b"ns16550a";

/// The UART that the node called `name` describes.
fn uart(tree: &[u8], name: &[u8]) -> Option<(u64, Uart)> {
    let property = |wanted: &[u8]| first(tree, |p| p.node == name && p.name == wanted);
    let number = |wanted| be32(property(wanted)?.value, 0);
    let compatible = property(b"compatible")?;
    let kind = if is_compatible(&compatible, PL011) {
        Uart::Pl011
    } else if [NS16550A, b"ns16550"].iter().any(|one| is_compatible(&compatible, one)) {
        Uart::Ns16550 {
            shift: number(b"reg-shift").unwrap_or(0),
            is_wide: number(b"reg-io-width") == Some(4),
        }
    } else {
        return None;
    };
    Some((cells(property(b"reg")?.value, 0, 2)?, kind))
}

/// The bytes before `end`, or all.
fn until(bytes: &[u8], end: u8) -> &[u8] {
    bytes.split(|&b| b == end).next().unwrap_or(bytes)
}

fn is_compatible(property: &Property<'_>, wanted: &[u8]) -> bool {
    property.name == b"compatible" && property.value.split(|&b| b == 0).any(|one| one == wanted)
}

/// The command line.
pub fn bootargs(tree: &[u8]) -> &str {
    find(tree, |p| p.node == b"chosen" && p.name == b"bootargs")
        .and_then(|p| string(p.value, 0))
        .and_then(|text| core::str::from_utf8(text).ok())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A tree put together from the Devicetree Specification v0.4, chapter 5: `text` has a node's name on
    /// a line of its own, `}` at its end, and between them lines `name value`.
    fn tree(text: &str) -> Vec<u8> {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        let padded = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(4), 0);
        structure.extend([0, 0, 0, 1, 0, 0, 0, 0]);
        for line in text.lines().map(str::trim) {
            if line == "}" {
                structure.extend([0, 0, 0, 2]);
            } else if let Some((name, value)) = line.split_once(' ') {
                let value = match value.strip_prefix('<') {
                    Some(numbers) => numbers
                        .split_whitespace()
                        .flat_map(|n| u32::from_str_radix(n, 16).unwrap().to_be_bytes())
                        .collect(),
                    None => [value.replace('|', "\0").as_bytes(), b"\0"].concat(),
                };
                structure.extend([0, 0, 0, 3]);
                structure.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                structure.extend(u32::try_from(strings.len()).unwrap().to_be_bytes());
                structure.extend(value);
                padded(&mut structure);
                strings.extend([name.as_bytes(), b"\0"].concat());
            } else if !line.is_empty() {
                structure.extend([0, 0, 0, 1]);
                structure.extend([line.as_bytes(), b"\0"].concat());
                padded(&mut structure);
            }
        }
        structure.extend([0, 0, 0, 2, 0, 0, 0, 9]);
        let at = 40 + u32::try_from(structure.len()).unwrap();
        let header = [0xd00d_feed, at + u32::try_from(strings.len()).unwrap(), 40, at, 0, 17, 16];
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_be_bytes).collect();
        bytes.resize(40, 0);
        [bytes, structure, strings].concat()
    }

    /// As kvmtool writes it: no `stdout-path`.
    const FOUR: &str = "
        U6_16550A@1000000
            compatible ns16550a
            reg <0 1000000 0 8
        }
        U6_16550A@1001000
            compatible ns16550a
            reg <0 1001000 0 8
        }";
    const ONE: Uart = Uart::Ns16550 { shift: 0, is_wide: false };

    #[test]
    fn the_console_is_what_the_tree_names() {
        for (chosen, at) in [
            ("chosen\nstdout-path /U6_16550A@1001000\n}", 0x100_1000),
            ("aliases\nserial0 /U6_16550A@1001000\n}\nchosen\nstdout-path serial0\n}", 0x100_1000),
            ("chosen\nstdout-path /U6_16550A@1001000:115200n8\n}", 0x100_1000),
            ("chosen\nstdout-path /gone\n}", 0x100_0000),
            ("chosen\nstdout-path serial9:115200\n}", 0x100_0000),
            ("chosen\nbootargs a b\n}", 0x100_0000),
        ] {
            let tree = tree(&std::format!("{chosen}\n{FOUR}"));
            assert_eq!(console(&tree), Some((at, ONE)), "{chosen}");
        }
    }

    #[test]
    fn a_uart_says_how_it_is_accessed() {
        let wide = "bus\nserial@7\ncompatible vendor,uart|ns16550a\nreg <1 7 0 20\nreg-shift <2\n\
                    reg-io-width <4\n}\n}";
        let is_wide = Uart::Ns16550 { shift: 2, is_wide: true };
        assert_eq!(console(&tree(wide)), Some((0x1_0000_0007, is_wide)));
        let both =
            std::format!("{FOUR}\npl011@9000000\ncompatible arm,pl011\nreg <0 9000000 0 1000\n}}");
        assert_eq!(console(&tree(&both)), Some((0x900_0000, Uart::Pl011)));
        assert_eq!(console(&tree("other@1\ncompatible x\nreg <0 1 0 1\n}")), None);
        assert_eq!(console(b""), None);
    }
}
