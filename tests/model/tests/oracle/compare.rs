//! What the tables and registers of the judged VM say, against what the model says.

use hyp_core::addr::{Ipa, Pa};
use hyp_core::stage2::{Leaf, Mapping, PageState};
use model::{PAGE, Power, State};

use super::place::{DEVICE, DEVICE_PA, physical};
use super::subject::Subject;

/// Compares all that can be asked about `pages` and the guarded granules; answers how many
/// comparisons that were.
pub(crate) fn state(model: &State, subject: &Subject<'_>, pages: &[u64]) -> Result<u64, String> {
    let vm = &subject.vm;
    let mut count = 1;
    equal("enrolled", model.is_enrolled, vm.space.is_enrolled())?;
    for vcpu in 0..subject.vcpus {
        let (is_on, is_starting) = match model.power.get(&vcpu) {
            Some(Power::On) => (true, false),
            Some(Power::Pending(_)) => (false, true),
            Some(Power::Off) | None => (false, false),
        };
        let what = format!("vCPU {vcpu} on, starting");
        equal(&what, (is_on, is_starting), (vm.power.is_on(vcpu), vm.power.is_starting(vcpu)))?;
        count += 1;
    }
    let is_alive = model.power.values().any(|power| *power != Power::Off);
    equal("any vCPU alive", is_alive, vm.power.is_any_alive())?;
    for &ipa in pages.iter().chain(&model.guarded) {
        let is_guarded = model.guarded.contains(&ipa);
        equal(&format!("{ipa:#x} guarded"), is_guarded, vm.space.is_guarded(Ipa(ipa)))?;
        match physical(ipa) {
            Some(pa) => memory(model, subject, ipa, pa)?,
            None => device(model, subject, ipa)?,
        }
        count += 2;
    }
    Ok(count + 1)
}

fn memory(model: &State, subject: &Subject<'_>, ipa: u64, pa: u64) -> Result<(), String> {
    let is_shared = model.shared.contains(&ipa);
    let state = if is_shared { PageState::SharedOwned } else { PageState::Owned };
    let is_present = model.present.contains(&ipa);
    let leaf = subject.vm.space.lookup(Ipa(ipa));
    match leaf {
        Leaf::Valid(Mapping { pa: found, state: found_state, .. }) => {
            if model.given_back.contains(&ipa) {
                return Err(format!("{ipa:#x} was given back and is mapped"));
            }
            equal(&format!("{ipa:#x} lies at"), (Pa(pa), state), (found, found_state))?;
            let byte = model.contents.get(&ipa).copied().unwrap_or(0);
            equal(&format!("{ipa:#x} holds"), byte, subject.machine.peek(Pa(pa)))
        }
        Leaf::Empty if is_present => Err(format!("{ipa:#x} is present and not mapped")),
        Leaf::Empty if model.given_back.contains(&ipa) => {
            equal(&format!("{ipa:#x} is wiped"), true, subject.machine.is_zero(Pa(pa)))
        }
        Leaf::Empty => Ok(()),
        Leaf::Guarded => Err(format!("{ipa:#x} is memory and marked")),
    }
}

fn device(model: &State, subject: &Subject<'_>, ipa: u64) -> Result<(), String> {
    let is_assigned = (DEVICE..DEVICE + 2 * PAGE).contains(&ipa);
    let is_guarded = model.guarded.contains(&ipa);
    let leaf = subject.vm.space.lookup(Ipa(ipa));
    let is_right = match leaf {
        Leaf::Empty => !is_guarded,
        Leaf::Guarded => is_guarded && !is_assigned,
        Leaf::Valid(Mapping { pa, state, .. }) => {
            let allowed = if is_guarded { PageState::GuardedDevice } else { PageState::Device };
            is_assigned
                && state == allowed
                && (is_guarded || !model.is_enrolled)
                && pa == Pa(DEVICE_PA + ipa - DEVICE)
        }
    };
    if is_right { Ok(()) } else { Err(format!("{ipa:#x}, guarded: {is_guarded}, has {leaf:x?}")) }
}

/// Compares every entry that a walk of the tables meets; only for a machine that watches.
pub(crate) fn tables(model: &State, subject: &Subject<'_>) -> Result<u64, String> {
    subject.machine.settle();
    let mut marked = 0;
    let mut count = 0;
    for entry in subject.machine.entries() {
        count += 1;
        let is_leaf = entry.level == 3 || entry.value & 2 == 0;
        if entry.value & 1 == 0 {
            if entry.level != 3 || !model.guarded.contains(&entry.ipa) {
                return Err(format!("a mark where nothing is guarded: {entry:x?}"));
            }
            marked += 1;
        } else if is_leaf {
            let pa = entry.value & 0x0000_ffff_ffff_f000;
            let is_device = (DEVICE..DEVICE + 2 * PAGE).contains(&entry.ipa);
            let expected =
                physical(entry.ipa).or(is_device.then(|| DEVICE_PA + entry.ipa - DEVICE));
            equal(&format!("{:#x} is mapped to", entry.ipa), expected, Some(pa))?;
            marked += usize::from(is_device && model.guarded.contains(&entry.ipa));
        }
    }
    equal("how many granules are guarded", model.guarded.len(), marked)?;
    Ok(count + 1)
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, model: T, found: T) -> Result<(), String> {
    if model == found {
        Ok(())
    } else {
        Err(format!("{what}: the model says {model:x?}, hyp-core {found:x?}"))
    }
}
