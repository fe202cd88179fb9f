//! Ends that no guest should come to, after which its host has to end the VM; see the word `end=`
//! in `config.rs`.

use hyp_abi::psci;

use crate::arch::{cpu, probe};
use crate::hyper;
use crate::uart::line;

/// How this guest is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All its CPUs are off, so that nobody can start one again.
    AllOff,
    /// It leaves AArch64.
    AArch32,
}

impl Ending {
    /// All of them, by the word that asks for them.
    pub(crate) const WORDS: [(&str, Self); 2] =
        [("end=all-off", Self::AllOff), ("end=aarch32", Self::AArch32)];
}

/// Comes to that end.
pub(crate) fn come_to(ending: Ending) -> ! {
    line!("# this guest comes to the end {ending:?}");
    match ending {
        Ending::AllOff => {
            let _ = hyper::call0(psci::CPU_OFF, [0; 3]);
        }
        // Any address that is no memory leads to EL2.
        Ending::AArch32 => {
            let _ = probe::run(probe::aarch32_load32(), hyp_abi::vplatform::UART_BASE - 8, 0);
        }
    }
    line!("# this guest goes on");
    cpu::park()
}
