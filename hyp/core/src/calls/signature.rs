//! Which registers of a call belong to it. The others hold whatever the guest last had there, which is
//! nobody's business outside of it.

use hyp_abi::smccc::{self, FunctionId};
use hyp_abi::vendor::{self, list_2021, pkvm};
use hyp_abi::{psci, trng};

use super::by_convention;

/// How many of x1 to x3 are arguments of `id`, in the dialect `list-2021` or in `pkvm`: 0 also where the
/// function is not known. Reserved registers, also if they must be zero, do not count, nor does x2 of
/// `list-2021`'s MMIO_GUARD_MAP, in which callers leave anything.
///
/// DEN0028 (SMCCC), DEN0022 (PSCI), DEN0098 (TRNG), DEN0057 (paravirtual time), Linux
/// `Documentation/virt/kvm/arm/{hypercalls,ptp_kvm,pkvm}.rst`.
#[must_use]
pub fn arguments(id: FunctionId, is_list_2021: bool) -> usize {
    match id {
        list_2021::MMIO_GUARD_MAP | list_2021::MMIO_GUARD_UNMAP if is_list_2021 => 1,
        FunctionId(super::vendor::FIRST..=super::vendor::LAST) if is_list_2021 => 0,
        smccc::ARCH_FEATURES
        | smccc::ARCH_SOC_ID
        | smccc::ARCH_WORKAROUND_2
        | smccc::PV_TIME_FEATURES
        | psci::FEATURES
        | trng::FEATURES
        | trng::RND_32
        | trng::RND_64
        | vendor::PTP
        | vendor::DISCOVER_IMPL_CPUS
        | pkvm::MEM_SHARE
        | pkvm::MEM_UNSHARE
        | pkvm::MEM_RELINQUISH
        | pkvm::MMIO_GUARD_MAP
        | pkvm::MMIO_GUARD_UNMAP => 1,
        psci::AFFINITY_INFO_32
        | psci::AFFINITY_INFO_64
        | psci::SYSTEM_RESET2_32
        | psci::SYSTEM_RESET2_64
        | pkvm::MMIO_RGUARD_MAP
        | pkvm::MMIO_RGUARD_UNMAP => 2,
        psci::CPU_SUSPEND_32 | psci::CPU_SUSPEND_64 | psci::CPU_ON_32 | psci::CPU_ON_64 => 3,
        _ => 0,
    }
}

/// What of x1 to x3 may leave the VM that calls `id`: its [`arguments`], as wide as its convention has
/// them, and zeros.
#[must_use]
pub fn public_arguments(id: FunctionId, is_list_2021: bool, registers: [u64; 3]) -> [u64; 3] {
    let mut public = [0; 3];
    let count = arguments(id, is_list_2021);
    for (place, register) in public.iter_mut().zip(registers).take(count) {
        *place = by_convention(id, register);
    }
    public
}

/// What of the answer in x1 may leave the VM: how many granules a range call has done. The answers of
/// others are constants or, of TRNG_RND, random numbers.
#[must_use]
pub fn public_answer(id: FunctionId, x1: u64) -> u64 {
    if matches!(id, pkvm::MMIO_RGUARD_MAP | pkvm::MMIO_RGUARD_UNMAP) { x1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [u64; 3] = [0xaaaa_aaaa_1111_1111, 0xbbbb_bbbb_2222_2222, 0xcccc_cccc_3333_3333];

    /// Counted in the specifications: function ID, x1 to x3 that are arguments in `pkvm`, in `list-2021`.
    const COUNTS: [(u32, usize, usize); 41] = [
        (0x8000_0000, 0, 0), // SMCCC_VERSION
        (0x8000_0001, 1, 1), // SMCCC_ARCH_FEATURES: the function
        (0x8000_0002, 1, 1), // SMCCC_ARCH_SOC_ID: the type
        (0x8000_8000, 0, 0), // SMCCC_ARCH_WORKAROUND_1
        (0x8000_7fff, 1, 1), // SMCCC_ARCH_WORKAROUND_2: on or off
        (0x8000_3fff, 0, 0), // SMCCC_ARCH_WORKAROUND_3
        (0x8400_0000, 0, 0), // PSCI_VERSION
        (0x8400_0001, 3, 3), // CPU_SUSPEND: state, entry, context
        (0xc400_0001, 3, 3),
        (0x8400_0002, 0, 0), // CPU_OFF
        (0x8400_0003, 3, 3), // CPU_ON: CPU, entry, context
        (0xc400_0003, 3, 3),
        (0x8400_0004, 2, 2), // AFFINITY_INFO: CPU, level
        (0xc400_0004, 2, 2),
        (0x8400_0006, 0, 0), // MIGRATE_INFO_TYPE
        (0x8400_0008, 0, 0), // SYSTEM_OFF
        (0x8400_0009, 0, 0), // SYSTEM_RESET
        (0x8400_000a, 1, 1), // PSCI_FEATURES: the function
        (0x8400_0012, 2, 2), // SYSTEM_RESET2: type, cookie
        (0xc400_0012, 2, 2),
        (0x8400_0050, 0, 0), // TRNG_VERSION
        (0x8400_0051, 1, 1), // TRNG_FEATURES: the function
        (0x8400_0052, 0, 0), // TRNG_GET_UUID
        (0x8400_0053, 1, 1), // TRNG_RND: bits
        (0xc400_0053, 1, 1),
        (0xc500_0020, 1, 1), // PV_TIME_FEATURES: the function
        (0xc500_0021, 0, 0), // PV_TIME_ST
        (0x8600_ff01, 0, 0), // CALL_UID
        (0x8600_0000, 0, 0), // FEATURES
        (0x8600_0001, 1, 1), // PTP: the counter
        (0xc600_0041, 1, 1), // DISCOVER_IMPL_CPUS: which
        (0xc600_0002, 0, 0), // HYP_MEMINFO; MMIO_GUARD_INFO
        (0xc600_0003, 1, 0), // MEM_SHARE: page; MMIO_GUARD_ENROLL
        (0xc600_0004, 1, 1), // MEM_UNSHARE: page; MMIO_GUARD_MAP: page
        (0xc600_0005, 0, 1), // MMIO_GUARD_INFO; MMIO_GUARD_UNMAP: page
        (0xc600_0006, 0, 0), // MMIO_GUARD_ENROLL; none
        (0xc600_0007, 1, 0), // MMIO_GUARD_MAP: page
        (0xc600_0008, 1, 0), // MMIO_GUARD_UNMAP: page
        (0xc600_0009, 1, 0), // MEM_RELINQUISH: page
        (0xc600_000a, 2, 0), // MMIO_RGUARD_MAP: page, granules
        (0xc600_000b, 2, 0), // MMIO_RGUARD_UNMAP: page, granules
    ];

    #[test]
    fn only_arguments_leave_the_vm() {
        let mut known = std::collections::BTreeSet::new();
        for (id, pkvm, list) in COUNTS {
            known.insert(id);
            for (is_list, count) in [(false, pkvm), (true, list)] {
                let mut expected = [0; 3];
                for (place, secret) in expected.iter_mut().zip(SECRETS).take(count) {
                    // A 32-bit call has only the low halves.
                    *place = if id & 1 << 30 == 0 { secret & 0xffff_ffff } else { secret };
                }
                let public = public_arguments(FunctionId(id), is_list, SECRETS);
                assert_eq!(public, expected, "{id:#x} {is_list}");
            }
        }
        // All that is not known, of any owner and convention, yielding calls included.
        for high in 0..=0xff_u32 {
            for low in (0..0x100).chain([0x3fff, 0x7fff, 0x8000, 0xff00, 0xff01, 0xff03, 0xffff]) {
                let id = FunctionId(high << 24 | low);
                for is_list in [false, true] {
                    if !known.contains(&id.0) {
                        assert_eq!(public_arguments(id, is_list, SECRETS), [0; 3], "{id:x?}");
                    }
                }
                let is_range = matches!(id.0, 0xc600_000a | 0xc600_000b);
                assert_eq!(public_answer(id, 7), if is_range { 7 } else { 0 }, "{id:x?}");
            }
        }
    }
}
