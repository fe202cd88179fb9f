//! Entries of stage-2 tables: what the hardware reads and what Postern keeps in the bits that the
//! hardware ignores.
//!
//! A valid leaf carries its page's state in bits 58:55. An invalid leaf is either empty or carries
//! a mark in bits 63:2; nothing else is ever written.

use crate::addr::Pa;
use crate::stage2::Level;

/// Bit 0: the entry is valid (Arm ARM DDI 0487, "VMSAv8-64 descriptor formats").
const VALID: u64 = 1 << 0;
/// Bit 1: a table at levels 0 to 2, a page at level 3; clear in a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Output address, bits 47:12.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
const MEMATTR_SHIFT: u32 = 2;
const MEMATTR_MASK: u64 = 0xf;
/// MemAttr 0b1111: Normal, inner and outer write-back.
const MEMATTR_NORMAL: u64 = 0xf;
/// S2AP, bits 7:6: reads allowed.
const S2AP_READ: u64 = 0b01 << 6;
/// S2AP, bits 7:6: writes allowed.
const S2AP_WRITE: u64 = 0b10 << 6;
/// SH, bits 9:8: inner shareable. Ignored for devices, which are outer shareable.
const SH_INNER: u64 = 0b11 << 8;
/// AF: set at once, there is no use for access-flag faults.
const ACCESSED: u64 = 1 << 10;
/// XN, bit 54; with bit 53 clear it means "never" with and without FEAT_XNX.
const EXECUTE_NEVER: u64 = 1 << 54;
const STATE_SHIFT: u32 = 55;
const STATE_MASK: u64 = 0xf;

/// The mark of a guarded granule: type 1 in bits 63:2 of an invalid entry.
pub(crate) const GUARD_MARK: u64 = 1 << 2;
/// An entry that says nothing.
pub(crate) const EMPTY: u64 = 0;

/// Where an entry points.
#[inline(always)]
pub(crate) const fn address(raw: u64) -> Pa {
    Pa(raw & ADDRESS)
}

/// Whether `raw`, an entry of levels 0 to 2, points to a table.
#[inline(always)]
pub(crate) const fn is_table(raw: u64) -> bool {
    raw & (VALID | TABLE_OR_PAGE) == VALID | TABLE_OR_PAGE
}

/// Whether `raw`, an entry of level 3, says that its granule is guarded: by the mark or, for an
/// assigned device, by the state of the leaf.
#[inline(always)]
pub(crate) const fn is_guarded_page(raw: u64) -> bool {
    raw == GUARD_MARK || is_page(raw, PageState::GuardedDevice)
}

/// Whether `raw`, an entry of level 3, maps a page that has the state `state`.
#[inline(always)]
pub(crate) const fn is_page(raw: u64, state: PageState) -> bool {
    let page = (state.to_bits() << STATE_SHIFT) | VALID | TABLE_OR_PAGE;
    raw & (STATE_MASK << STATE_SHIFT | VALID | TABLE_OR_PAGE) == page
}

/// `raw`, an entry that maps something, with the page's state changed to `state`.
#[inline]
pub(crate) const fn with_state(raw: u64, state: PageState) -> u64 {
    raw & !(STATE_MASK << STATE_SHIFT) | state.to_bits() << STATE_SHIFT
}

/// Whose a page is, from the view of the VM whose leaf says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageState {
    /// The VM's own, nobody else's.
    Owned = 0,
    /// The VM's own, and another may use it.
    SharedOwned = 1,
    /// Another VM's, which has shared it.
    SharedBorrowed = 2,
    /// An assigned device's registers, mapped before the VM enrolled.
    Device = 3,
    /// An assigned device's registers in a granule that the VM has guarded.
    GuardedDevice = 4,
}

impl PageState {
    const fn to_bits(self) -> u64 {
        self as u64
    }

    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0 => Some(Self::Owned),
            1 => Some(Self::SharedOwned),
            2 => Some(Self::SharedBorrowed),
            3 => Some(Self::Device),
            4 => Some(Self::GuardedDevice),
            _ => None,
        }
    }
}

/// The device memory types, in the order of MemAttr\[1:0\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceType {
    /// Device-nGnRnE: no gathering, no reordering, no early acknowledgement.
    NonGatheringNonReorderingNoEarly = 0,
    /// Device-nGnRE, what Linux maps registers as.
    NonGatheringNonReordering = 1,
    /// Device-nGRE.
    NonGathering = 2,
    /// Device-GRE.
    Gathering = 3,
}

impl DeviceType {
    /// The type that attribute `index` of MAIR_EL1 names, if that is a device type and the index
    /// one of the eight (Arm ARM, `MAIR_EL1`: 0b0000dd00, and 0b0000dd01 with `FEAT_XS`).
    #[must_use]
    pub fn from_mair(mair: u64, index: u64) -> Option<Self> {
        let attribute = mair.to_le_bytes().get(usize::try_from(index).ok()?).copied()?;
        match attribute {
            0b0000 | 0b0001 => Some(Self::NonGatheringNonReorderingNoEarly),
            0b0100 | 0b0101 => Some(Self::NonGatheringNonReordering),
            0b1000 | 0b1001 => Some(Self::NonGathering),
            0b1100 | 0b1101 => Some(Self::Gathering),
            _ => None,
        }
    }
}

/// The memory type of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemoryType {
    /// Write-back cacheable memory.
    Normal,
    /// Device registers.
    Device(DeviceType),
}

/// Which data accesses a leaf allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Loads only.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// Whether instructions may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Execute {
    /// From EL1 and EL0.
    Allowed,
    /// Never.
    Never,
}

/// What a leaf says besides the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The memory type.
    pub memory: MemoryType,
    /// Data accesses.
    pub access: Access,
    /// Instruction fetches.
    pub execute: Execute,
}

impl Attributes {
    /// A VM's RAM: write-back, everything allowed; the guest's own stage 1 says the rest.
    pub const RAM: Self =
        Self { memory: MemoryType::Normal, access: Access::ReadWrite, execute: Execute::Allowed };

    /// Memory that a VM may read and execute.
    pub const READ_ONLY: Self = Self { access: Access::ReadOnly, ..Self::RAM };

    /// Registers of a device, never executable.
    #[must_use]
    pub const fn device(kind: DeviceType) -> Self {
        Self {
            memory: MemoryType::Device(kind),
            access: Access::ReadWrite,
            execute: Execute::Never,
        }
    }

    const fn to_bits(self) -> u64 {
        let memory = match self.memory {
            MemoryType::Normal => MEMATTR_NORMAL,
            MemoryType::Device(kind) => kind as u64,
        };
        let access = match self.access {
            Access::ReadOnly => S2AP_READ,
            Access::ReadWrite => S2AP_READ | S2AP_WRITE,
        };
        let execute = match self.execute {
            Execute::Allowed => 0,
            Execute::Never => EXECUTE_NEVER,
        };
        (memory << MEMATTR_SHIFT) | access | SH_INNER | execute
    }

    const fn from_bits(raw: u64) -> Option<Self> {
        let memory = match (raw >> MEMATTR_SHIFT) & MEMATTR_MASK {
            MEMATTR_NORMAL => MemoryType::Normal,
            0 => MemoryType::Device(DeviceType::NonGatheringNonReorderingNoEarly),
            1 => MemoryType::Device(DeviceType::NonGatheringNonReordering),
            2 => MemoryType::Device(DeviceType::NonGathering),
            3 => MemoryType::Device(DeviceType::Gathering),
            _ => return None,
        };
        let access = match (raw & S2AP_READ != 0, raw & S2AP_WRITE != 0) {
            (true, true) => Access::ReadWrite,
            (true, false) => Access::ReadOnly,
            (false, _) => return None,
        };
        let execute = if raw & EXECUTE_NEVER == 0 { Execute::Allowed } else { Execute::Never };
        Some(Self { memory, access, execute })
    }
}

/// A valid leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafEntry {
    /// Where what it maps begins.
    pub pa: Pa,
    /// How it is mapped.
    pub attributes: Attributes,
    /// Whose it is.
    pub state: PageState,
}

impl LeafEntry {
    /// The entry for this leaf at `level`.
    pub(crate) const fn encode(self, level: Level) -> u64 {
        let kind = match level {
            Level::L3 => TABLE_OR_PAGE,
            Level::L0 | Level::L1 | Level::L2 => 0,
        };
        VALID
            | kind
            | ACCESSED
            | (self.pa.0 & ADDRESS)
            | self.attributes.to_bits()
            | (self.state.to_bits() << STATE_SHIFT)
    }
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Descriptor {
    /// Nothing.
    Empty,
    /// The granule is guarded.
    Guard,
    /// The table of the next level.
    Table(Pa),
    /// A page or block.
    Leaf(LeafEntry),
    /// Nothing that Postern writes.
    Unknown,
}

impl Descriptor {
    /// What `raw` says at `level`.
    #[inline]
    pub(crate) const fn decode(raw: u64, level: Level) -> Self {
        if raw & VALID == 0 {
            return match (raw, level) {
                (EMPTY, _) => Self::Empty,
                // A mark counts at page level only.
                (GUARD_MARK, Level::L3) => Self::Guard,
                _ => Self::Unknown,
            };
        }
        let pa = Pa(raw & ADDRESS);
        match (level, raw & TABLE_OR_PAGE != 0) {
            (Level::L0 | Level::L1 | Level::L2, true) => return Self::Table(pa),
            (Level::L0, false) | (Level::L3, false) => return Self::Unknown,
            (Level::L1 | Level::L2, false) | (Level::L3, true) => {}
        }
        match (Attributes::from_bits(raw), PageState::from_bits((raw >> STATE_SHIFT) & STATE_MASK))
        {
            (Some(attributes), Some(state)) => Self::Leaf(LeafEntry { pa, attributes, state }),
            _ => Self::Unknown,
        }
    }

    /// The entry that points to the table at `pa`.
    pub(crate) const fn table(pa: Pa) -> u64 {
        VALID | TABLE_OR_PAGE | (pa.0 & ADDRESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_types_by_mair_index() {
        // Linux on arm64: Normal, tagged, non-cacheable, nGnRnE, nGnRE; then GRE, nGRE, nXS nGnRE.
        let mair = u64::from_le_bytes([0xff, 0xf0, 0x44, 0x00, 0x04, 0x0c, 0x08, 0x05]);
        let types = (0..8).map(|index| DeviceType::from_mair(mair, index));
        assert!(types.eq([
            None,
            None,
            None,
            Some(DeviceType::NonGatheringNonReorderingNoEarly),
            Some(DeviceType::NonGatheringNonReordering),
            Some(DeviceType::Gathering),
            Some(DeviceType::NonGathering),
            Some(DeviceType::NonGatheringNonReordering),
        ]));
        // Not an index: what old kernels pass is a whole protection value.
        for index in [8, 11, 16, 1 << 32 | 3, u64::MAX] {
            assert_eq!(DeviceType::from_mair(0, index), None);
        }
        // 0b0000dd1x is reserved.
        assert_eq!(DeviceType::from_mair(0x02, 0), None);
    }

    // Values put together by hand from the descriptor formats of the Arm ARM.
    #[test]
    fn leaves_are_encoded_as_documented() {
        let ram = LeafEntry {
            pa: Pa(0x8_4020_0000),
            attributes: Attributes::RAM,
            state: PageState::Owned,
        };
        assert_eq!(ram.encode(Level::L2), 0x8_4020_07fd);
        assert_eq!(ram.encode(Level::L3), 0x8_4020_07ff);
        let shared = LeafEntry { state: PageState::SharedOwned, ..ram };
        assert_eq!(shared.encode(Level::L3), 0x0080_0008_4020_07ff);
        let device = LeafEntry {
            pa: Pa(0x900_0000),
            attributes: Attributes::device(DeviceType::NonGatheringNonReordering),
            state: PageState::GuardedDevice,
        };
        assert_eq!(device.encode(Level::L3), 0x0240_0000_0900_07c7);
        let rom = LeafEntry { attributes: Attributes::READ_ONLY, ..ram };
        assert_eq!(rom.encode(Level::L1), 0x8_4020_077d);
        assert_eq!(Descriptor::table(Pa(0x4_0000_1000)), 0x4_0000_1003);
    }

    #[test]
    fn what_was_never_written_is_unknown() {
        for raw in [GUARD_MARK << 1, GUARD_MARK | 1 << 63, 2] {
            assert_eq!(Descriptor::decode(raw, Level::L3), Descriptor::Unknown);
        }
        assert_eq!(Descriptor::decode(GUARD_MARK, Level::L2), Descriptor::Unknown);
        assert_eq!(Descriptor::decode(GUARD_MARK, Level::L3), Descriptor::Guard);
        // A block at level 0 or level 3 and a leaf of no known state.
        assert_eq!(Descriptor::decode(0x7fd, Level::L0), Descriptor::Unknown);
        assert_eq!(Descriptor::decode(0x7fd, Level::L3), Descriptor::Unknown);
        assert_eq!(Descriptor::decode(0x0780_0000_0000_07ff, Level::L3), Descriptor::Unknown);
    }
}
