//! Devices that EL2 drives itself.

pub(crate) mod gic;
mod gic_parts;
mod gicv2;
mod gicv3;
pub(crate) mod mmio;
pub(crate) mod pl011;
mod registers;
pub(crate) mod virtual_interface;
