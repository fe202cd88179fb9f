//! The properties of one node, gathered before it is known what the node is.

use super::interrupts::Interrupts;
use crate::tree::{Strings, TreeError, u32_value};

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
}

impl<'a> Properties<'a> {
    pub(super) fn set(&mut self, name: &'a [u8], value: &'a [u8]) {
        match name {
            b"compatible" => self.compatible = value,
            b"device_type" => self.device_type = value,
            b"status" => self.status = value,
            b"reg" => self.reg = Some(value),
            b"ranges" => self.ranges = Some(value),
            b"#address-cells" => self.address_cells = Some(value),
            b"#size-cells" => self.size_cells = Some(value),
            b"interrupts" => self.interrupts.list = Some(value),
            b"interrupts-extended" => self.interrupts.extended = Some(value),
            b"interrupt-names" => self.interrupts.names = Some(value),
            b"interrupt-parent" => self.interrupt_parent = u32_value(value),
            b"#interrupt-cells" => self.interrupt_cells = u32_value(value),
            b"phandle" => self.phandle = u32_value(value),
            b"enable-method" => self.enable_method = value,
            b"cpu-release-addr" => self.release_address = Some(value),
            b"method" => self.method = value,
            b"no-map" => self.no_map = true,
            b"#redistributor-regions" => self.redistributor_regions = u32_value(value),
            b"redistributor-stride" => self.redistributor_stride = Some(value),
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

    pub(super) fn width(
        &self,
        value: Option<&[u8]>,
        property: &'static str,
        absent: u32,
    ) -> Result<u32, TreeError> {
        match value {
            None => Ok(absent),
            Some(value) => {
                u32_value(value).ok_or(TreeError::content(self.name, property, "is not one cell"))
            }
        }
    }
}
