//! The VM type word: KVM's `KVM_CREATE_VM` argument, with the same errors.
//!
//! One difference is on purpose: pKVM ignores the IPA size, Postern honours it for both kinds of
//! VM, from 32 bits up to what the machine's physical addresses have.

use hyp_abi::vm_type::{DEFAULT_IPA_BITS, IPA_BITS_MASK, MIN_IPA_BITS, PROTECTED};
use thiserror::Error;

use crate::sync::{AtomicBool, Ordering};

/// The largest IPA size Postern's tables translate: four levels of the 4 KiB granule.
pub const MAX_IPA_BITS: u32 = 48;

/// A type word that has been found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmType {
    protected: bool,
    ipa_bits: u32,
}

/// Why a type word is refused. KVM answers each with -EINVAL.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum VmTypeError {
    /// Bits outside 31 and 7:0 are set.
    #[error(
        "VM type {word:#x} has unknown bits {unknown:#x}: only bit 31 and bits 7:0 have a meaning"
    )]
    UnknownBits {
        /// The whole word.
        word: u64,
        /// Its bits that mean nothing.
        unknown: u64,
    },
    /// PROTECTED in an image that was built without it.
    #[error("protected VMs are not part of this image: build it with feature `protected-vms`")]
    ProtectedNotBuilt,
    /// PROTECTED where the boot argument forbids it.
    #[error("protected VMs are switched off: boot with `postern.protected=on`")]
    ProtectedDisabled,
    /// An IPA size that the machine does not have.
    #[error(
        "an IPA size of {asked} bits is not possible: this machine takes {} to {limit}",
        u64::from(MIN_IPA_BITS)
    )]
    IpaBits {
        /// What was asked for, the default put in for 0.
        asked: u64,
        /// The most there can be.
        limit: u64,
    },
}

impl VmTypeError {
    /// What KVM answers: -EINVAL.
    pub const ERRNO: i64 = -22;
}

/// What stands between the PROTECTED bit and a protected VM: the build and the boot argument.
///
/// Remembers whether a protected VM was ever made: the taint.
#[derive(Debug)]
pub struct ProtectedGate {
    built: bool,
    enabled: bool,
    tainted: AtomicBool,
}

impl ProtectedGate {
    /// A gate that is open where the image was `built` with the feature and the boot argument
    /// has it `enabled`.
    #[must_use]
    pub const fn new(built: bool, enabled: bool) -> Self {
        Self { built, enabled, tainted: AtomicBool::new(false) }
    }

    /// Whether a protected VM can be made.
    ///
    /// # Errors
    ///
    /// Says which half of the gate is shut.
    pub const fn check(&self) -> Result<(), VmTypeError> {
        match (self.built, self.enabled) {
            (false, _) => Err(VmTypeError::ProtectedNotBuilt),
            (true, false) => Err(VmTypeError::ProtectedDisabled),
            (true, true) => Ok(()),
        }
    }

    /// Notes that a protected VM was made; true the first time since boot, when the one warning
    /// is due.
    #[must_use]
    pub fn taint(&self) -> bool {
        !self.tainted.swap(true, Ordering::Relaxed)
    }

    /// Whether a protected VM was ever made since boot.
    #[must_use]
    pub fn is_tainted(&self) -> bool {
        self.tainted.load(Ordering::Relaxed)
    }

    /// What whoever creates VMs may ask for, on a machine with `pa_bits` of physical address.
    #[must_use]
    pub const fn capabilities(&self, pa_bits: u32) -> Capabilities {
        Capabilities {
            protected_vms: self.check().is_ok(),
            mmio_guard: true,
            max_ipa_bits: ipa_limit(pa_bits),
        }
    }
}

/// What whoever creates VMs may ask for: KVM's capability list as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The PROTECTED bit is accepted.
    pub protected_vms: bool,
    /// VMs can be given the MMIO guard.
    pub mmio_guard: bool,
    /// The largest IPA size in bits.
    pub max_ipa_bits: u32,
}

impl VmType {
    /// Takes `word` apart by the rules of KVM, in its order.
    ///
    /// `pa_bits` is the size of the machine's physical addresses.
    ///
    /// # Errors
    ///
    /// The first rule that the word breaks.
    pub fn parse(word: u64, gate: &ProtectedGate, pa_bits: u32) -> Result<Self, VmTypeError> {
        let unknown = word & !(PROTECTED | IPA_BITS_MASK);
        if unknown != 0 {
            return Err(VmTypeError::UnknownBits { word, unknown });
        }
        let protected = word & PROTECTED != 0;
        if protected {
            gate.check()?;
        }
        let [field, ..] = (word & IPA_BITS_MASK).to_le_bytes();
        let asked = if field == 0 { DEFAULT_IPA_BITS } else { u32::from(field) };
        let limit = ipa_limit(pa_bits);
        if !(MIN_IPA_BITS..=limit).contains(&asked) {
            return Err(VmTypeError::IpaBits { asked: asked.into(), limit: limit.into() });
        }
        Ok(Self { protected, ipa_bits: asked })
    }

    /// Whether the VM is protected.
    #[must_use]
    pub const fn is_protected(self) -> bool {
        self.protected
    }

    /// Bits in the VM's physical addresses: 32 to [`MAX_IPA_BITS`].
    #[must_use]
    pub const fn ipa_bits(self) -> u32 {
        self.ipa_bits
    }

    /// The word again, with the IPA size written out.
    #[must_use]
    pub const fn word(self) -> u64 {
        let flag = if self.protected { PROTECTED } else { 0 };
        flag | self.ipa_bits as u64
    }
}

const fn ipa_limit(pa_bits: u32) -> u32 {
    if pa_bits < MAX_IPA_BITS { pa_bits } else { MAX_IPA_BITS }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OPEN: ProtectedGate = ProtectedGate::new(true, true);

    fn parse(word: u64) -> Result<(bool, u32), VmTypeError> {
        VmType::parse(word, &OPEN, 44).map(|kind| (kind.is_protected(), kind.ipa_bits()))
    }

    // Rows 98 to 103 of the ABI's table.
    #[test]
    fn words_mean_what_kvm_says() {
        assert_eq!(parse(0x8000_0000), Ok((true, 40)));
        assert_eq!(parse(0x8000_0028), Ok((true, 40)));
        assert_eq!(parse(0x28), Ok((false, 40)));
        assert_eq!(parse(0), Ok((false, 40)));
        assert_eq!(parse(0x20), Ok((false, 32)));
        assert_eq!(parse(0x8000_002c), Ok((true, 44)));
        assert_eq!(parse(0x1f), Err(VmTypeError::IpaBits { asked: 31, limit: 44 }));
        assert_eq!(parse(0x2d), Err(VmTypeError::IpaBits { asked: 45, limit: 44 }));
        assert_eq!(parse(0xff), Err(VmTypeError::IpaBits { asked: 255, limit: 44 }));
        for (word, unknown) in [
            (0x100, 0x100),
            (0x4000_0000, 0x4000_0000),
            (0xffff_ffff_8000_0000, 0xffff_ffff_0000_0000),
        ] {
            assert_eq!(parse(word), Err(VmTypeError::UnknownBits { word, unknown }));
        }
    }

    #[test]
    fn the_default_size_must_fit_the_machine_too() {
        assert_eq!(VmType::parse(0, &OPEN, 36), Err(VmTypeError::IpaBits { asked: 40, limit: 36 }));
        assert!(VmType::parse(0x30, &OPEN, 52).is_ok());
        assert!(VmType::parse(0x31, &OPEN, 52).is_err());
    }

    #[test]
    fn each_half_of_the_gate_shuts_it() {
        let not_built = ProtectedGate::new(false, true);
        let disabled = ProtectedGate::new(true, false);
        assert_eq!(VmType::parse(PROTECTED, &not_built, 40), Err(VmTypeError::ProtectedNotBuilt));
        assert_eq!(VmType::parse(PROTECTED, &disabled, 40), Err(VmTypeError::ProtectedDisabled));
        assert!(VmType::parse(0, &disabled, 40).is_ok());
        assert!(!disabled.capabilities(40).protected_vms);
        assert!(OPEN.capabilities(40).protected_vms);
        // Unknown bits come first.
        assert!(matches!(
            VmType::parse(PROTECTED | 0x100, &disabled, 40),
            Err(VmTypeError::UnknownBits { .. })
        ));
    }

    #[test]
    fn the_taint_warns_once() {
        let gate = ProtectedGate::new(true, true);
        assert!(!gate.is_tainted());
        assert!(gate.taint());
        assert!(!gate.taint());
        assert!(gate.is_tainted());
    }

    #[test]
    fn a_word_written_out_parses_to_itself() {
        for word in [0, 0x28, 0x8000_0000, 0x8000_0020] {
            let kind = VmType::parse(word, &OPEN, 48).unwrap();
            assert_eq!(VmType::parse(kind.word(), &OPEN, 48), Ok(kind));
        }
    }
}
