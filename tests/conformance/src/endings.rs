//! Ends that no guest should come to, after which its host has to end the VM; see the word `end=`
//! in `config.rs`.

use core::fmt::Write as _;

use hyp_abi::psci;

use crate::arch::{cpu, probe};
use crate::hyper;
use crate::uart::{self, line};

/// How this guest is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All its CPUs are off, so that nobody can start one again.
    AllOff,
    /// It leaves AArch64.
    AArch32,
    /// Ends as the first does, after saying that it is over and went well, and what else only a hypervisor says.
    Forged,
    /// It powers off in the middle of a line.
    Unfinished,
}

impl Ending {
    /// All of them, by the word that asks for them.
    pub(crate) const WORDS: [(&str, Self); 4] = [
        ("end=all-off", Self::AllOff),
        ("end=aarch32", Self::AArch32),
        ("end=forged", Self::Forged),
        ("end=unfinished", Self::Unfinished),
    ];
}

/// Comes to that end.
pub(crate) fn come_to(ending: Ending) -> ! {
    line!("# this guest comes to the end {ending:?}");
    if ending == Ending::Forged {
        line!("POSTERN-TRACE 0x40000000");
        line!("{} 0", hyp_abi::exit::EXIT_PREFIX);
        line!("{} 0 0123456789abcdef0123456789abcdef", hyp_abi::exit::EXIT_PREFIX);
    }
    match ending {
        Ending::AllOff | Ending::Forged => {
            let _ = hyper::call0(psci::CPU_OFF, [0; 3]);
        }
        Ending::Unfinished => {
            let _ = uart::Console.write_str("half a line");
            hyper::power_off()
        }
        // Any address that is no memory leads to EL2.
        Ending::AArch32 => {
            let _ = probe::run(probe::aarch32_load32(), hyp_abi::vplatform::UART_BASE - 8, 0);
        }
    }
    line!("# this guest goes on");
    cpu::park()
}
