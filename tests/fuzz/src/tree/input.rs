//! What bytes mean as a tree: the tree itself, one that is built, or a real one that is changed.

use crate::bytes::Bytes;

const VIRT_GICV2: &[u8] = include_bytes!("../../../../hyp/core/src/tree/testdata/virt-gicv2.dtb");
const VIRT_GICV3: &[u8] = include_bytes!("../../../../hyp/core/src/tree/testdata/virt-gicv3.dtb");
/// Bytes of the header.
const HEADER: usize = 40;
/// Tokens that one input may build.
const MOST_TOKENS: usize = 400;

/// Names of nodes.
const NODES: [&[u8]; 16] = [
    b"",
    b"cpus",
    b"cpu@0",
    b"cpu@1",
    b"memory@40000000",
    b"reserved-memory",
    b"chosen",
    b"aliases",
    b"intc@8000000",
    b"its@8080000",
    b"timer",
    b"psci",
    b"soc",
    b"serial@9000000",
    b"firmware",
    b"memory",
];

/// Names of properties; all of them are in the strings block.
const PROPERTIES: [&[u8]; 40] = [
    b"reg",
    b"compatible",
    b"device_type",
    b"status",
    b"#address-cells",
    b"#size-cells",
    b"#interrupt-cells",
    b"ranges",
    b"interrupts",
    b"interrupts-extended",
    b"interrupt-names",
    b"interrupt-parent",
    b"phandle",
    b"enable-method",
    b"cpu-release-addr",
    b"method",
    b"no-map",
    b"#redistributor-regions",
    b"redistributor-stride",
    b"reg-shift",
    b"reg-io-width",
    b"reg-offset",
    b"bootargs",
    b"stdout-path",
    b"linux,initrd-start",
    b"linux,initrd-end",
    b"rng-seed",
    b"kaslr-seed",
    b"serial0",
    b"model",
    b"linux,stdout-path",
    b"method-x",
    b"regs",
    b"",
    b"r",
    b"interrupt-map",
    b"#",
    b"\xe4\xf6",
    b"interrupt-map-mask",
    b"linux,phandle",
];

/// Values that are text.
const TEXTS: [&[u8]; 30] = [
    b"memory\0",
    b"cpu\0",
    b"okay\0",
    b"disabled\0",
    b"fail-sss\0",
    b"arm,gic-v3\0",
    b"arm,gic-400\0",
    b"arm,cortex-a15-gic\0arm,gic-v3\0",
    b"arm,armv8-timer\0",
    b"arm,psci-1.0\0arm,psci-0.2\0",
    b"arm,psci\0",
    b"arm,pl011\0arm,primecell\0",
    b"ns16550a\0arm,gic-v3\0",
    b"snps,dw-apb-uart\0",
    b"brcm,bcm2835-aux-uart\0",
    b"cdns,uart-r1p8\0",
    b"fsl,imx6q-uart\0",
    b"psci\0",
    b"spin-table\0",
    b"smc\0",
    b"hvc\0",
    b"serial0:115200n8\0",
    b"/soc/serial@9000000\0",
    b"/serial\0",
    b"phys\0virt\0hyp-phys\0",
    b"sec-phys\0phys\0virt\0hyp-phys\0hyp-virt\0",
    b"postern.log=debug\0",
    b"not terminated",
    b"two\0words\0",
    b"\xff\xfe\0",
];

/// Numbers that mean something.
const CELLS: [u32; 20] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    9,
    13,
    14,
    27,
    30,
    0x1000,
    0x1_0000,
    0x800_0000,
    0x4000_0000,
    0x8000_0000,
    0xffff_ffff,
    0xffff_f000,
    0x8001,
];

/// The tree that an input is.
pub(super) fn blob(bytes: &mut Bytes<'_>) -> Vec<u8> {
    match bytes.u8() {
        0 => bytes.rest().to_vec(),
        1 => changed(VIRT_GICV2, bytes),
        2 => changed(VIRT_GICV3, bytes),
        3 => {
            let built = built(bytes);
            changed(&built, bytes)
        }
        _ => built(bytes),
    }
}

/// `tree` with bytes and words of the input put into it, or cut.
fn changed(tree: &[u8], bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut tree = tree.to_vec();
    while !bytes.is_empty() && !tree.is_empty() {
        let how = bytes.u8();
        let at = usize::from(bytes.u16()) % tree.len();
        let word = at & !3;
        match how {
            0..=0x3f => tree[at] = bytes.u8(),
            0x40..=0x9f if word + 4 <= tree.len() => {
                tree[word..word + 4].copy_from_slice(&number(bytes).to_be_bytes());
            }
            // The header's words.
            0xa0..=0xbf if tree.len() >= HEADER => {
                let word = (at % HEADER) & !3;
                tree[word..word + 4].copy_from_slice(&number(bytes).to_be_bytes());
            }
            // A token in another's place.
            0xc0..=0xdf if word + 4 <= tree.len() => {
                let token = bytes.choose(&[1u32, 2, 3, 4, 9]);
                tree[word..word + 4].copy_from_slice(&token.to_be_bytes());
            }
            0xe0..=0xef => {
                let text = bytes.choose(&TEXTS);
                for (to, from) in tree[at..].iter_mut().zip(text) {
                    *to = *from;
                }
            }
            0xf0 => tree.truncate(at),
            _ => {
                let from = usize::from(bytes.u16()) % tree.len();
                let len = usize::from(bytes.u8()).min(tree.len() - at.max(from));
                tree.copy_within(from..from + len, at);
            }
        }
    }
    tree
}

fn number(bytes: &mut Bytes<'_>) -> u32 {
    match bytes.u8() {
        form @ 0..=0xdf => CELLS[usize::from(form) % CELLS.len()],
        _ => bytes.u32(),
    }
}

/// A tree that is written token by token, well formed unless the input wants something else.
fn built(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut words: Vec<u8> = Vec::new();
    let mut put = |word: u32, more: &[u8]| {
        words.extend(word.to_be_bytes());
        words.extend(more);
        words.resize(words.len().next_multiple_of(4), 0);
    };
    let mut reservations = Vec::new();
    let mut depth = 1;
    put(1, b"\0");
    for _ in 0..MOST_TOKENS {
        if bytes.is_empty() || depth == 0 {
            break;
        }
        match bytes.u8() {
            form @ 0..=0x2f => {
                let mut name = NODES[usize::from(form) % NODES.len()].to_vec();
                name.push(0);
                put(1, &name);
                depth += 1;
            }
            0x30..=0x4f if depth > 1 => {
                put(2, b"");
                depth -= 1;
            }
            0x50..=0xdf => {
                let (name, value) = (bytes.below(PROPERTIES.len()), value(bytes));
                let mut more = u32::try_from(value.len()).unwrap().to_be_bytes().to_vec();
                more.extend(u32::try_from(offset(name)).unwrap().to_be_bytes());
                more.extend(value);
                put(3, &more);
            }
            0xe0..=0xe7 => {
                put(1, b"");
                // Its name comes from the input, and may not end.
                put(u32::from_le_bytes(bytes.array()), b"");
                depth += 1;
            }
            0xe8..=0xef => {
                for _ in 0..4 {
                    reservations.extend(number(bytes).to_be_bytes());
                }
            }
            0xf0..=0xfb => put(4, b""),
            0xfc => put(2, b""),
            _ => put(number(bytes), b""),
        }
    }
    for _ in 0..depth {
        put(2, b"");
    }
    put(9, b"");
    assemble(&reservations, &words)
}

fn value(bytes: &mut Bytes<'_>) -> Vec<u8> {
    match bytes.u8() {
        form @ 0..=0x7f => (0..form & 15).flat_map(|_| number(bytes).to_be_bytes()).collect(),
        form @ 0x80..=0xef => TEXTS[usize::from(form & 0x7f) % TEXTS.len()].to_vec(),
        form => bytes.take(usize::from(form & 15)).to_vec(),
    }
}

/// Where the name of a property is in the strings block.
fn offset(name: usize) -> usize {
    PROPERTIES[..name].iter().map(|name| name.len() + 1).sum()
}

/// Header, reservations, structure and strings.
fn assemble(reservations: &[u8], words: &[u8]) -> Vec<u8> {
    let mut strings: Vec<u8> = PROPERTIES.join(&0);
    strings.push(0);
    let structure = HEADER + reservations.len() + 16;
    let names = structure + words.len();
    let size = names + strings.len();
    let header =
        [0xd00d_feed, size, structure, names, HEADER, 17, 16, 0, strings.len(), words.len()];
    let mut blob: Vec<u8> =
        header.iter().flat_map(|word| u32::try_from(*word).unwrap().to_be_bytes()).collect();
    blob.extend(reservations);
    blob.extend([0; 16]);
    blob.extend(words);
    blob.extend(strings);
    blob
}
