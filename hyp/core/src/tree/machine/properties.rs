//! The properties of one node, gathered before it is known what the node is.

use super::interrupts::Interrupts;
use crate::tree::{PropertyName, Strings, u32_value};

/// The properties of one node that matter here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Properties<'a> {
    pub(super) name: &'a [u8],
    pub(super) inside: usize,
    pub(super) compatible: &'a [u8],
    pub(super) device_type: &'a [u8],
    pub(super) status: &'a [u8],
    pub(super) reg: Option<&'a [u8]>,
    pub(super) ranges: Option<&'a [u8]>,
    pub(super) address_cells: Option<&'a [u8]>,
    pub(super) size_cells: Option<&'a [u8]>,
    pub(super) interrupts: Interrupts<'a>,
    pub(super) interrupt_parent: Option<u32>,
    pub(super) interrupt_cells: Option<u32>,
    pub(super) phandle: Option<u32>,
    pub(super) enable_method: &'a [u8],
    pub(super) release_address: Option<&'a [u8]>,
    pub(super) method: &'a [u8],
    pub(super) no_map: bool,
    pub(super) redistributor_regions: Option<u32>,
    pub(super) redistributor_stride: Option<&'a [u8]>,
    pub(super) reg_shift: Option<u32>,
    pub(super) reg_io_width: Option<u32>,
    pub(super) reg_offset: Option<u32>,
}

impl<'a> Properties<'a> {
    /// Takes one property in, if it matters. The first byte rules most names out.
    pub(super) fn set(&mut self, name: PropertyName<'a>, value: &'a [u8]) {
        match name.first() {
            b'#' if name.is(b"#address-cells") => self.address_cells = Some(value),
            b'#' if name.is(b"#size-cells") => self.size_cells = Some(value),
            b'#' if name.is(b"#interrupt-cells") => self.interrupt_cells = u32_value(value),
            b'#' if name.is(b"#redistributor-regions") => {
                self.redistributor_regions = u32_value(value)
            }
            b'c' if name.is(b"compatible") => self.compatible = value,
            b'c' if name.is(b"cpu-release-addr") => self.release_address = Some(value),
            b'd' if name.is(b"device_type") => self.device_type = value,
            b'e' if name.is(b"enable-method") => self.enable_method = value,
            b'i' if name.is(b"interrupts") => self.interrupts.list = Some(value),
            b'i' if name.is(b"interrupts-extended") => self.interrupts.extended = Some(value),
            b'i' if name.is(b"interrupt-names") => self.interrupts.names = Some(value),
            b'i' if name.is(b"interrupt-parent") => self.interrupt_parent = u32_value(value),
            b'm' if name.is(b"method") => self.method = value,
            b'n' if name.is(b"no-map") => self.no_map = true,
            b'p' if name.is(b"phandle") => self.phandle = u32_value(value),
            b'r' if name.is(b"reg") => self.reg = Some(value),
            b'r' if name.is(b"ranges") => self.ranges = Some(value),
            b'r' if name.is(b"reg-shift") => self.reg_shift = u32_value(value),
            b'r' if name.is(b"reg-io-width") => self.reg_io_width = u32_value(value),
            b'r' if name.is(b"reg-offset") => self.reg_offset = u32_value(value),
            b'r' if name.is(b"redistributor-stride") => self.redistributor_stride = Some(value),
            b's' if name.is(b"status") => self.status = value,
            _ => {}
        }
    }

    /// Devicetree Specification, 2.3.4: absent means okay.
    pub(super) fn is_enabled(&self) -> bool {
        matches!(self.status, b"" | b"okay\0" | b"ok\0")
    }

    pub(super) fn is_compatible(&self, with: &[&[u8]]) -> bool {
        Strings(self.compatible).any(|have| with.contains(&have))
    }

    /// The number of cells in `value`, 2 or 1 where there is none.
    pub(super) fn width(value: Option<&[u8]>, absent: u32) -> Option<u32> {
        value.map_or(Some(absent), u32_value)
    }
}
