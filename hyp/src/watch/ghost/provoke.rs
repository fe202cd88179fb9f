//! Damage that a test asks for by the boot argument `postern.ghost`: the only way to see that the
//! check bites on the machine itself.

use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::exit::BAD_INPUT;
use hyp_abi::vplatform::UART_BASE;
use hyp_core::addr::Pa;
use hyp_core::ports::TableMemory;

use super::machine::Eyes;
use crate::exit::fail;

/// Which of [`KINDS`] is to be done, from 1.
static ARMED: AtomicU64 = AtomicU64::new(0);

/// One way to damage an entry.
struct Damage {
    name: &'static str,
    /// It is the console's page that is hit, and not the first page of memory.
    is_console: bool,
    /// What the entry becomes, once it is as it has to be.
    change: fn(u64) -> Option<u64>,
}

const KINDS: [Damage; 5] = [
    // A mark of the guard is lost.
    Damage { name: "mark", is_console: true, change: |raw| (raw == 4).then_some(0) },
    // The page's state says that others may use it.
    Damage { name: "state", is_console: false, change: |raw| valid(raw, raw ^ 1 << 55) },
    // Memory leads to somebody else's: the block behind it.
    Damage { name: "owner", is_console: false, change: |raw| valid(raw, raw ^ 1 << 21) },
    // Memory cannot be written to.
    Damage { name: "permission", is_console: false, change: |raw| valid(raw, raw & !(1 << 7)) },
    // Memory is gone.
    Damage { name: "unmap", is_console: false, change: |raw| valid(raw, 0) },
];

fn valid(raw: u64, changed: u64) -> Option<u64> {
    (raw & 1 != 0).then_some(changed)
}

/// Does the damage that `argument` names as soon as there is something to be damaged.
pub(super) fn arm(argument: &str) {
    match (1..).zip(&KINDS).find(|(_, damage)| damage.name == argument) {
        Some((number, _)) => ARMED.store(number, Ordering::Relaxed),
        None => fail(BAD_INPUT, format_args!("postern.ghost={argument}: no such damage")),
    }
}

/// Does the damage that was asked for, if it can be done by now. With the writer lock held.
pub(super) fn now(eyes: &Eyes) {
    let number = usize::try_from(ARMED.load(Ordering::Relaxed)).unwrap_or(0);
    let Some(damage) = number.checked_sub(1).and_then(|index| KINDS.get(index)) else { return };
    let memory = eyes.vm.space.memory().extents().first().map(|extent| extent.ipa().base().get());
    let ipa = if damage.is_console { Some(UART_BASE) } else { memory };
    if ipa.and_then(|ipa| hit(eyes, ipa, damage.change)).is_some() {
        ARMED.store(0, Ordering::Relaxed);
    }
}

/// Changes the lowest entry for `ipa`.
fn hit(eyes: &Eyes, ipa: u64, change: fn(u64) -> Option<u64>) -> Option<()> {
    // VTCR_EL2.SL0: the size of the machine's addresses does not matter here.
    let mut level = 2u64.checked_sub(eyes.vm.space.vtcr(48) >> 6 & 3)?;
    let index = |level: u64| {
        ipa.checked_shr(u32::try_from(39u64.checked_sub(level.checked_mul(9)?)?).ok()?)
    };
    // Tables of the root lie side by side.
    let beside = index(level)?.checked_div(512)?.checked_mul(4096)?;
    let mut table = (eyes.vm.space.vttbr() & 0x0000_ffff_ffff_f000).checked_add(beside)?;
    loop {
        let slot = usize::try_from(index(level)? & 511).ok()?;
        let entry = eyes.vm.space.ports().table(Pa(table))?.entry(slot)?;
        let raw = entry.load(Ordering::Acquire);
        if level == 3 || raw & 3 != 3 {
            entry.store(change(raw)?, Ordering::Release);
            return Some(());
        }
        table = raw & 0x0000_ffff_ffff_f000;
        level = level.checked_add(1)?;
    }
}
