//! Devices that EL2 drives itself.

pub(crate) mod gicv3;
pub(crate) mod mmio;
pub(crate) mod pl011;
