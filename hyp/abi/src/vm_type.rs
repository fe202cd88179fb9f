//! The VM type word, as in `KVM_CREATE_VM` (Linux, `include/uapi/linux/kvm.h`).

/// Bits 7:0: size of the VM's physical address space in bits; 0 stands for [`DEFAULT_IPA_BITS`].
pub const IPA_BITS_MASK: u64 = 0xff;
/// `KVM_VM_TYPE_ARM_PROTECTED`.
pub const PROTECTED: u64 = 1 << 31;
/// What an IPA size of 0 stands for.
pub const DEFAULT_IPA_BITS: u32 = 40;
/// The smallest IPA size that may be asked for.
pub const MIN_IPA_BITS: u32 = 32;
