//! The vector table; the assembly is in `vectors.s`.

use core::arch::global_asm;

global_asm!(
    include_str!("vectors.s"),
    trap_call = sym crate::traps::trap_call,
    trap_sync = sym crate::traps::trap_sync,
    trap_irq = sym crate::traps::trap_irq,
    trap_serror = sym crate::traps::trap_serror,
    SLOT_SIZE = const super::percpu::SLOT_SIZE,
    fatal_exception = sym crate::panic::fatal_exception,
);
