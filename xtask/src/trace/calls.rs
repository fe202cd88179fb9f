//! Hypercalls in words.

use hyp_abi::smccc::{self, FunctionId, owner};
use hyp_abi::vendor::{self, list_2021, pkvm};
use hyp_abi::{psci, trng};
use hyp_core::calls;

use super::record::Call;

/// A function and its name.
type Function = (FunctionId, &'static str);

const COMMON: &[Function] = &[
    (smccc::VERSION, "SMCCC_VERSION"),
    (smccc::ARCH_FEATURES, "SMCCC_ARCH_FEATURES"),
    (smccc::ARCH_SOC_ID, "SMCCC_ARCH_SOC_ID"),
    (smccc::ARCH_WORKAROUND_1, "SMCCC_ARCH_WORKAROUND_1"),
    (smccc::ARCH_WORKAROUND_2, "SMCCC_ARCH_WORKAROUND_2"),
    (smccc::ARCH_WORKAROUND_3, "SMCCC_ARCH_WORKAROUND_3"),
    (smccc::PV_TIME_FEATURES, "PV_TIME_FEATURES"),
    (smccc::PV_TIME_ST, "PV_TIME_ST"),
    (psci::VERSION, "PSCI_VERSION"),
    (psci::CPU_SUSPEND_32, "PSCI_CPU_SUSPEND"),
    (psci::CPU_SUSPEND_64, "PSCI_CPU_SUSPEND"),
    (psci::CPU_OFF, "PSCI_CPU_OFF"),
    (psci::CPU_ON_32, "PSCI_CPU_ON"),
    (psci::CPU_ON_64, "PSCI_CPU_ON"),
    (psci::AFFINITY_INFO_32, "PSCI_AFFINITY_INFO"),
    (psci::AFFINITY_INFO_64, "PSCI_AFFINITY_INFO"),
    (psci::MIGRATE_INFO_TYPE, "PSCI_MIGRATE_INFO_TYPE"),
    (psci::SYSTEM_OFF, "PSCI_SYSTEM_OFF"),
    (psci::SYSTEM_RESET, "PSCI_SYSTEM_RESET"),
    (psci::SYSTEM_RESET2_32, "PSCI_SYSTEM_RESET2"),
    (psci::SYSTEM_RESET2_64, "PSCI_SYSTEM_RESET2"),
    (psci::FEATURES, "PSCI_FEATURES"),
    (trng::VERSION, "TRNG_VERSION"),
    (trng::FEATURES, "TRNG_FEATURES"),
    (trng::GET_UUID, "TRNG_GET_UUID"),
    (trng::RND_32, "TRNG_RND"),
    (trng::RND_64, "TRNG_RND"),
    (vendor::CALL_UID, "VENDOR_HYP_CALL_UID"),
    (vendor::FEATURES, "VENDOR_HYP_FEATURES"),
    (vendor::PTP, "KVM_PTP"),
    (vendor::DISCOVER_IMPL_VER, "KVM_DISCOVER_IMPL_VER"),
    (vendor::DISCOVER_IMPL_CPUS, "KVM_DISCOVER_IMPL_CPUS"),
];

const PKVM: &[Function] = &[
    (pkvm::HYP_MEMINFO, "HYP_MEMINFO"),
    (pkvm::MEM_SHARE, "MEM_SHARE"),
    (pkvm::MEM_UNSHARE, "MEM_UNSHARE"),
    (pkvm::MMIO_GUARD_INFO, "MMIO_GUARD_INFO"),
    (pkvm::MMIO_GUARD_ENROLL, "MMIO_GUARD_ENROLL"),
    (pkvm::MMIO_GUARD_MAP, "MMIO_GUARD_MAP"),
    (pkvm::MMIO_GUARD_UNMAP, "MMIO_GUARD_UNMAP"),
    (pkvm::MEM_RELINQUISH, "MEM_RELINQUISH"),
    (pkvm::MMIO_RGUARD_MAP, "MMIO_RGUARD_MAP"),
    (pkvm::MMIO_RGUARD_UNMAP, "MMIO_RGUARD_UNMAP"),
];

const LIST_2021: &[Function] = &[
    (list_2021::MMIO_GUARD_INFO, "MMIO_GUARD_INFO"),
    (list_2021::MMIO_GUARD_ENROLL, "MMIO_GUARD_ENROLL"),
    (list_2021::MMIO_GUARD_MAP, "MMIO_GUARD_MAP"),
    (list_2021::MMIO_GUARD_UNMAP, "MMIO_GUARD_UNMAP"),
];

/// What a call does to the guard or to sharing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Enroll,
    /// Base and granules.
    Guard(u64, u64),
    Unguard(u64, u64),
    Share(u64),
    Unshare(u64),
    Relinquish(u64),
}

impl Call {
    fn entry(&self, is_list_2021: bool) -> Option<&'static Function> {
        let dialect = if is_list_2021 { LIST_2021 } else { PKVM };
        COMMON.iter().chain(dialect).find(|(id, ..)| id.0 == self.function)
    }

    /// The function's name; its number if it has none here.
    pub fn name(&self, is_list_2021: bool) -> String {
        match self.entry(is_list_2021) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("{:#x}", self.function),
        }
    }

    /// Its arguments; the trace has no others.
    pub fn arguments(&self, is_list_2021: bool) -> &[u64] {
        let count = calls::arguments(FunctionId(self.function), is_list_2021);
        &self.registers[..count]
    }

    /// The call as a program would write it.
    pub fn text(&self, is_list_2021: bool) -> String {
        if self.entry(is_list_2021).is_none() {
            return format!("{:#x}(?)", self.function);
        }
        let arguments = self.arguments(is_list_2021);
        let arguments: Vec<String> =
            arguments.iter().map(|argument| format!("{argument:#x}")).collect();
        format!("{}({})", self.name(is_list_2021), arguments.join(", "))
    }

    /// The answer in words.
    pub fn answer(&self, is_list_2021: bool) -> String {
        let x0 = self.x0.cast_signed();
        let id = FunctionId(self.function);
        let is_psci = id.owner() == owner::STANDARD && id.function() < 0x50;
        let name = match (x0, is_psci) {
            (-1, _) => "NOT_SUPPORTED",
            (-2, true) => "INVALID_PARAMETERS",
            (-3, true) => "DENIED",
            (-4, true) => "ALREADY_ON",
            (-5, true) => "ON_PENDING",
            (-2, false) if id.owner() == owner::STANDARD => "INVALID_PARAMETERS",
            (-3, false) if id.owner() == owner::STANDARD => "NO_ENTROPY",
            (-2, false) => "NOT_REQUIRED",
            (-3, false) => "INVALID_PARAMETER",
            _ => "",
        };
        match (name, self.name(is_list_2021).as_str()) {
            ("", "MMIO_RGUARD_MAP" | "MMIO_RGUARD_UNMAP") => {
                format!("{x0}, granules done: {}", self.x1)
            }
            ("", _) if self.x0 < 10 => self.x0.to_string(),
            ("", _) => format!("{:#x}", self.x0),
            (name, _) => format!("{x0} ({name})"),
        }
    }

    /// What it did, if it did anything.
    pub fn deed(&self, is_list_2021: bool) -> Option<Deed> {
        let (_, name) = self.entry(is_list_2021)?;
        if self.x0 != 0 {
            return None;
        }
        let page = self.registers[0] & !0xfff;
        let granules = u64::from(self.x1);
        Some(match *name {
            "MMIO_GUARD_ENROLL" => Deed::Enroll,
            "MMIO_GUARD_MAP" => Deed::Guard(page, 1),
            "MMIO_GUARD_UNMAP" => Deed::Unguard(page, 1),
            "MMIO_RGUARD_MAP" => Deed::Guard(page, granules),
            "MMIO_RGUARD_UNMAP" => Deed::Unguard(page, granules),
            "MEM_SHARE" => Deed::Share(page),
            "MEM_UNSHARE" => Deed::Unshare(page),
            "MEM_RELINQUISH" => Deed::Relinquish(page),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(function: u32, registers: [u64; 3], x0: i64) -> Call {
        Call { function, registers, x0: x0.cast_unsigned(), x1: 4 }
    }

    #[test]
    fn calls_are_written_as_a_program_would() {
        for (function, x0, text, answer) in [
            (0x8400_0000, 0x1_0001, "PSCI_VERSION()", "0x10001"),
            (0xc400_0003, -4, "PSCI_CPU_ON(0x1, 0x40080000, 0x3)", "-4 (ALREADY_ON)"),
            (0xc600_0007, 0, "MMIO_GUARD_MAP(0x1)", "0"),
            (0xc600_000a, 0, "MMIO_RGUARD_MAP(0x1, 0x40080000)", "0, granules done: 4"),
            (0xc600_0007, -3, "MMIO_GUARD_MAP(0x1)", "-3 (INVALID_PARAMETER)"),
            (0xc400_0053, -3, "TRNG_RND(0x1)", "-3 (NO_ENTROPY)"),
            (0x8600_0123, -1, "0x86000123(?)", "-1 (NOT_SUPPORTED)"),
        ] {
            let call = call(function, [1, 0x4008_0000, 3], x0);
            assert_eq!((call.text(false).as_str(), call.answer(false).as_str()), (text, answer));
        }
    }

    #[test]
    fn a_number_means_what_its_dialect_says() {
        let call = call(0xc600_0004, [0x900_0000, 0, 0], 0);
        assert_eq!(call.deed(false), Some(Deed::Unshare(0x900_0000)));
        assert_eq!(call.deed(true), Some(Deed::Guard(0x900_0000, 1)));
    }

    #[test]
    fn only_calls_that_succeeded_did_anything() {
        assert_eq!(
            call(0xc600_0007, [0x900_0000, 9, 9], 0).deed(false),
            Some(Deed::Guard(0x900_0000, 1))
        );
        assert_eq!(call(0xc600_0007, [0x900_0000, 0, 0], -3).deed(false), None);
        assert_eq!(
            call(0xc600_000a, [0x900_0000, 9, 0], 0).deed(false),
            Some(Deed::Guard(0x900_0000, 4))
        );
        assert_eq!(call(0x8400_0000, [0; 3], 0).deed(false), None);
    }
}
