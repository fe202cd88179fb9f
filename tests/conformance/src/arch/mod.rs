//! Everything that needs an instruction of its own or a raw address: entry, vectors, page tables,
//! registers, device access, probes. The only unsafe part of this guest.

pub(crate) mod cpu;
pub(crate) mod debug;
pub(crate) mod entry;
pub(crate) mod hostile;

pub(crate) mod mmu;
pub(crate) mod probe;
pub(crate) mod registers;
pub(crate) mod sysreg;
pub(crate) mod twins;

pub(crate) use guest_runtime::mmio;
