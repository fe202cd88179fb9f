//! What of a VM does not change, with the machine's side of it.

use alloc::vec::Vec;

use model::Config;

use crate::runs::Span;

/// Addresses of the VM that lie in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where the VM sees them.
    pub ipa: u64,
    /// How many bytes, whole pages.
    pub bytes: u64,
    /// Where they lie.
    pub pa: u64,
}

impl Extent {
    /// Where the VM sees it.
    #[must_use]
    pub const fn span(&self) -> Span {
        (self.ipa, self.ipa + self.bytes)
    }

    /// Where all of `span` lies.
    #[must_use]
    pub const fn translate(&self, span: Span) -> Option<u64> {
        let (from, to) = self.span();
        if from <= span.0 && span.1 <= to { Some(span.0 - from + self.pa) } else { None }
    }
}

/// The VM and its machine.
#[derive(Debug, Clone)]
pub struct Place {
    /// The VM, as the model needs to know it.
    pub config: Config,
    /// Its memory.
    pub memory: Vec<Extent>,
    /// Devices assigned to it.
    pub devices: Vec<Extent>,
    /// VTCR_EL2 while it runs.
    pub vtcr: u64,
    /// VTTBR_EL2 while it runs.
    pub vttbr: u64,
}

impl Place {
    /// Everything there can be an entry for.
    #[must_use]
    pub const fn all(&self) -> Span {
        (0, 1 << self.config.ipa_bits)
    }

    /// Whether the page at `ipa` is memory.
    #[must_use]
    pub fn is_memory(&self, ipa: u64) -> bool {
        is_in(&self.memory, ipa)
    }

    /// Whether the page at `ipa` is an assigned device's.
    #[must_use]
    pub fn is_assigned(&self, ipa: u64) -> bool {
        is_in(&self.devices, ipa)
    }

    /// Pages of emulated devices with an address in `span`.
    pub fn emulated(&self, span: Span) -> impl Iterator<Item = u64> {
        self.config.emulated.iter().flat_map(move |(from, to)| {
            let (from, to) = ((*from).max(span.0), (*to).min(span.1));
            (from..to.max(from)).step_by(4096)
        })
    }
}

fn is_in(extents: &[Extent], ipa: u64) -> bool {
    extents.iter().any(|extent| (extent.span().0..extent.span().1).contains(&ipa))
}
