//! Writes that send SGIs: of ICC_SGI0R_EL1, ICC_SGI1R_EL1 and ICC_ASGI1R_EL1, which trap because EL2
//! takes the physical interrupts (HCR_EL2.IMO and FMO), and of a GICv2's GICD_SGIR.

use super::bits::{bit, byte, low, member};

/// Which of the three registers was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SgiRegister {
    /// ICC_SGI0R_EL1: interrupts of group 0 only.
    Sgi0,
    /// ICC_SGI1R_EL1: with one Security state, interrupts of either group.
    Sgi1,
    /// ICC_ASGI1R_EL1, the other Security state's group 1: with one Security state group 0 only.
    Asgi1,
}

/// A decoded write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SgiRequest {
    /// For the target's inbox: bit n for SGI n in either group, bit 16 + n only if in group 0.
    pub(super) inbox: u32,
    /// Bit n for vCPU n.
    pub(super) targets: u32,
}

impl SgiRequest {
    /// Decodes `value` written by vCPU `sender` of `vcpus` (IHI0069, ICC_SGI1R_EL1).
    ///
    /// vCPU n has affinity 0.0.0.n. Other affinities address nobody, as does a range selector
    /// (bits 47:44) other than 0, which GICD_TYPER.RSS = 0 does not offer.
    pub(super) fn decode(register: SgiRegister, value: u64, sender: usize, vcpus: usize) -> Self {
        const TARGET_LIST: u32 = 0xffff;
        const AFF1: u64 = 0xff << 16;
        const AFF2: u64 = 0xff << 32;
        const IRM: u64 = 1 << 40;
        const RS: u64 = 0xf << 44;
        const AFF3: u64 = 0xff << 48;

        let all = member(vcpus).wrapping_sub(1);
        let targets = if value & IRM != 0 {
            all & !member(sender)
        } else if value & (AFF1 | AFF2 | AFF3 | RS) == 0 {
            low(value) & TARGET_LIST & all
        } else {
            0
        };
        let intid = low(value >> 24) & 0xf;
        let group0_only = register != SgiRegister::Sgi1;
        Self { inbox: bit(if group0_only { intid.wrapping_add(16) } else { intid }), targets }
    }
}

/// A decoded write of GICD_SGIR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SgirRequest {
    /// Which SGI, 0 to 15.
    pub(super) intid: u32,
    /// Bit n for vCPU n.
    pub(super) targets: u32,
}

impl SgirRequest {
    /// Decodes `value` written by vCPU `sender` of `vcpus` (IHI0048B, section 4.3.15). NSATT is
    /// reserved without the Security Extensions.
    pub(super) fn decode(value: u32, sender: usize, vcpus: usize) -> Self {
        let all = member(vcpus).wrapping_sub(1);
        let list = u32::from(byte(u64::from(value >> 16)));
        let targets = match (value >> 24) & 3 {
            0 => list & all,
            1 => all & !member(sender),
            2 => member(sender),
            // Reserved.
            _ => 0,
        };
        Self { intid: value & 0xf, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_list_names_vcpus_that_exist() {
        let sgi = SgiRequest::decode(SgiRegister::Sgi1, 0x0500_00ff, 0, 4);
        assert_eq!(sgi, SgiRequest { inbox: 1 << 5, targets: 0xf });
    }

    #[test]
    fn interrupt_routing_mode_spares_the_sender() {
        let sgi = SgiRequest::decode(SgiRegister::Sgi0, (1 << 40) | (3 << 24) | 0xffff, 2, 4);
        assert_eq!(sgi, SgiRequest { inbox: 1 << 19, targets: 0b1011 });
    }

    #[test]
    fn the_filter_of_a_gicv2_says_whom_an_sgi_reaches() {
        let targets = |value| SgirRequest::decode(value, 2, 4).targets;
        assert_eq!(targets(0x00ff_8003), 0b1111);
        assert_eq!(targets(0x0005_0003), 0b0101);
        assert_eq!(targets(0x0104_0003), 0b1011);
        assert_eq!(targets(0x02fb_0003), 0b0100);
        assert_eq!(targets(0x03ff_0003), 0);
        assert_eq!(SgirRequest::decode(0x00ff_fff7, 0, 1).intid, 7);
    }

    #[test]
    fn other_clusters_and_ranges_are_nobody() {
        for far in [1u64 << 16, 1 << 32, 1 << 48, 1 << 44] {
            assert_eq!(SgiRequest::decode(SgiRegister::Sgi1, far | 1, 0, 8).targets, 0);
        }
    }
}
