//! Devices that EL2 drives itself.

mod armada;
mod cadence;
mod geni;
pub(crate) mod gic;
mod gic_parts;
mod gicv2;
mod gicv3;
mod gicv3_leftover;
mod imx;
mod lpuart;
mod meson;
pub(crate) mod mmio;
mod ns16550;
mod pl011;
mod port;
mod registers;
pub(crate) mod uart;
pub(crate) mod virtual_interface;
