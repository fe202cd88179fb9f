//! The demonstration: what a guest does with the guard, told in full sentences.

use guest_shim::{Conduit, Hvc};
use hyp_abi::vendor::{self, pkvm};

use crate::arch::probe::{self, Piece, Probe};
use crate::config::{Config, PAGE};
use crate::rows::faults::HOLE;
use crate::uart::line;
use crate::{console_guard, gic};

/// Tells the story; whether all went as told.
pub(crate) fn run(config: &Config) -> bool {
    line!();
    line!("This is a guest at EL1, in a protected VM of Postern.");
    line!();
    line!("1. Which services are there?");
    let uid = Hvc.call(vendor::CALL_UID, [0; 3]).map(|word| word & 0xffff_ffff);
    let is_known = uid == vendor::KVM_UID.map(u64::from);
    line!(
        "   CALL_UID answers {:08x} {:08x} {:08x} {:08x}: {}",
        uid[0],
        uid[1],
        uid[2],
        uid[3],
        if is_known { "the pKVM guest ABI." } else { "unknown." }
    );
    let features = Hvc.call(vendor::FEATURES, [0; 3])[0];
    line!("   FEATURES answers {features:#x}.");
    let granule = Hvc.call(pkvm::MMIO_GUARD_INFO, [0; 3])[0].cast_signed();
    line!("   MMIO_GUARD_INFO answers a granule of {granule} bytes.");
    line!();
    line!("2. The console at {:#x} had to be guarded before this text could appear:", config.uart);
    line!(
        "   MMIO_GUARD_MAP({:#x}) answered {}.",
        config.uart,
        console_guard::answer().cast_signed()
    );
    line!();
    line!("3. A device that is not guarded yet: the interrupt controller's ID register.");
    let register = config.gicd + gic::pidr2();
    let before = look(register, probe::load32());
    let answer = config.map(register & !(PAGE - 1)).cast_signed();
    line!("   MMIO_GUARD_MAP({:#x}) answers {answer}. Once more:", register & !(PAGE - 1));
    let after = look(register, probe::load32());
    line!();
    line!("4. An address that this guest never guarded, with nothing behind it.");
    // Another instruction than above: Postern reports each instruction once.
    let hole = look(HOLE, probe::load64());
    line!();
    let is_as_told = is_known && before.is_caught() && !after.is_caught() && hole.is_caught();
    if is_as_told {
        line!("Nobody emulated that access and nobody saw it: outside its memory a protected VM");
        line!("talks to the pages that it named itself, and to nothing else. Postern's own line");
        line!("about it names the instruction: PC {:#x}.", hole.elr);
    } else {
        line!("This is not what a protected VM should see.");
    }
    line!();
    is_as_told
}

/// Reads one register and explains what came of it.
fn look(address: u64, load: Piece) -> Probe {
    let got = probe::run(load, address, 0);
    if got.is_caught() {
        line!("   Reading {address:#x}: denied. The guest takes an exception at its own vectors:");
        line!(
            "     ESR_EL1 {:#x}: EC {:#x} data abort, DFSC {:#x} synchronous external abort",
            got.esr,
            got.esr >> 26,
            got.esr & 0x3f
        );
        line!(
            "     FAR_EL1 {:#x}, ELR_EL1 {:#x}: the address and the instruction",
            got.far,
            got.elr
        );
    } else {
        line!("   Reading {address:#x}: {:#x}.", got.x[Probe::DATUM]);
    }
    got
}
