//! What one VM is offered, as one set of flags.
//!
//! Made once from the VM's description and never changed; each service asks this set and nothing
//! else whether the VM has it.

/// Which numbering of the guard calls a VM hears. Chosen per VM and never guessed: 2 to 5 mean
/// different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Android's kernels and mainline Linux.
    #[default]
    Pkvm,
    /// The list postings of July and October 2021.
    List2021,
}

/// What a VM's description may say about its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureOptions {
    /// The VM is protected.
    pub is_protected: bool,
    /// The numbering of the guard calls.
    pub dialect: Dialect,
    /// Offer the MMIO guard where it is not offered anyway.
    pub with_guard: bool,
    /// SMC is an undefined instruction instead of a second conduit.
    pub smc_is_undefined: bool,
    /// The machine gave a seed: without one there is no random number service.
    pub has_entropy: bool,
}

bitflags::bitflags! {
    /// What one VM is offered.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Features: u32 {
        /// The VM is protected: what it does not share is its own.
        const PROTECTED = 1 << 0;
        /// The MMIO guard calls.
        const GUARD = 1 << 1;
        /// The guard is in force from the first instruction, and again after each reset.
        const STARTS_ENROLLED = 1 << 2;
        /// MEMINFO, SHARE, UNSHARE and RELINQUISH.
        const MEMORY_SHARING = 1 << 3;
        /// The guard calls of 2021 instead of those of Android and mainline.
        const LIST_2021 = 1 << 4;
        /// SMC is answered like HVC.
        const SMC_CALLS = 1 << 5;
        /// The random number service.
        const TRNG = 1 << 6;
    }
}

impl Features {
    /// The features of a VM with these options.
    ///
    /// The guard is always on for a protected VM and for the 2021 dialect. Under `pkvm` it comes
    /// with the memory calls: a mainline guest looks at bit 7 only where bits 2, 3 and 4 are set,
    /// too (Linux, `drivers/virt/coco/pkvm-guest/arm-pkvm-guest.c`).
    #[must_use]
    pub fn new(options: &FeatureOptions) -> Self {
        let is_2021 = options.dialect == Dialect::List2021;
        let has_guard = options.is_protected || is_2021 || options.with_guard;
        let mut features = Self::empty();
        features.set(Self::PROTECTED | Self::STARTS_ENROLLED, options.is_protected);
        features.set(Self::GUARD, has_guard);
        features.set(Self::MEMORY_SHARING, has_guard && !is_2021);
        features.set(Self::LIST_2021, is_2021);
        features.set(Self::SMC_CALLS, !options.smc_is_undefined);
        features.set(Self::TRNG, options.has_entropy);
        features
    }

    /// Words 0 to 3 of the answer to the vendor `FEATURES` call: bit n stands for function n.
    ///
    /// PTP (bit 1) is never there: EL2 has no wall clock.
    #[must_use]
    pub const fn vendor_bitmap(self) -> [u32; 4] {
        let functions = if !self.contains(Self::GUARD) {
            0x1
        } else if self.contains(Self::LIST_2021) {
            // FEATURES and the guard's 2 to 5.
            0x3d
        } else {
            // FEATURES and 2 to 11.
            0xffd
        };
        [functions, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: FeatureOptions = FeatureOptions {
        is_protected: false,
        dialect: Dialect::Pkvm,
        with_guard: false,
        smc_is_undefined: false,
        has_entropy: true,
    };

    /// Rows 20, 22, 23 and section 2.9.
    #[test]
    fn the_bitmap_by_kind_and_dialect() {
        let protected = FeatureOptions { is_protected: true, ..NORMAL };
        let list = FeatureOptions { dialect: Dialect::List2021, ..NORMAL };
        let guarded = FeatureOptions { with_guard: true, ..NORMAL };
        for (options, word) in [(NORMAL, 1), (protected, 0xffd), (list, 0x3d), (guarded, 0xffd)] {
            assert_eq!(Features::new(&options).vendor_bitmap(), [word, 0, 0, 0], "{options:?}");
        }
        let both = FeatureOptions { is_protected: true, ..list };
        assert_eq!(Features::new(&both).vendor_bitmap(), [0x3d, 0, 0, 0]);
    }

    #[test]
    fn only_protected_vms_start_enrolled() {
        let protected = Features::new(&FeatureOptions { is_protected: true, ..NORMAL });
        let guarded = Features::new(&FeatureOptions { with_guard: true, ..NORMAL });
        assert!(protected.contains(Features::STARTS_ENROLLED));
        assert!(!guarded.contains(Features::STARTS_ENROLLED));
    }
}
