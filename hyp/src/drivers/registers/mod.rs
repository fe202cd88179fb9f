//! What the devices' registers look like: descriptions only, which `mmio.rs` lays over a device.

pub(crate) mod armada;
pub(crate) mod cadence;
pub(crate) mod geni;
pub(crate) mod gicv2;
pub(crate) mod gicv3;
pub(crate) mod imx;
pub(crate) mod lpuart;
pub(crate) mod meson;
pub(crate) mod pl011;
