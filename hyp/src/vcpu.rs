//! Traps from a guest.

use crate::arch::context::Framed;
use crate::boot::Handover;
use crate::exit::exit;

/// A vCPU.
pub(crate) type Vcpu = Framed<()>;

/// Runs the VM.
pub(crate) fn start(_boot: Handover<'_>) -> ! {
    exit(hyp_abi::exit::GUEST_OFF)
}

/// HVC or SMC.
pub(crate) extern "C" fn trap_call(_vcpu: &mut Vcpu, _esr: u64) {}
/// Any other synchronous exception.
pub(crate) extern "C" fn trap_sync(_vcpu: &mut Vcpu, _esr: u64) {}
/// IRQ or FIQ.
pub(crate) extern "C" fn trap_irq(_vcpu: &mut Vcpu) {}
/// SError.
pub(crate) extern "C" fn trap_serror(_vcpu: &mut Vcpu, _esr: u64) {}
/// Anything from AArch32.
pub(crate) extern "C" fn trap_aarch32(_vcpu: &mut Vcpu, _esr: u64) {}
