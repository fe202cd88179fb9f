//! Devices that EL2 drives itself.

pub(crate) mod gicv3;
pub(crate) mod mmio;
pub(crate) mod pl011;
pub(crate) mod virtual_interface;
