//! The VM type word (Linux, `include/uapi/linux/kvm.h` and `arch/arm64/kvm/arm.c`,
//! `kvm_arch_init_vm`).

use crate::rules::Rule;

/// What the machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Protected VMs can be made.
    pub has_protection: bool,
    /// Bits of an address of the VM at most.
    pub ipa_limit: u32,
}

/// What `word` asks for: protected or not, and bits of its addresses; `None` stands for -EINVAL.
#[must_use]
pub fn vm_type(word: u64, host: Host) -> (Option<(bool, u32)>, Rule) {
    let is_protected = word & 0x8000_0000 != 0;
    if word & !0x8000_00ff != 0 {
        return (None, Rule::TypeUnknownBits);
    }
    if is_protected && !host.has_protection {
        return (None, Rule::TypeProtection);
    }
    let bits = match word % 0x100 {
        0 => 40,
        bits => u32::try_from(bits).unwrap_or(u32::MAX),
    };
    if bits < 32 || bits > host.ipa_limit {
        return (None, Rule::TypeSize);
    }
    (Some((is_protected, bits)), Rule::TypeGood)
}
