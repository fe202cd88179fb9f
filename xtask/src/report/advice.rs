//! What is where, and what to do about an access that broke a rule.

use hyp_abi::trace::Range;
use hyp_abi::vplatform::{GICC_BASE, GICC_SIZE, GICD_BASE, GICR_BASE, UART_BASE};
use hyp_core::events::Reason;

use super::model::{Standing, Violation, Vm, page};

/// What is at `ipa`.
pub fn device(vm: &Vm, ipa: u64) -> &'static str {
    let is_emulated = vm.is_in(Range::Emulated, ipa);
    let is_real = vm.is_in(Range::Assigned, ipa);
    match ipa {
        _ if !is_emulated && !is_real => "no device",
        UART_BASE => "console",
        GICC_BASE.. if ipa < GICC_BASE + GICC_SIZE && (is_real || ipa > GICC_BASE) => {
            "GIC CPU interface"
        }
        GICR_BASE..UART_BASE => "GIC redistributors",
        GICD_BASE..GICR_BASE => "GIC distributor",
        _ if is_real => "real device",
        _ => "emulated device",
    }
}

/// What to do about it.
pub fn remedy(vm: &Vm, violation: &Violation) -> String {
    let Violation { reason, ipa, .. } = violation;
    let page = page(*ipa);
    match (reason, vm.standing(violation)) {
        (Reason::Unguarded, Standing::GuardedLater) => {
            format!("the page was guarded only later: guard {page:#x} before this access")
        }
        (Reason::Unguarded, Standing::NoLongerGuarded) => {
            format!(
                "the page was no longer guarded: this access comes after {page:#x} was un-guarded"
            )
        }
        (Reason::Unguarded, Standing::Guarded) => {
            "the access reaches into the next page, which is not guarded: guard that one, too"
                .to_owned()
        }
        (Reason::Unguarded, Standing::NeverGuarded) => {
            let known = vm.is_in(Range::Emulated, page) || vm.is_in(Range::Assigned, page);
            if known {
                format!("a device is there: guard {page:#x} before the first access to it")
            } else {
                format!(
                    "never guarded, and no device is there: the address is wrong; if it is meant, \
                     guard {page:#x}"
                )
            }
        }
        (Reason::NoDevice, _) => "neither memory nor a device answers there: compare the address \
             with the guest's device tree, and that tree's memory with the VM's"
            .to_owned(),
        (Reason::NoSyndrome, _) => "use a load or store of one general register for devices: no \
             pairs, no SIMD registers, no write-back, no atomics"
            .to_owned(),
        (Reason::FetchOffMemory, _) => {
            "a jump went outside of memory: look at the caller".to_owned()
        }
        (Reason::NoVectors, _) => {
            "set VBAR_EL1 to the guest's vectors before anything can fault".to_owned()
        }
        (Reason::WalkOffMemory, _) => {
            "TTBR or a table descriptor points outside of memory: keep tables in RAM".to_owned()
        }
        (Reason::GuardQuota, _) => {
            "guard fewer pages, or pages closer together: each 2 MiB with a mark takes a table"
                .to_owned()
        }
        (Reason::AArch32State, _) => "a protected VM may only run AArch64 code".to_owned(),
        (Reason::Permission, _) => "the page does not allow this kind of access".to_owned(),
        (other, _) => other.text().to_owned(),
    }
}
