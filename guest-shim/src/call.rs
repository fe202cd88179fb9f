//! The two call instructions.
#![expect(unsafe_code, reason = "HVC and SMC have no other form")]

use core::arch::asm;

use hyp_abi::smccc::FunctionId;

use crate::conduit::Conduit;

/// Calls by HVC: the conduit that every host of this ABI serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hvc;

/// Calls by SMC, for a firmware layer whose device tree says `method = "smc"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Smc;

macro_rules! call {
    ($instruction:literal, $function:expr, $args:expr) => {{
        let [x1, x2, x3] = $args;
        let (r0, r1, r2, r3): (u64, u64, u64, u64);
        // SAFETY: the instruction transfers control to the hypervisor, which by DEN0028 section
        // 2.6 changes no register but those declared here (x4 to x17 are declared too, for hosts
        // of SMCCC 1.0), returns behind it and leaves stack and flags alone. What the called
        // function does to memory is its caller's contract: see `Conduit::call`.
        unsafe {
            asm!(
                concat!($instruction, " #0"),
                inlateout("x0") u64::from($function.0) => r0,
                inlateout("x1") x1 => r1,
                inlateout("x2") x2 => r2,
                inlateout("x3") x3 => r3,
                inout("x4") 0_u64 => _, inout("x5") 0_u64 => _, inout("x6") 0_u64 => _,
                inout("x7") 0_u64 => _, inout("x8") 0_u64 => _, inout("x9") 0_u64 => _,
                inout("x10") 0_u64 => _, inout("x11") 0_u64 => _, inout("x12") 0_u64 => _,
                inout("x13") 0_u64 => _, inout("x14") 0_u64 => _, inout("x15") 0_u64 => _,
                inout("x16") 0_u64 => _, inout("x17") 0_u64 => _,
                options(nostack),
            );
        }
        [r0, r1, r2, r3]
    }};
}

impl Conduit for Hvc {
    fn call(&self, function: FunctionId, args: [u64; 3]) -> [u64; 4] {
        call!("hvc", function, args)
    }
}

impl Conduit for Smc {
    fn call(&self, function: FunctionId, args: [u64; 3]) -> [u64; 4] {
        call!("smc", function, args)
    }
}
