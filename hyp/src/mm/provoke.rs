//! Crashes on purpose, which a test asks for by a boot argument: the only way to see from outside
//! that EL2's own map protects what it should and that a crash is reported in full.
//!
//! Whoever writes the boot arguments loads the image too, so this gives nobody anything.

use alloc::boxed::Box;
use core::hint::black_box;

use crate::arch::symbols;

/// AArch64 `RET`.
const RET: u32 = 0xd65f_03c0;

/// Crashes in the way that `how` names; returns if there is no such way, or if what should have
/// stopped EL2 let it pass.
pub(crate) fn crash(how: &str) {
    match how {
        "panic" => panic!("asked for by the boot argument postern.crash"),
        "write-code" => write_code(),
        "run-data" => run_data(),
        "use-up-stack" => {
            black_box(use_up_stack(0));
        }
        _ => {}
    }
}

/// Code must not be writable.
#[inline(never)]
fn write_code() {
    let code = symbols::image_start() as *mut u32;
    // SAFETY: the first instruction of the image, which nobody executes or reads any more, so
    // that nothing changes even where the store succeeds.
    unsafe { code.write_volatile(RET) };
}

/// What is writable must not be executable.
#[inline(never)]
fn run_data() {
    let code: &u32 = Box::leak(Box::new(RET));
    run(core::ptr::from_ref(black_box(code)) as usize);
}

/// Calls what lies at `address`. Nothing must be mapped there that could be executed.
#[inline(never)]
pub(crate) fn run(address: usize) {
    // SAFETY: by the rule above the call ends in an abort at its first instruction.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn()>(address) };
    function();
}

/// A stack must end at its guard page and not in somebody else's.
#[inline(never)]
fn use_up_stack(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    let deeper = if black_box(true) { use_up_stack(depth.wrapping_add(1)) } else { 0 };
    black_box(&frame).iter().fold(deeper, |sum, word| sum ^ word)
}
