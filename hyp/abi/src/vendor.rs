//! Vendor-specific hypervisor services of KVM (owner 6; Linux, `include/linux/arm-smccc.h` and
//! `Documentation/virt/kvm/arm/hypercalls.rst`).

use crate::smccc::{FunctionId, owner};

/// `ARM_SMCCC_VENDOR_HYP_CALL_UID_FUNC_ID`.
pub const CALL_UID: FunctionId = FunctionId::fast32(owner::VENDOR_HYP, 0xff01);
/// KVM's UUID 28b46fb6-2ec5-11e9-a9ca-4b564d003a74 as W0 to W3; byte 0 is the low byte of W0.
pub const KVM_UID: [u32; 4] = [0xb66f_b428, 0xe911_c52e, 0x564b_caa9, 0x743a_004d];

/// The feature bitmap of functions 0 to 127, in four 32-bit words.
pub const FEATURES: FunctionId = FunctionId::fast32(owner::VENDOR_HYP, 0);
/// Paravirtual clock.
pub const PTP: FunctionId = FunctionId::fast32(owner::VENDOR_HYP, 1);
/// `DISCOVER_IMPL_VER`.
pub const DISCOVER_IMPL_VER: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 64);
/// `DISCOVER_IMPL_CPUS`.
pub const DISCOVER_IMPL_CPUS: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 65);

/// Bit 0 of r1 in the answers to `HYP_MEMINFO` and `MMIO_GUARD_INFO`: range forms are served.
pub const HAS_RANGE: u64 = 1;

/// The numbering of Android's kernels and of mainline Linux, dialect `pkvm`.
pub mod pkvm {
    use crate::smccc::{FunctionId, owner};

    /// Granule of sharing: `ARM_SMCCC_VENDOR_HYP_KVM_HYP_MEMINFO_FUNC_ID`.
    pub const HYP_MEMINFO: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 2);
    /// Gives the host access to one page.
    pub const MEM_SHARE: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 3);
    /// Takes the host's access to one page back.
    pub const MEM_UNSHARE: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 4);
    /// Granule of the MMIO guard.
    pub const MMIO_GUARD_INFO: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 5);
    /// Switches the MMIO guard on for the whole VM.
    pub const MMIO_GUARD_ENROLL: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 6);
    /// Declares one granule to be MMIO. Mainline calls it `MMIO_GUARD`.
    pub const MMIO_GUARD_MAP: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 7);
    /// Takes one declaration back.
    pub const MMIO_GUARD_UNMAP: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 8);
    /// Gives one page of memory back to the host.
    pub const MEM_RELINQUISH: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 9);
    /// Declares x2 granules from x1 to be MMIO.
    pub const MMIO_RGUARD_MAP: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 10);
    /// Takes x2 declarations from x1 back.
    pub const MMIO_RGUARD_UNMAP: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 11);
}

/// The numbering of the list postings of 2021, dialect `list-2021`.
pub mod list_2021 {
    use crate::smccc::{FunctionId, owner};

    /// Granule of the MMIO guard.
    pub const MMIO_GUARD_INFO: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 2);
    /// Switches the MMIO guard on for the whole VM.
    pub const MMIO_GUARD_ENROLL: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 3);
    /// Declares one granule to be MMIO.
    pub const MMIO_GUARD_MAP: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 4);
    /// Takes one declaration back.
    pub const MMIO_GUARD_UNMAP: FunctionId = FunctionId::fast64(owner::VENDOR_HYP, 5);
}
