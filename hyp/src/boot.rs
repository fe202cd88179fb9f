//! The order of boot, from the first Rust instruction to the VM.

use core::fmt;

use hyp_abi::exit::{BAD_INPUT, HYP_FAILED, NONCE};
use hyp_core::addr::Pa;
use hyp_core::memory::{FreeMemory, PaRange};
use hyp_core::tree::machine::{EnableMethod, Machine, MachineError, salvaged_argument};
use hyp_core::vgic::CpuInterface;
use log::LevelFilter;

use crate::arch::boot::{EntryKind, Halt, halt};
use crate::arch::{cpu, debug, percpu, sysreg, timer};
use crate::drivers::gic;
use crate::drivers::uart::Uart;
use crate::drivers::virtual_interface::VirtualInterface;
use crate::exit::{bad_input, fail};
use crate::handover::Handover;
use crate::say::{info, warn};
use crate::{console, entropy, exit, firmware, machine, mm, smp, trace};

/// Bytes of EL2's heap. A model of the VM takes some more.
const HEAP_SIZE: u64 = if cfg!(feature = "ghost") { 16 << 20 } else { 1 << 20 };
/// Values of the boot argument `log`. A table, because the compiler makes a comparison with what it knows
/// into a row of its own instructions.
static LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];
/// Names of the boot arguments of this image.
static ARGUMENTS: &[&str] = &[
    "log",
    "console",
    NONCE,
    "protected",
    "trace",
    "deny",
    "poison",
    "crash",
    #[cfg(feature = "inject")]
    "inject",
    #[cfg(feature = "ghost")]
    "ghost",
];
/// The value of the boot argument `console`.
static MEMORY: &str = "memory";
/// Those that are `on` or `off`.
static SWITCHES: &[&str] = &["protected", "poison"];
/// Bytes of a UART's registers that are mapped at most; none has more.
const UART_SIZE: u64 = 1 << 16;

/// The boot CPU, called by `boot.s`: MMU on, image mapped, stack set, interrupts masked.
pub(crate) extern "C" fn boot_main(tree_pa: u64, image: u64, kind: u64) -> ! {
    mm::el2_map::init(Pa(image));
    hyp_core::sync::relax_by(cpu::yield_now);
    // Without a tree there is no console to complain on.
    let Some(tree) = mm::el2_map::firmware_tree(Pa(tree_pa)) else { halt(Halt::NoTree) };
    // A second opinion of where the tree ends. The crate's look-ups panic on a tree that breaks the
    // format, its check of the header does not.
    let Ok(header) = fdt::Fdt::new(tree) else { halt(Halt::DamagedTree) };
    let mut machine = Machine::default();
    let read = machine.read(tree);
    if !machine.has_header() {
        halt(Halt::DamagedTree);
    }
    let nonce = machine.boot_argument(NONCE);
    let nonce = nonce.or_else(|| read.err().and_then(|_| salvaged_argument(tree, NONCE)));
    let has_nonce = exit::init(nonce);
    // What is left of a damaged tree may tell where to say so.
    start_console(&machine);
    let kind = EntryKind::from_raw(kind);
    let refuse = |why: &dyn fmt::Display| -> ! { refuse(&machine, kind, why) };
    if let Err(error) = &read {
        refuse(error);
    }

    match kind {
        EntryKind::El2 => {}
        EntryKind::El1 => refuse(
            &"started at EL1, but a hypervisor needs EL2: enable virtualization in the firmware \
              (QEMU: -M virt,virtualization=on)",
        ),
        EntryKind::E2hStuck => refuse(
            &"this CPU runs EL2 only with HCR_EL2.E2H set, which Postern does not support; \
              choose another CPU model",
        ),
    }
    if timer::frequency() == 0 {
        refuse(
            &"firmware has left CNTFRQ_EL0 at 0, and only EL3 can set it to the rate of the \
              counter: update the firmware",
        );
    }
    if !has_nonce {
        bad_input(&"postern.nonce=: write 1 to 32 letters and digits");
    }
    #[cfg(feature = "inject")]
    if let Err(unknown) = crate::injection::init(machine.boot_argument("inject")) {
        bad_input(&unknown);
    }
    injected!(note_forbidden(&machine));
    mm::el2_map::guard_stacks();
    percpu::set_online();
    match machine.psci() {
        Ok(conduit) => firmware::init(conduit),
        // A machine can do without: its CPUs wait at a spin table, or it has but one.
        Err(MachineError::NoPsci) => {}
        Err(error) => bad_input(&error),
    }
    info!("Postern {} at EL2, image at {}", env!("CARGO_PKG_VERSION"), Pa(image));
    if !machine.model.is_empty() {
        info!("machine: {}", machine.model);
    }

    let tree = PaRange::new(Pa(tree_pa), header.total_size() as u64);
    let mut memory = FreeMemory::new();
    free_memory(&machine, tree, &mut memory);
    let heap = memory
        .allocate(HEAP_SIZE, HEAP_SIZE)
        .unwrap_or_else(|error| fail(BAD_INPUT, format_args!("memory for EL2: {error}")));
    mm::heap::give(heap.base(), heap.size())
        .and_then(|()| mm::ports::init())
        .unwrap_or_else(|error| fail(HYP_FAILED, format_args!("EL2's map: {error}")));

    if machine.boot_argument("poison") == Some("on") {
        mm::poison(&memory);
    }
    start_gic(&machine);
    machine::note_cpu();
    debug::prepare();
    injected!(tell_registers());
    start_cpus(&machine);
    describe(&memory);
    check_arguments(&machine);
    trace::init(machine.boot_argument("trace"), &mut memory);
    let mut crash = None;
    if let Some(how) = machine.boot_argument("crash") {
        crash = Some(provoke(how));
    }
    let bundle = map_bundle(&machine);
    entropy::init(&machine, Pa(tree_pa));
    let memory = &mut memory;
    crate::vm::launch::start(Handover { machine: &machine, memory, bundle, crash })
}

/// Crashes as `how` says, or tells what is to be run later to that end.
fn provoke(how: &str) -> usize {
    if how != "run-boot" {
        mm::provoke::crash(how);
        fail(HYP_FAILED, format_args!("nothing came of postern.crash={how}"));
    }
    boot_main as *const () as usize
}

/// Ends if a boot argument means nothing: somebody relies on what it was to do.
fn check_arguments(machine: &Machine<'_>) {
    if let Some(word) = machine.unknown_boot_argument(ARGUMENTS) {
        fail(
            BAD_INPUT,
            format_args!(
                "{word}: this image has no such boot argument; it has postern.log=, console=, \
                 protected=, trace=, deny=, poison= and crash="
            ),
        );
    }
    if let Some(Err(name)) = level(machine) {
        fail(
            BAD_INPUT,
            format_args!("postern.log={name}: write error, warn, info, debug or trace"),
        );
    }
    if let Some(value) = machine.boot_argument("console").filter(|value| *value != MEMORY) {
        fail(BAD_INPUT, format_args!("postern.console={value}: write {MEMORY}, or leave it out"));
    }
    for switch in SWITCHES {
        if let Some(value) = machine.boot_argument(switch)
            && !matches!(value, "on" | "off")
        {
            fail(BAD_INPUT, format_args!("postern.{switch}={value}: write on or off"));
        }
    }
}

/// How much the boot argument `log` lets through, or its value if that is no level.
fn level<'a>(machine: &Machine<'a>) -> Option<Result<LevelFilter, &'a str>> {
    let name = machine.boot_argument("log")?;
    let known = LEVELS.iter().find(|(known, _)| *known == name);
    Some(known.map(|(_, level)| *level).ok_or(name))
}

fn start_console(machine: &Machine<'_>) {
    console::init(level(machine).and_then(Result::ok).unwrap_or(LevelFilter::Info));
    match uart(machine) {
        Some(uart) => console::attach(uart),
        None => {
            let at = console::keep_in_memory();
            warn!("this log is kept in memory, at {at}: no console is used, and nobody can type");
        }
    }
}

/// The UART that carries the console, unless the boot argument `console` asks for none.
fn uart(machine: &Machine<'_>) -> Option<Uart> {
    let console = machine.console.filter(|_| machine.boot_argument("console") != Some(MEMORY))?;
    let (base, size) = (console.registers.base(), console.registers.size());
    Uart::new(&console, mm::el2_map::device(base, size.min(UART_SIZE)).ok()?)
}

/// Ends where EL2 is not ours to run.
#[cold]
#[inline(never)]
fn refuse(machine: &Machine<'_>, kind: EntryKind, why: &dyn fmt::Display) -> ! {
    if let Some(conduit) = machine.last_conduit(kind != EntryKind::El1) {
        firmware::init(conduit);
    }
    bad_input(why)
}

/// Memory that nobody has: the banks less what the tree, the loader and EL2 itself occupy.
#[inline(never)]
fn free_memory(machine: &Machine<'_>, tree: Option<PaRange>, free: &mut FreeMemory) {
    let banks = machine.memory().unwrap_or_else(|error| bad_input(&error));
    for bank in banks {
        free.add(*bank).unwrap_or_else(|error| bad_input(&error));
    }
    let mut reserve = |range| free.reserve(range).unwrap_or_else(|error| bad_input(&error));
    machine.reserved.iter().for_each(|reserved| reserve(reserved.range));
    for cpu in &machine.cpus {
        // A tree need not reserve the word of a spin table.
        if let EnableMethod::SpinTable(word) = cpu.enable_method {
            PaRange::page_of(word).into_iter().for_each(&mut reserve);
        }
    }
    let image = mm::el2_map::image_range();
    let image = PaRange::between(image.start, image.end);
    [machine.initrd, Some(image), tree].into_iter().flatten().for_each(reserve);
}

#[inline(never)]
fn start_gic(machine: &Machine<'_>) {
    let found = machine.gic().unwrap_or_else(|error| bad_input(&error));
    let map = |range: PaRange| {
        mm::el2_map::device(range.base(), range.size())
            .unwrap_or_else(|error| fail(BAD_INPUT, format_args!("GIC at {range}: {error}")))
    };
    let ppis = machine.ppis().unwrap_or_else(|error| bad_input(&error));
    gic::init(found, ppis, map).unwrap_or_else(|error| bad_input(&error));
}

/// Starts the other CPUs and waits until they are there; goes on without one that is not.
#[inline(never)]
fn start_cpus(machine: &Machine<'_>) {
    let own = sysreg::mpidr_el1() & hyp_abi::psci::MPIDR_AFFINITY;
    let mut next = 1;
    for group in machine.start_groups(own) {
        let numbered = (next..percpu::MAX_CPUS).zip(group);
        let called = smp::call(numbered.clone());
        for (index, cpu) in numbered {
            if let Err(error) = called.and_then(|()| smp::wait_for(index)) {
                warn!("CPU {:#x} stays off: {error}", cpu.mpidr);
            }
            // One that was called and is silent may still come, and would find its number taken.
            if called.is_ok() {
                next = index + 1;
            }
        }
    }
    if let Some(fault) = &machine.cpu_fault {
        warn!("a CPU stays off: {fault}");
    }
    if machine.cpus_left_out > 0 {
        info!("{} more CPUs stay off: Postern uses {}", machine.cpus_left_out, percpu::MAX_CPUS);
    }
}

/// Says what was found.
#[inline(never)]
fn describe(memory: &FreeMemory) {
    info!(
        "{} CPU(s), {} MiB of memory free, {}, GICv{} with {} list registers",
        percpu::online_count(),
        memory.total() >> 20,
        firmware::Described,
        u64::from(gic::version().number()),
        VirtualInterface::here().list_registers(),
    );
}

fn map_bundle(machine: &Machine<'_>) -> &'static [u8] {
    let Some(range) = machine.initrd else {
        bad_input(
            &"no bundle: the loader must pass one as the initrd (QEMU: -initrd; made by \
              cargo xtask bundle)",
        );
    };
    if let Some(forbidden) = machine.forbidden(range) {
        fail(
            BAD_INPUT,
            format_args!(
                "the bundle at {range} lies on {forbidden}, which the device tree says must not be mapped \
                 (no-map): have the loader put it elsewhere"
            ),
        );
    }
    mm::el2_map::read_only(range.base(), range.size())
        .unwrap_or_else(|error| fail(BAD_INPUT, format_args!("bundle at {range}: {error}")))
}
