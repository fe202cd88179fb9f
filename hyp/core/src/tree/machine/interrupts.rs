//! Interrupt specifiers of a GIC (`arm,gic.yaml`, `arm,gic-v3.yaml`).

use crate::tree::{Cells, Strings};

/// First INTID of a private peripheral interrupt.
const FIRST_PPI: u32 = 16;
/// Private peripheral interrupts.
const PPIS: u32 = 16;
/// First INTID of a shared peripheral interrupt.
const FIRST_SPI: u32 = 32;
/// Shared peripheral interrupts of a GICv2 or GICv3 (INTIDs 32 to 1019).
const SPIS: u32 = 988;

/// A node's interrupts, to be understood once the GIC is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Interrupts<'a> {
    /// `interrupts`.
    pub(super) list: Option<&'a [u8]>,
    /// `interrupts-extended`, which replaces `interrupts`.
    pub(super) extended: Option<&'a [u8]>,
    /// `interrupt-names`.
    pub(super) names: Option<&'a [u8]>,
    /// Whom `interrupts` speaks to.
    pub(super) parent: Option<u32>,
}

/// What of the GIC's node is needed to understand interrupts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Controller {
    /// `phandle`.
    pub(super) phandle: Option<u32>,
    /// `#interrupt-cells`: 3, or 4 with partitioned PPIs.
    pub(super) cells: u32,
}

impl Interrupts<'_> {
    /// INTID of the `index`-th interrupt, or, where the node gives names, of the one called
    /// `name`. `None` if there is none or if it does not go to the GIC.
    #[inline(never)]
    pub(super) fn intid(&self, gic: Controller, index: usize, name: &[u8]) -> Option<u32> {
        let Some(names) = self.names else { return self.nth(gic, index) };
        let mut index: usize = 0;
        for have in Strings(names) {
            if have == name {
                return self.nth(gic, index);
            }
            index = index.saturating_add(1);
        }
        None
    }

    /// INTID of the `index`-th interrupt.
    pub(super) fn nth(&self, gic: Controller, index: usize) -> Option<u32> {
        let width = usize::try_from(gic.cells).ok().filter(|width| (3..=4).contains(width))?;
        if let Some(list) = self.extended {
            // A list that mixes controllers has entries of several sizes; only the GIC's are known.
            let stride = width.checked_add(1)?;
            let first = index.checked_mul(stride)?;
            let mut entry: usize = 0;
            while entry <= first {
                if Some(number(list, entry)?) != gic.phandle {
                    return None;
                }
                entry = entry.checked_add(stride)?;
            }
            return specifier(list, first.checked_add(1)?);
        }
        let list = self.list.filter(|_| self.parent == gic.phandle)?;
        specifier(list, index.checked_mul(width)?)
    }
}

/// Cell number `index`.
fn number(list: &[u8], index: usize) -> Option<u32> {
    Cells(list.get(index.checked_mul(4)?..)?).take(1).and_then(|cell| u32::try_from(cell).ok())
}

/// The INTID in the specifier that begins with cell number `first`.
fn specifier(list: &[u8], first: usize) -> Option<u32> {
    let mut rest = Cells(list.get(first.checked_mul(4)?..)?);
    let kind = rest.take(1)?;
    let number = u32::try_from(rest.take(1)?).ok()?;
    let (base, limit) = match kind {
        0 => (FIRST_SPI, SPIS),
        1 => (FIRST_PPI, PPIS),
        _ => return None,
    };
    (number < limit).then(|| base.checked_add(number)).flatten()
}
