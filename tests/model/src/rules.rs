//! The rules, each with where it is written.
//!
//! `mmio-guard.rst` and `pkvm.c` are files of Android's kernels (`Documentation/virt/kvm/arm/`,
//! `arch/arm64/kvm/hyp/nvhe/`), as are `kvm_pgtable.h` and `mem_protect.c`; `hypercalls.rst` is
//! mainline's (`Documentation/virt/kvm/arm/`). "Postings" are the list's "KVM: arm64: MMIO guard PV
//! services", v1 and v2, 2021. `docs/abi.md` is this project's where those leave a choice.

macro_rules! rules {
    ($($name:ident: $text:literal, $source:literal;)*) => {
        /// A rule of the interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!($text, ".\n\nSource: ", $source, ".")] $name,)*
        }

        impl Rule {
            /// All rules, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What it says and where that is written.
            #[must_use]
            pub const fn text(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($text, $source),)* }
            }

            /// Its number, from 1.
            #[must_use]
            pub const fn number(self) -> usize {
                self as usize + 1
            }
        }
    };
}

rules! {
    TypeUnknownBits: "bits outside 31 and 7:0 of the type word: -EINVAL", "arch/arm64/kvm/arm.c, kvm_arch_init_vm";
    TypeProtection: "PROTECTED where there is no protection: -EINVAL", "arch/arm64/kvm/pkvm.c, include/uapi/linux/kvm.h";
    TypeSize: "fewer than 32 address bits or more than there are: -EINVAL", "arch/arm64/kvm/mmu.c, kvm_init_stage2_mmu; docs/abi.md for protected VMs";
    TypeGood: "any other type word is good; 0 bits stand for 40", "arch/arm64/kvm/mmu.c, kvm_phys_shift";

    Immediate: "an HVC with an immediate but 0: -1", "DEN0028 2.9";
    SmcUndefined: "SMC is undefined where the VM's description says so", "DEN0028 2.9; docs/abi.md";
    Unknown: "a call that is not there: -1, sign-extended", "DEN0028 5.2; arch/arm64/kvm/hypercalls.c";
    SmcccVersion: "SMCCC_VERSION: 1.1", "DEN0028 7.2";
    Uid: "CALL_UID: KVM's UUID", "include/linux/arm-smccc.h, ARM_SMCCC_VENDOR_HYP_UID_KVM_REG_0";
    FeaturesPlain: "FEATURES without the guard: function 0 alone", "hypercalls.rst, ARM_SMCCC_VENDOR_HYP_KVM_FEATURES_FUNC_ID";
    FeaturesPkvm: "FEATURES with the guard: functions 0 and 2 to 11", "pkvm.c, android15-6.6, pkvm_vendor_hyp_features";
    FeaturesList: "FEATURES, dialect of 2021: functions 0 and 2 to 5", "postings v2, 10/16";

    NoGuard: "functions 2 to 11 of a VM without the guard: -1", "libs/libhypervisor_backends/src/hypervisor/kvm.rs";
    Info: "INFO: the granule, and that there are range forms", "pkvm.c, pkvm_meminfo_call";
    InfoArguments: "INFO with an argument but 0: -3", "pkvm.c, pkvm_meminfo_call";
    InfoList: "INFO, dialect of 2021: the granule, whatever the arguments", "postings v2, 10/16";
    Enroll: "ENROLL enrols the whole VM; again is fine", "mmio-guard.rst; pkvm.c";
    MapNotEnrolled: "MAP of a VM that is not enrolled: error", "pkvm.c, __pkvm_install_ioguard_page; postings v2, 06/16";
    MapUnaligned: "MAP of no multiple of the granule: error", "mmio-guard.rst; pkvm.c";
    MapOutside: "MAP above the address space: error", "kvm_pgtable.c, kvm_pgtable_stage2_annotate";
    MapMemory: "MAP of memory, shared or not: error", "mem_protect.c; postings v2, 06/16";
    MapAgain: "MAP of a guarded granule: success, no change", "mmio-guard.rst; pkvm.c";
    Map: "MAP of anything else guards it", "mmio-guard.rst; hypercalls.rst, ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_FUNC_ID";
    MapNoTables: "MAP of a new granule may be refused for want of tables, with no change", "docs/abi.md; pkvm.c, after a failed top-up";
    UnmapNotEnrolled: "UNMAP of a VM that is not enrolled: error", "pkvm.c, __pkvm_remove_ioguard_page; postings v2, 06/16";
    UnmapUnaligned: "UNMAP of no multiple of the granule: error", "pkvm.c, android15-6.6";
    UnmapNotGuarded: "UNMAP of what is not guarded: error", "pkvm.c, android15-6.6; postings v2, 06/16";
    Unmap: "UNMAP of a guarded granule removes the mark; 2021 rounds the address down", "pkvm.c, android15-6.6; postings v2, 06/16";
    RangeArguments: "RGUARD_MAP and _UNMAP of no granules or with x3: error", "pkvm.c, android15-6.6";
    RangeRefused: "a range call whose first granule is refused: error, no granules done", "pkvm.c, android15-6.6";
    RangeMap: "RGUARD_MAP guards a first part of the range and says how long that is", "pkvm.c, android15-6.6";
    RangeUnmap: "RGUARD_UNMAP removes the marks of a first part of the range and says how long that is", "pkvm.c, android15-6.6";
    ListOthers: "functions 6 to 11, dialect of 2021: -1", "postings v2, 10/16";

    MemInfo: "MEMINFO: the granule, no ranges", "hypercalls.rst, ARM_SMCCC_KVM_FUNC_HYP_MEMINFO; docs/abi.md";
    MemInfoArguments: "MEMINFO with an argument but 0: -3", "hypercalls.rst; pkvm.c, pkvm_meminfo_call";
    ShareArguments: "SHARE with x2 or x3: -3", "hypercalls.rst, ARM_SMCCC_KVM_FUNC_MEM_SHARE";
    ShareNotMemory: "SHARE of what is unaligned or not memory: -3", "hypercalls.rst; mem_protect.c, __pkvm_guest_share_host";
    ShareAgain: "SHARE of a shared page: -3", "mem_protect.c, __pkvm_guest_share_host";
    ShareReplay: "SHARE of memory that is not there yet may be made again", "pkvm.c, pkvm_memshare_call";
    Share: "SHARE of an owned page shares it", "hypercalls.rst, ARM_SMCCC_KVM_FUNC_MEM_SHARE";
    UnshareArguments: "UNSHARE with x2 or x3: -3", "hypercalls.rst, ARM_SMCCC_KVM_FUNC_MEM_UNSHARE";
    UnshareNotShared: "UNSHARE of what is unaligned or not shared: -3", "mem_protect.c, __pkvm_guest_unshare_host";
    Unshare: "UNSHARE of a shared page takes it back with its contents", "hypercalls.rst, ARM_SMCCC_KVM_FUNC_MEM_UNSHARE";
    RelinquishArguments: "RELINQUISH with x2 or x3: -3", "pkvm.c, pkvm_memrelinquish_call";
    RelinquishShared: "RELINQUISH of a shared page: -3", "mem_protect.c, __pkvm_guest_relinquish_to_host";
    RelinquishNothing: "RELINQUISH of what is not memory changes nothing", "mem_protect.c, __pkvm_guest_relinquish_to_host";
    Relinquish: "RELINQUISH of the page around an address zeroes and unmaps it", "mem_protect.c, __pkvm_guest_relinquish_to_host";

    PsciVersion: "PSCI_VERSION: 1.1", "DEN0022 5.1.1";
    MigrateType: "MIGRATE_INFO_TYPE: 2, no migration needed", "DEN0022 5.1.9";
    PsciFeatures: "PSCI_FEATURES of a call that is there: 0", "DEN0022 5.1.15";
    PsciFeaturesNone: "PSCI_FEATURES of a call that is not: -1", "DEN0022 5.1.15";
    Suspend: "CPU_SUSPEND acts as a standby", "DEN0022 5.1.2; arch/arm64/kvm/psci.c, kvm_psci_vcpu_suspend";
    CpuOff: "CPU_OFF turns the caller off", "DEN0022 5.1.3";
    CpuOnTarget: "CPU_ON of an affinity that is no vCPU's: -2", "DEN0022 5.1.4; arch/arm64/kvm/psci.c, kvm_psci_vcpu_on";
    CpuOnRunning: "CPU_ON of a vCPU that runs: -4", "DEN0022 5.1.4";
    CpuOnPending: "CPU_ON of a vCPU that was started and does not run yet: -5", "DEN0022 5.1.4 and 6.6";
    CpuOn: "CPU_ON of a vCPU that is off starts it with the caller's endianness", "DEN0022 5.1.4 and 6.4; arch/arm64/kvm/psci.c, kvm_psci_vcpu_on";
    Start: "a started vCPU begins at its entry with its context", "DEN0022 6.4";
    AffinityLevel: "AFFINITY_INFO above level 3: -2", "arch/arm64/kvm/psci.c, kvm_psci_vcpu_affinity_info";
    AffinityTarget: "AFFINITY_INFO of an affinity that is no vCPU's: -2", "DEN0022 5.1.5";
    AffinityOn: "AFFINITY_INFO where a vCPU runs: 0", "DEN0022 5.1.5";
    AffinityPending: "AFFINITY_INFO where none runs and one is started: 2", "DEN0022 5.1.5";
    AffinityOff: "AFFINITY_INFO where all are off: 1", "DEN0022 5.1.5";
    SystemOff: "SYSTEM_OFF: the VM is off", "DEN0022 5.1.10";
    SystemReset: "SYSTEM_RESET: memory, marks, enrolment and power begin anew", "DEN0022 5.1.11; postings v2, 06/16; docs/abi.md";
    Reset2: "SYSTEM_RESET2, architectural or a vendor's: a reset", "DEN0022 5.1.12";
    Reset2Reserved: "SYSTEM_RESET2 of a reserved type: -2", "DEN0022 5.1.12; arch/arm64/kvm/psci.c, kvm_psci_1_x_call";

    AccessMemory: "an access to memory is done, on zeroes where nothing was written", "mem_protect.c, donation";
    AccessFetch: "a fetch off memory: external abort, guarded or not", "arch/arm64/kvm/mmu.c, kvm_handle_guest_abort";
    AccessWalk: "a table off memory: external abort, guarded or not", "arch/arm64/kvm/mmu.c, kvm_handle_guest_abort";
    AccessMaintenance: "cache maintenance off memory has no effect", "arch/arm64/kvm/mmu.c, kvm_handle_guest_abort";
    AccessUnguarded: "an access of an enrolled VM with an unguarded page: external abort", "pkvm.c, __pkvm_check_ioguard_page; arch/arm64/kvm/mmio.c, postings v2, 07/16";
    AccessUndescribed: "an access of a protected VM that the hardware does not describe: external abort", "arch/arm64/kvm/mmio.c, io_mem_abort";
    AccessUndescribedNormal: "such an access of a normal VM is the hypervisor's to decide", "arch/arm64/kvm/mmio.c, io_mem_abort";
    AccessDevice: "an access to a device that the guard does not refuse reaches it", "pkvm.c, __pkvm_check_ioguard_page; arch/arm64/kvm/mmio.c, io_mem_abort";
    AccessAcross: "an access across a page's end reaches no emulated device: external abort", "Arm ARM DDI 0487, AArch64.TranslateAddress: of the second page no address is reported";
    AccessNobody: "an access to nothing: external abort", "arch/arm64/kvm/inject_fault.c, inject_abt64";
}
