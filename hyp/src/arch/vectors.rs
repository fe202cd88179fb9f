//! The vector table; the assembly is in `vectors.s`.

/// Assembles the vectors, which call these functions.
macro_rules! table {
    (
        sync = $sync:path,
        access = $access:path,
        register = $register:path,
        irq = $irq:path,
        serror = $serror:path,
        fatal = $fatal:path
    ) => {
        #[expect(unsafe_code, reason = "vectors are assembly")]
        mod vector_table {
            core::arch::global_asm!(
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/arch/vectors.s")),
                trap_sync = sym $sync,
                trap_access = sym $access,
                trap_register = sym $register,
                trap_irq = sym $irq,
                trap_serror = sym $serror,
                SLOT_SIZE = const crate::arch::percpu::SLOT_SIZE,
                fatal_exception = sym $fatal,
            );
        }
    };
}
pub(crate) use table;
