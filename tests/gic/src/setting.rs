//! What a run of the two side by side is about.

use hyp_core::vgic::GicVersion;

use crate::event::Source;
use crate::model::{Config, Version};
use crate::subject::{Choices, Features};

/// INTIDs that Postern's virtual platform has.
const INTIDS: u32 = 128;

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// A GICv2, else a GICv3.
    pub is_v2: bool,
    /// 1 to 8.
    pub vcpus: usize,
    /// 1 to 16.
    pub list_registers: usize,
    /// The hardware can trap deactivations alone (ICH_VTR_EL2.TDS).
    pub traps_deactivation: bool,
    /// The hardware counts ends that only drop the priority.
    pub counts_drops: bool,
    /// The guest begins with everything enabled, in group 1.
    pub is_started: bool,
}

impl Setting {
    /// The first bytes of `source`.
    pub fn next(source: &mut Source<'_>) -> Self {
        let flags = source.byte();
        let flag = |n: u32| flags >> n & 1 == 1;
        Self {
            is_v2: flag(0),
            traps_deactivation: flag(1),
            counts_drops: flag(2),
            is_started: !flag(4) || !flag(5),
            vcpus: [3, 1, 2, 4][source.below(4)],
            list_registers: [4, 1, 2, 16][source.below(4)],
        }
    }

    pub(crate) const fn config(&self) -> Config {
        let version = if self.is_v2 { Version::V2 } else { Version::V3 };
        Config { version, vcpus: self.vcpus, end: INTIDS }
    }

    pub(crate) const fn choices(&self) -> Choices {
        Choices {
            version: if self.is_v2 { GicVersion::V2 } else { GicVersion::V3 },
            vcpus: self.vcpus,
            features: Features {
                is_v2: self.is_v2,
                list_registers: self.list_registers,
                traps_deactivation: self.traps_deactivation,
                counts_drops: self.counts_drops,
            },
        }
    }
}
