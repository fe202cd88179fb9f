//! Finds return addresses on the calling CPU's stack.
//!
//! Functions keep no chain of frames. What called what follows from the call frame information in the
//! ELF file of the same build, which is not loaded: `xtask` has it (xtask/src/symbolize/unwind.rs), and
//! needs what is collected here.

use core::arch::asm;

use hyp_core::insn::is_call;

use super::{cpu, percpu, symbols};

/// Bytes of an instruction.
const INSTRUCTION: usize = 4;
/// Bytes of a word on the stack.
const WORD: usize = 8;

/// Where a CPU's execution is, or was when it took an exception.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    /// The instruction.
    pub pc: u64,
    /// x29: the caller's frame in functions that need a register for that, the compiler's library above
    /// all. Any value in others.
    pub fp: u64,
    /// x30.
    pub lr: u64,
    /// The stack pointer.
    pub sp: u64,
}

/// Here, in the function that calls this.
#[inline(always)]
pub(crate) fn here() -> Spot {
    let (pc, fp, lr, sp);
    // SAFETY: reads general registers.
    unsafe {
        asm!(
            // First, because the others may be put there.
            "mov {}, x30", "mov {}, x29", "mov {}, sp", "adr {}, .",
            out(reg) lr, out(reg) fp, out(reg) sp, out(reg) pc,
            options(nomem, nostack, preserves_flags)
        );
    }
    Spot { pc, fp, lr, sp }
}

/// A word on the stack.
#[derive(Debug)]
pub(crate) struct Found {
    /// Bytes above the stack pointer.
    pub offset: usize,
    /// What is there: the address behind a call.
    pub address: usize,
    /// The word below it if that can be a frame's address, which a function that changes x29 keeps there
    /// (AAPCS64, 6.4.6), as bytes above the stack pointer.
    pub frame: Option<usize>,
}

/// What can be return addresses on this CPU's ordinary stack, from `sp` up; some are left over from calls
/// that have returned. None if `sp` is neither on that stack nor in the page below. For a crash: a guest
/// loses its PAR_EL1.
pub(crate) fn return_addresses(sp: u64) -> impl Iterator<Item = Found> {
    let slot = percpu::slot();
    let top = slot.start.wrapping_add(percpu::MAIN_TOP);
    let sp = usize::try_from(sp).unwrap_or(0);
    // Nothing is mapped in the page below.
    let lowest = slot.start.wrapping_add(percpu::MAIN_BOTTOM);
    let on_stack = (slot.start..top).contains(&sp);
    let first = if on_stack { sp.max(lowest).wrapping_add(WORD - 1) & !(WORD - 1) } else { top };
    let mut below = 0;
    (first..top).step_by(WORD).filter_map(move |place| {
        // SAFETY: an aligned word of this CPU's stack, which is mapped.
        let word = unsafe { (place as *const usize).read_volatile() };
        let frame = (place..top).contains(&below).then(|| below.wrapping_sub(sp));
        below = word;
        let offset = place.wrapping_sub(sp);
        is_behind_call(word).then_some(Found { offset, address: word, frame })
    })
}

/// Whether `address` is in the image and the instruction before it is BL or BLR. Also where that cannot
/// be read: boot's code, once it is not mapped any more.
fn is_behind_call(address: usize) -> bool {
    let call = address.wrapping_sub(INSTRUCTION);
    let code = symbols::image_start()..symbols::data_start();
    if !address.is_multiple_of(INSTRUCTION) || !code.contains(&call) {
        return false;
    }
    if !cpu::is_readable(call) {
        return true;
    }
    // SAFETY: an aligned word of the image that nobody writes and that the map lets be read.
    is_call(unsafe { (call as *const u32).read_volatile() })
}
