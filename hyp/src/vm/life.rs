//! The VM's memory as its description wants it, its reset and its end.

use core::sync::atomic::{AtomicUsize, Ordering};

use hyp_abi::exit::{BAD_INPUT, GUEST_FAILED, GUEST_OFF, HYP_FAILED};
use hyp_abi::trace::Kind;
use hyp_core::addr::Ipa;
use hyp_core::memory::TableUse;
use hyp_core::vm::{Shell, Stop};

use super::system::{self, Held, Instance};
use crate::exit::{exit, fail};
use crate::say::{debug, error, info, warn};
use crate::trap::CurrentCpu;
#[cfg(feature = "ghost")]
use crate::watch::ghost;
use crate::watch::{events, tracing};
use crate::{entropy, mm, trace};

/// Copies what the VM's description names into its memory.
pub(crate) fn load(instance: &Instance) {
    let Instance { vm, description, .. } = instance;
    let write = |ipa, bytes: &[u8]| {
        if let Err(error) = ghosted!(load(), vm.space.load(ipa, bytes)) {
            fail(BAD_INPUT, format_args!("VM {}: at IPA {ipa}: {error}", description.name));
        }
    };
    for image in &description.images {
        write(image.ipa, image.data);
    }
    let tree = &description.tree;
    write(tree.image.ipa, tree.image.data);
    let patch = |at: usize, bytes: &[u8]| {
        write(Ipa(tree.image.ipa.get().wrapping_add(at as u64)), bytes);
    };
    for seed in &tree.seeds {
        let mut random = [0; 64];
        for (at, len) in seed.pieces(random.len()) {
            let Some(random) = random.get_mut(..len) else { continue };
            if entropy::fill(random).is_none() {
                seed.removal().for_each(|(at, word)| patch(at, &word));
                break;
            }
            patch(at, random);
        }
    }
}

/// Starts vCPU 0 of the VM, whose memory is loaded.
pub(crate) fn start(instance: &Instance) {
    ghosted!(boot(&instance.vm), instance.vm.start());
}

/// Carries out what the VM was stopped for. By the last vCPU out.
pub(crate) fn carry_out(instance: &Instance, stop: Stop) {
    events::drain(instance);
    #[cfg(feature = "ghost")]
    ghost::stopped();
    trace::of_vm(instance.vm.number(), Kind::VmStopped, [stop_code(stop), 0, 0, 0, 0]);
    match stop {
        Stop::Off => {
            info!("VM {} powered off", instance.description.name);
            let denied = instance.past.denied.load(Ordering::Relaxed);
            if denied == 0 {
                return end(instance, GUEST_OFF);
            }
            error!(
                "VM {} broke a rule {denied} time(s), which postern.deny=unguarded forbids; the \
                 event lines above name each place",
                instance.description.name
            );
            end(instance, GUEST_FAILED);
        }
        Stop::Crash => end(instance, GUEST_FAILED),
        Stop::Reset => reset(instance),
    }
}

/// How many VMs have ended.
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// The VM has ended with this exit code. The run does once all have, with the code of the first of them that
/// is no success.
fn end(instance: &Instance, code: u8) {
    instance.past.end.set(code);
    // Of VMs that end at the same time one is the last, and sees the codes of all.
    let ended = ENDED.fetch_add(1, Ordering::AcqRel).saturating_add(1);
    let running = system::all().len().saturating_sub(ended);
    if running == 0 {
        let mut codes = system::all().iter().filter_map(|instance| instance.past.end.get());
        exit(codes.find(|code| **code != GUEST_OFF).copied().unwrap_or(GUEST_OFF))
    }
    info!("VM {} has ended, {running} VM(s) go on", instance.description.name);
}

const fn stop_code(stop: Stop) -> u64 {
    match stop {
        Stop::Off => hyp_abi::trace::Stop::Off as u64,
        Stop::Reset => hyp_abi::trace::Stop::Reset as u64,
        Stop::Crash => hyp_abi::trace::Stop::Crash as u64,
    }
}

/// Looks whether resets add up to a leak.
fn check_held(instance: &Instance) {
    let TableUse { memory, marks } = instance.vm.space.table_use();
    // What the ghost check knows of the VM differs.
    let heap = if cfg!(feature = "ghost") { 0 } else { mm::heap::used() };
    let held = Held { memory, marks, heap };
    let resets = instance.past.resets.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    let resets = u64::from(resets);
    tracing::reset(instance, resets);
    debug!("VM {} after reset {resets}: {held}", instance.description.name);
    let first = *instance.past.held.lock().get_or_insert(held);
    if held != first {
        warn!("reset {resets} leaves {held}, the first one left {first}");
    }
}

fn reset(instance: &Instance) {
    info!("VM {} resets", instance.description.name);
    if let Err(error) = ghosted!(reset(&instance.vm), instance.vm.reset(&CurrentCpu)) {
        fail(HYP_FAILED, format_args!("VM {}: reset: {error}", instance.description.name));
    }
    events::forget(instance);
    load(instance);
    check_held(instance);
    start(instance);
    instance.vm.life.restart();
    CurrentCpu.kick(instance.vm.homes().of(0));
}
