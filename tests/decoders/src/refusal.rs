//! The loads and stores that hyp-core refuses, and why.

use crate::meaning::{Effect, Meaning, Moved};
use crate::operand::{Base, Class};

/// Why an instruction that accesses memory is not emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// LDRAA, LDRAB: the address comes out of an authentication that EL2 cannot redo, for the keys
    /// are the guest's (DDI 0487, C6.2, LDRAA).
    Authenticated,
    /// STG and its kin: no guest is offered `FEAT_MTE` (C3.2).
    Tags,
    /// LD64B, ST64B, ST64BV, ST64BV0: no guest is offered `FEAT_LS64` (C3.2).
    Block,
    /// CPY and SET: no guest is offered `FEAT_MOPS` (C3.2).
    Copy,
    /// A general register is loaded or stored and written back as the base: CONSTRAINED
    /// UNPREDICTABLE (C6.2, LDR and STR; K1).
    BaseTransferred,
    /// A pair load names the same register twice: CONSTRAINED UNPREDICTABLE (C6.2, LDP; K1).
    LoadedTwice,
}

impl Refusal {
    /// Of instructions that are refused whatever their operands.
    #[must_use]
    pub fn of_mnemonic(mnemonic: &str) -> Option<Self> {
        match mnemonic {
            "ldraa" | "ldrab" => Some(Self::Authenticated),
            "stg" | "st2g" | "stzg" | "stz2g" | "ldg" | "stgm" | "stzgm" | "ldgm" | "stgp" => {
                Some(Self::Tags)
            }
            "ld64b" | "st64b" | "st64bv" | "st64bv0" => Some(Self::Block),
            _ if ["cpyp", "cpym", "cpye", "cpyf", "setp", "setm", "sete", "setg"]
                .iter()
                .any(|stem| mnemonic.starts_with(stem)) =>
            {
                Some(Self::Copy)
            }
            _ => None,
        }
    }

    /// Of combinations of operands that the architecture leaves unpredictable.
    #[must_use]
    pub fn of_meaning(meaning: &Meaning) -> Option<Self> {
        let (Effect::Load(moved) | Effect::Store(moved)) = &meaning.effect else { return None };
        let Moved::Registers { registers, .. } = moved else { return None };
        if let [first, second] = registers[..]
            && first == second
            && matches!(meaning.effect, Effect::Load(_))
        {
            return Some(Self::LoadedTwice);
        }
        let is_transferred = registers.iter().any(|register| {
            matches!(register.class, Class::W | Class::X)
                && meaning.address.base == Base::General(register.number)
        });
        (meaning.writes_back() && is_transferred).then_some(Self::BaseTransferred)
    }
}
