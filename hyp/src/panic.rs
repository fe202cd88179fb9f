//! The end of EL2 by its own fault: registers, a raw backtrace, the last line.
//!
//! Nothing a guest does leads here. `xtask` turns the addresses into names.

use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use hyp_abi::trace::Kind;
use hyp_core::console::Line;

use crate::arch::backtrace::{self, Spot};
use crate::arch::{cpu, percpu, sysreg};
use crate::console::last_words;
use crate::exit::exit;
use crate::trace;

/// Set by the first CPU that crashes; later ones, and a crash within the crash, only stop.
static CRASHED: AtomicBool = AtomicBool::new(false);

/// General registers at an exception from EL2, as `vectors.s` stores them.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CrashRegisters {
    /// x0 to x30, then SP.
    registers: [u64; 32],
    /// Number of the vector, 0 to 7.
    vector: u64,
}

/// Stops here unless this is the first crash.
fn begin() {
    if CRASHED.swap(true, Ordering::AcqRel) {
        cpu::park();
    }
}

/// The most words of the stack that are printed.
const MOST: usize = 32;

/// Prints where it happened and what can be return addresses, and ends. In a function without a frame of
/// its own the caller is only in x30.
fn end(at: &Spot) -> ! {
    let Spot { pc, fp, lr, sp } = *at;
    trace::write(Kind::Crash, pc, [sysreg::esr_el2(), sysreg::far_el2(), lr, 0, 0]);
    last_words(format_args!(
        "[postern] ERROR: backtrace: {pc:#x} {lr:#x}, fp {fp:#x} sp {sp:#x}, stack:"
    ));
    for word in backtrace::return_addresses(sp).take(MOST) {
        last_words(format_args!(" +{:#x} {:#x}", word.offset, word.address));
        if let Some(frame) = word.frame {
            last_words(format_args!(" (fp +{frame:#x})"));
        }
    }
    last_words(format_args!("\n"));
    exit(hyp_abi::exit::HYP_FAILED)
}

/// Every exception that EL2 takes from itself lands here, on the emergency stack.
pub(crate) extern "C" fn fatal_exception(crash: &CrashRegisters) -> ! {
    begin();
    let kind = match crash.vector & 3 {
        0 => "synchronous exception",
        1 => "IRQ",
        2 => "FIQ",
        _ => "SError",
    };
    let pc = sysreg::elr_el2();
    last_words(format_args!(
        "[postern] ERROR: EL2 crashed on CPU {}: {kind}, vector {}\n\
         [postern] ERROR: ESR {:#018x} FAR {:#018x} ELR {pc:#018x} SPSR {:#010x}\n",
        percpu::index(),
        crash.vector,
        sysreg::esr_el2(),
        sysreg::far_el2(),
        sysreg::spsr_el2(),
    ));
    for (row, four) in crash.registers.chunks(4).enumerate() {
        last_words(format_args!("[postern] ERROR: x{:<2}", 4 * row));
        for value in four {
            last_words(format_args!(" {value:016x}"));
        }
        last_words(format_args!("{}\n", if row == 7 { " (last: sp)" } else { "" }));
    }
    let [.., fp, lr, sp] = crash.registers;
    end(&Spot { pc, fp, lr, sp })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    begin();
    // Core quotes the text that was cut at a wrong place: it may not end the line.
    let mut line = Line::new();
    let _ = write!(line, "{}", info.message());
    let text = line.as_str();
    match info.location() {
        Some(at) => last_words(format_args!(
            "[postern] ERROR: EL2 panicked on CPU {} at {}:{}: {text}\n",
            percpu::index(),
            at.file(),
            u64::from(at.line())
        )),
        None => last_words(format_args!("[postern] ERROR: EL2 panicked: {text}\n")),
    }
    end(&backtrace::here())
}
