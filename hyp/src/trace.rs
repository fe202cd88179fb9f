//! The trace of this run, if somebody asked for one: see [`hyp_abi::trace`].
//!
//! Records are made where little time matters: by refused accesses, calls of a traced VM, starts
//! and stops. Without a trace that is one look at a flag, and at none on the way of a plain call.

use core::fmt;

use hyp_abi::exit::BAD_INPUT;
use hyp_abi::trace::{ANNOUNCEMENT, ARGUMENTS, Kind};
use hyp_core::events::trace::{Groups, Trace, TraceRecord};
use hyp_core::memory::FreeMemory;

use crate::arch::once::Once;
use crate::arch::{percpu, timer};
use crate::exit::fail;
use crate::vm::system;
use crate::{console, mm};

static TRACE: Once<Trace<'static>> = Once::new();

/// Begins the trace that the boot argument asks for, in memory that nobody gets back, and says where
/// it lies.
#[inline(never)]
pub(crate) fn init(argument: Option<&str>, memory: &mut FreeMemory) {
    let Some(argument) = argument else { return };
    let bad = |error: fmt::Arguments<'_>| -> ! {
        fail(BAD_INPUT, format_args!("postern.trace={argument}: {error}"))
    };
    let groups = Groups::parse(argument).unwrap_or_else(|error| bad(format_args!("{error}")));
    if groups.is_empty() {
        return;
    }
    let bytes = Trace::bytes(percpu::online_count());
    let place = memory.allocate(bytes, 1).unwrap_or_else(|error| bad(format_args!("{error}")));
    let words = mm::el2_map::words(place.base(), place.size())
        .unwrap_or_else(|error| bad(format_args!("{error}")));
    TRACE.set(Trace::new(words, place.base(), timer::frequency(), groups));
    console::announce(format_args!("{ANNOUNCEMENT} {:#x}", place.base().get()));
}

/// Whether records of any of these groups are made.
pub(crate) fn has(groups: Groups) -> bool {
    TRACE.get().is_some_and(|trace| trace.groups().intersects(groups))
}

/// Whether there is a trace.
pub(crate) fn is_on() -> bool {
    TRACE.get().is_some()
}

/// Makes a record about the vCPU of this CPU, if there is a trace.
pub(crate) fn write(kind: Kind, pc: u64, arguments: [u64; ARGUMENTS]) {
    write_at(kind, pc, false, arguments);
}

/// Makes a record about the VM with number `vm`.
pub(crate) fn of_vm(vm: u8, kind: Kind, arguments: [u64; ARGUMENTS]) {
    let vcpu = system::nth(vm).and_then(|instance| instance.vm.homes().vcpu_on(percpu::index()));
    push((vm, vcpu.unwrap_or(0)), kind, 0, false, arguments);
}

/// Writes a record as [`write`] does, about an instruction of EL0 or not.
#[cold]
#[inline(never)]
pub(crate) fn write_at(kind: Kind, pc: u64, is_el0: bool, arguments: [u64; ARGUMENTS]) {
    let own = system::on(percpu::index()).map(|(instance, vcpu)| (instance.vm.number(), vcpu));
    push(own.unwrap_or((0, percpu::index())), kind, pc, is_el0, arguments);
}

fn push((vm, vcpu): (u8, usize), kind: Kind, pc: u64, is_el0: bool, arguments: [u64; ARGUMENTS]) {
    let Some(trace) = TRACE.get() else { return };
    let [vcpu, cpu] = [vcpu, percpu::index()].map(|number| u8::try_from(number).unwrap_or(u8::MAX));
    let time = timer::now();
    trace.push(&TraceRecord { kind, vm, vcpu, cpu, time, pc, is_el0, arguments });
}
