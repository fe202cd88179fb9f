//! The VM's memory as its description wants it, its reset and its end.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use hyp_abi::exit::{BAD_INPUT, GUEST_FAILED, GUEST_OFF, HYP_FAILED};
use hyp_abi::trace::Kind;
use hyp_core::addr::Ipa;
use hyp_core::memory::TableUse;
use hyp_core::vgic::Kicks;
use hyp_core::vm::{Shell, Stop};

use super::instance::{self, Instance};
use super::shell::Here;
use super::{events, ghost, tracing};
use crate::arch::cpu::Lock;
use crate::exit::{exit, fail};
use crate::say::{debug, error, info, warn};
use crate::{entropy, mm, trace};

/// Copies what the VM's description names into its memory.
pub(crate) fn load(instance: &Instance) {
    let Instance { vm, description, .. } = instance;
    let write = |ipa, bytes: &[u8]| {
        if let Err(error) = ghost::load(|| vm.space.load(ipa, bytes)) {
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

/// Carries out what the VM was stopped for. By the last vCPU out.
pub(crate) fn carry_out(stop: Stop) {
    events::drain();
    ghost::stopped();
    trace::write(Kind::VmStopped, 0, [stop_code(stop), 0, 0, 0, 0]);
    let Some(instance) = instance::get() else { return };
    match stop {
        Stop::Off => {
            info!("VM {} powered off", instance.description.name);
            let denied = events::denied();
            if denied == 0 {
                exit(GUEST_OFF)
            }
            error!(
                "VM {} broke a rule {denied} time(s), which postern.deny=unguarded forbids; the \
                 event lines above name each place",
                instance.description.name
            );
            exit(GUEST_FAILED)
        }
        Stop::Crash => exit(GUEST_FAILED),
        Stop::Reset => reset(instance),
    }
}

const fn stop_code(stop: Stop) -> u64 {
    match stop {
        Stop::Off => hyp_abi::trace::Stop::Off as u64,
        Stop::Reset => hyp_abi::trace::Stop::Reset as u64,
        Stop::Crash => hyp_abi::trace::Stop::Crash as u64,
    }
}

/// What a VM holds once it is loaded: table frames over memory and over marks, bytes of EL2's heap.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Held {
    memory: u64,
    marks: u64,
    heap: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, marks, heap } = self;
        write!(f, "tables {memory} for memory, {marks} for marks; heap {heap} bytes")
    }
}

/// What the VM held after its first reset. Not after its first start: other CPUs still make their
/// vCPUs then.
static HELD: Lock<Option<Held>> = Lock::new(None);

static RESETS: AtomicU32 = AtomicU32::new(0);

/// Looks whether resets add up to a leak.
fn check_held(instance: &Instance) {
    let TableUse { memory, marks } = instance.vm.space.table_use();
    // What the ghost check knows of the VM differs.
    let heap = if cfg!(feature = "ghost") { 0 } else { mm::heap::used() };
    let held = Held { memory, marks, heap };
    let resets = u64::from(RESETS.fetch_add(1, Ordering::Relaxed).saturating_add(1));
    tracing::reset(resets);
    debug!("VM {} after reset {resets}: {held}", instance.description.name);
    let first = *HELD.lock().get_or_insert(held);
    if held != first {
        warn!("reset {resets} leaves {held}, the first one left {first}");
    }
}

fn reset(instance: &Instance) {
    info!("VM {} resets", instance.description.name);
    if let Err(error) = ghost::reset(&instance.vm, || instance.vm.reset(&Here)) {
        fail(HYP_FAILED, format_args!("VM {}: reset: {error}", instance.description.name));
    }
    events::forget();
    load(instance);
    check_held(instance);
    ghost::boot(&instance.vm, || instance.vm.start());
    instance.vm.life.restart();
    Here.kick(Kicks::NONE.with(0));
}
