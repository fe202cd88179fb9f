//! Devices that EL2 drives itself.

pub(crate) mod gic;
pub(crate) mod gicv2;
pub(crate) mod gicv3;
pub(crate) mod mmio;
pub(crate) mod pl011;
pub(crate) mod virtual_interface;
