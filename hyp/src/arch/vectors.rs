//! The vector table; the assembly is in `vectors.s`.

use core::arch::global_asm;

global_asm!(
    include_str!("vectors.s"),
    trap_call = sym crate::vcpu::trap_call,
    trap_sync = sym crate::vcpu::trap_sync,
    trap_irq = sym crate::vcpu::trap_irq,
    trap_serror = sym crate::vcpu::trap_serror,
    trap_aarch32 = sym crate::vcpu::trap_aarch32,
    SLOT_SIZE = const super::percpu::SLOT_SIZE,
    fatal_exception = sym crate::panic::fatal_exception,
);
