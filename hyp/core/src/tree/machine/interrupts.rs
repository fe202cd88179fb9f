//! Where a node's interrupts lead: from the node through the maps of nexus nodes to the GIC (Devicetree
//! Specification v0.4, 2.4), and what a GIC's specifiers mean (`arm,gic.yaml`, `arm,gic-v3.yaml`).

use crate::tree::{Cells, MAX_DEPTH, Node, Strings, Tree, u32_value};
use core::iter::repeat;
use core::ops::Range;

/// First INTID of a private peripheral interrupt.
const FIRST_PPI: u32 = 16;
/// Private peripheral interrupts.
const PPIS: u32 = 16;
/// First INTID of a shared peripheral interrupt.
const FIRST_SPI: u32 = 32;
/// Shared peripheral interrupts of a GICv2 or GICv3 (INTIDs 32 to 1019).
const SPIS: u32 = 988;

/// Whom a node's interrupts speak to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parent {
    /// The node with this `phandle`.
    Phandle(u32),
    /// The node whose inside begins here.
    Inside(usize),
}

/// A node's interrupts, to be understood once the GIC is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Interrupts<'a> {
    /// `interrupts`.
    pub(super) list: Option<&'a [u8]>,
    /// `interrupts-extended`, which replaces `interrupts`.
    pub(super) extended: Option<&'a [u8]>,
    /// `interrupt-names`.
    pub(super) names: Option<&'a [u8]>,
    /// `reg`: a map may ask for the unit address that it begins with.
    pub(super) reg: &'a [u8],
    /// Whom `interrupts` speaks to.
    pub(super) parent: Option<Parent>,
}

/// What of the GIC's node is needed to understand interrupts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Controller {
    /// Where its inside begins.
    pub(super) inside: usize,
    /// `phandle`.
    pub(super) phandle: Option<u32>,
    /// `#interrupt-cells`: 3, or 4 with partitioned PPIs.
    pub(super) cells: u32,
    /// `#address-cells`, 0 if absent: as wide are the unit addresses in front of its specifiers in maps.
    pub(super) address_cells: u32,
}

/// Controllers that hand each specifier on to the GIC as it is, whatever they do with it themselves: i.MX's
/// power controller looks which of them wake the machine (`fsl,imx-gpcv2.yaml`).
const HAND_ON: [&[u8]; 2] = [b"fsl,imx8mq-gpc", b"fsl,imx7d-gpc"];

/// Where interrupts can lead.
#[derive(Clone, Copy)]
enum Domain<'a> {
    Gic,
    Other(Node<'a>),
}

/// What knows where interrupts lead: the tree, and which node of it is the GIC.
#[derive(Clone, Copy)]
pub(super) struct Router<'a> {
    pub(super) tree: Tree<'a>,
    pub(super) gic: Controller,
}

impl<'a> Router<'a> {
    /// INTID of the `index`-th interrupt of a node, or, where that gives names, of the one called
    /// `name`. `None` if there is none or if it does not go to the GIC.
    #[inline(never)]
    pub(super) fn intid(&self, of: &Interrupts<'a>, index: usize, name: &[u8]) -> Option<u32> {
        let Some(names) = of.names else { return self.nth(of, index) };
        self.nth(of, Strings(names).position(|have| have == name)?)
    }

    /// INTID of the `index`-th interrupt.
    pub(super) fn nth(&self, of: &Interrupts<'a>, index: usize) -> Option<u32> {
        gic_intid(self.specifier(of, index)?)
    }

    /// INTID of the first interrupt, if it is level-triggered.
    pub(super) fn level(&self, of: &Interrupts<'a>) -> Option<u32> {
        let specifier = self.specifier(of, 0)?;
        gic_intid(specifier).filter(|_| !is_edge(specifier))
    }

    /// The GIC's specifier of the `index`-th interrupt, and what follows it.
    fn specifier(&self, of: &Interrupts<'a>, index: usize) -> Option<&'a [u8]> {
        let (domain, rest) = match of.extended {
            Some(mut list) => {
                // Each entry is as long as its own controller says.
                for _ in 0..index {
                    let (domain, rest) = self.extended(list)?;
                    list = rest.get(bytes(self.cells(domain)?)?..)?;
                }
                self.extended(list)?
            }
            None => {
                let domain = self.domain(of.parent?)?;
                let first = bytes(self.cells(domain)?)?.checked_mul(index)?;
                (domain, of.list?.get(first..)?)
            }
        };
        self.follow(domain, of.reg, rest)
    }

    /// The first entry of `interrupts-extended`: whom it speaks to, and what follows.
    fn extended(&self, list: &'a [u8]) -> Option<(Domain<'a>, &'a [u8])> {
        let (phandle, rest) = list.split_first_chunk()?;
        Some((self.domain(Parent::Phandle(u32::from_be_bytes(*phandle)))?, rest))
    }

    fn domain(&self, parent: Parent) -> Option<Domain<'a>> {
        Some(match parent {
            Parent::Phandle(phandle) if Some(phandle) == self.gic.phandle => Domain::Gic,
            Parent::Inside(inside) if inside == self.gic.inside => Domain::Gic,
            Parent::Phandle(phandle) => Domain::Other(self.tree.with_phandle(phandle)?),
            Parent::Inside(inside) => Domain::Other(self.tree.at(inside)),
        })
    }

    /// Cells of a specifier.
    fn cells(&self, domain: Domain<'a>) -> Option<u32> {
        match domain {
            Domain::Gic => Some(self.gic.cells).filter(|cells| (3..=4).contains(cells)),
            Domain::Other(node) => node.cell("#interrupt-cells"),
        }
    }

    /// The GIC's specifier at the end of the way that the specifier in front of `specifier` takes. `unit` begins
    /// with the unit address of whoever raises it.
    fn follow(&self, domain: Domain<'a>, unit: &'a [u8], specifier: &'a [u8]) -> Option<&'a [u8]> {
        let (mut domain, mut unit, mut specifier) = (domain, unit, specifier);
        // Maps that lead in a circle end nowhere.
        for _ in 0..MAX_DEPTH {
            match domain {
                Domain::Gic => return Some(specifier),
                Domain::Other(nexus) => {
                    (domain, unit, specifier) = self.through(nexus, unit, specifier)?;
                }
            }
        }
        None
    }

    /// Where `nexus` leads a specifier, most often by its `interrupt-map`: to whom, with which unit
    /// address and specifier.
    fn through(
        &self,
        nexus: Node<'a>,
        unit: &'a [u8],
        specifier: &'a [u8],
    ) -> Option<(Domain<'a>, &'a [u8], &'a [u8])> {
        if Strings(nexus.value(b"compatible").unwrap_or_default())
            .any(|name| HAND_ON.contains(&name))
        {
            let parent = Parent::Phandle(nexus.cell("interrupt-parent")?);
            return Some((self.domain(parent)?, unit, specifier));
        }
        let unit_len = bytes(nexus.cell("#address-cells").unwrap_or(2))?;
        let specifier = specifier.get(..bytes(nexus.cell("#interrupt-cells")?)?)?;
        let key_len = unit_len.checked_add(specifier.len())?;
        let mask = nexus.value(b"interrupt-map-mask").unwrap_or_default();
        let mut map = nexus.value(b"interrupt-map")?;
        loop {
            let (entry, rest) = map.split_at_checked(key_len)?;
            let (domain, rest) = self.extended(rest)?;
            let address_cells = match domain {
                Domain::Gic => self.gic.address_cells,
                Domain::Other(node) => node.cell("#address-cells").unwrap_or(0),
            };
            let (to_unit, rest) = rest.split_at_checked(bytes(address_cells)?)?;
            let (to_specifier, rest) = rest.split_at_checked(bytes(self.cells(domain)?)?)?;
            let key = unit.iter().chain(repeat(&0)).take(unit_len).chain(specifier);
            let mut masked = entry.iter().zip(key).zip(mask.iter().chain(repeat(&0xff)));
            if masked.all(|((have, want), mask)| (have ^ want) & mask == 0) {
                return Some((domain, to_unit, to_specifier));
            }
            map = rest;
        }
    }
}

/// Bytes of `cells` cells.
fn bytes(cells: u32) -> Option<usize> {
    usize::try_from(cells).ok()?.checked_mul(4)
}

/// The INTID in a GIC's specifier.
fn gic_intid(specifier: &[u8]) -> Option<u32> {
    let mut rest = Cells(specifier);
    let kind = rest.take(1)?;
    let number = u32::try_from(rest.take(1)?).ok()?;
    let (base, limit) = match kind {
        0 => (FIRST_SPI, SPIS),
        1 => (FIRST_PPI, PPIS),
        _ => return None,
    };
    (number < limit).then(|| base.checked_add(number)).flatten()
}

/// Whether a GIC's specifier says that its interrupt is an edge, in the third cell (`arm,gic.yaml`).
fn is_edge(specifier: &[u8]) -> bool {
    const FLAGS: Range<usize> = 8..12;
    const EDGES: u32 = 0b11;
    specifier.get(FLAGS).and_then(u32_value).is_some_and(|flags| flags & EDGES != 0)
}
