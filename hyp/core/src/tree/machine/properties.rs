//! The properties of one node, gathered before it is known what the node is.

use super::interrupts::{Interrupts, Parent};
use crate::tree::{PropertyName, Strings, same, u32_value};

/// A property that matters here, in the order of [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    AddressCells,
    SizeCells,
    InterruptCells,
    RedistributorRegions,
    Compatible,
    ReleaseAddress,
    DeviceType,
    EnableMethod,
    Interrupts,
    InterruptsExtended,
    InterruptNames,
    InterruptParent,
    Method,
    NoMap,
    Phandle,
    LinuxPhandle,
    Reg,
    Ranges,
    RegShift,
    RegIoWidth,
    RegOffset,
    RedistributorStride,
    Status,
}

/// Their names, by first byte. A table, because the compiler makes a comparison that it knows one side
/// of into a row of its own instructions.
static NAMES: [&[u8]; 23] = [
    b"#address-cells",
    b"#size-cells",
    b"#interrupt-cells",
    b"#redistributor-regions",
    b"compatible",
    b"cpu-release-addr",
    b"device_type",
    b"enable-method",
    b"interrupts",
    b"interrupts-extended",
    b"interrupt-names",
    b"interrupt-parent",
    b"method",
    b"no-map",
    b"phandle",
    b"linux,phandle",
    b"reg",
    b"ranges",
    b"reg-shift",
    b"reg-io-width",
    b"reg-offset",
    b"redistributor-stride",
    b"status",
];

/// Places in [`NAMES`] of the names that begin so.
fn places(first: u8) -> (usize, usize) {
    let [begin, end] = match first {
        b'#' => [Key::AddressCells, Key::Compatible],
        b'c' => [Key::Compatible, Key::DeviceType],
        b'd' => [Key::DeviceType, Key::EnableMethod],
        b'e' => [Key::EnableMethod, Key::Interrupts],
        b'i' => [Key::Interrupts, Key::Method],
        b'm' => [Key::Method, Key::NoMap],
        b'n' => [Key::NoMap, Key::Phandle],
        b'p' => [Key::Phandle, Key::LinuxPhandle],
        b'l' => [Key::LinuxPhandle, Key::Reg],
        b'r' => [Key::Reg, Key::Status],
        b's' => return (Key::Status as usize, NAMES.len()),
        _ => return (0, 0),
    };
    (begin as usize, end as usize)
}

/// The properties of one node that matter here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Properties<'a> {
    pub(super) name: &'a [u8],
    pub(super) inside: usize,
    values: [Option<&'a [u8]>; NAMES.len()],
}

impl<'a> Properties<'a> {
    /// None yet, of the node called `name`.
    pub(super) fn new(name: &'a [u8], inside: usize) -> Self {
        Self { name, inside, ..Self::default() }
    }

    /// Takes one property in, if it matters. The first byte rules most names out.
    pub(super) fn set(&mut self, name: PropertyName<'a>, value: &'a [u8]) {
        let (begin, end) = places(name.first());
        let names = NAMES.get(begin..end).unwrap_or_default();
        let values = self.values.get_mut(begin..end).unwrap_or_default();
        for (known, place) in names.iter().zip(values) {
            if name.is(known) {
                *place = Some(value);
                return;
            }
        }
    }

    /// The value, if the property is there.
    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<&'a [u8]> {
        self.values.get(key as usize).copied().flatten()
    }

    /// The value; empty if the property is not there.
    #[inline]
    pub(super) fn value(&self, key: Key) -> &'a [u8] {
        self.get(key).unwrap_or_default()
    }

    /// The value as one cell.
    pub(super) fn number(&self, key: Key) -> Option<u32> {
        u32_value(self.get(key)?)
    }

    /// The interrupts, as far as the node itself says.
    pub(super) fn interrupts(&self) -> Interrupts<'a> {
        Interrupts {
            list: self.get(Key::Interrupts),
            extended: self.get(Key::InterruptsExtended),
            names: self.get(Key::InterruptNames),
            reg: self.value(Key::Reg),
            parent: self.number(Key::InterruptParent).map(Parent::Phandle),
        }
    }

    /// What others call the node by, in older trees by an older name.
    pub(super) fn phandle(&self) -> Option<u32> {
        self.number(Key::Phandle).or_else(|| self.number(Key::LinuxPhandle))
    }

    /// Devicetree Specification, 2.3.4: absent means okay.
    pub(super) fn is_enabled(&self) -> bool {
        let status = self.value(Key::Status);
        status.is_empty() || same(status, b"okay\0") || same(status, b"ok\0")
    }

    pub(super) fn is_compatible(&self, with: &[&[u8]]) -> bool {
        Strings(self.value(Key::Compatible)).any(|have| with.contains(&have))
    }

    /// The number of cells that `key` says, `absent` where it is not there.
    pub(super) fn width(&self, key: Key, absent: u32) -> Option<u32> {
        self.get(key).map_or(Some(absent), u32_value)
    }
}
