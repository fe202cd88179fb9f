//! What the registers hold that each CPU writes when it enters EL2, for `injection.rs`.

use core::arch::asm;

use super::barrier::isb;

/// Reads the register with this encoding.
macro_rules! read {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reading a control register has no effect on memory or control flow.
        unsafe {
            asm!(concat!("mrs {}, ", $register), out(reg) value,
                 options(nomem, nostack, preserves_flags));
        }
        value
    }};
}

/// Writes CPTR_EL2.
fn set_traps(value: u64) {
    super::sysreg::set_cptr_el2(value);
    isb();
}

macro_rules! readers {
    ($($part:ident { $(
        when [$($id:ident . $field:ident $of:literal [$lsb:literal, $bits:literal]
            in $least:literal ..= $most:literal),*]
        { $($name:ident $register:literal = $value:literal;)+ } then $sync:literal;
    )+ })+) => {
        /// Calls `tell` with name and value of each that this CPU has.
        pub(crate) fn each(tell: &mut dyn FnMut(&str, u64)) {
            let traps = read!("cptr_el2");
            $($(
                if true $(&& ($least..=$most).contains(&(read!($of) >> $lsb & ((1 << $bits) - 1))))* {
                    $(
                        // SVCR does not answer while CPTR_EL2.TSM is set.
                        let is_hidden = stringify!($name) == "SVCR";
                        if is_hidden {
                            set_traps(traps & !(1 << 12));
                        }
                        tell(stringify!($name), read!($register));
                        if is_hidden {
                            set_traps(traps);
                        }
                    )+
                }
            )+)+
        }
    };
}
hyp_core::entry_registers!(readers);
