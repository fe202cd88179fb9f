//! Rows 104 to 119: power.

use core::sync::atomic::{AtomicBool, Ordering};

use hyp_abi::psci::{self, affinity, status};
use hyp_abi::smccc::{self, FunctionId};

use crate::arch::{cpu, sysreg};
use crate::config::{Config, Kinds};
use crate::gic::{self, Gic};
use crate::hyper::{INVALID_PARAMETERS, NOT_SUPPORTED, call, call0};
use crate::smp::{self, LIMIT};
use crate::tap::{Check, Row};
use crate::time;

const ALREADY_ON: u64 = status::ALREADY_ON as u64;
const ON_PENDING: u64 = status::ON_PENDING as u64;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R104", Kinds::ALL, "PSCI_VERSION is 1.1", |check, _| {
        check.eq("x0", call0(psci::VERSION, [0; 3]), psci::VERSION_1_1);
    }),
    Row::smp("R105", Kinds::ALL, "CPU_ON starts a CPU in its reset state", cpu_on),
    Row::new("R106", Kinds::ALL, "CPU_ON of a running CPU", already_on),
    Row::smp("R107", Kinds::VM, "CPU_ON twice", twice),
    Row::new("R108", Kinds::ALL, "CPU_ON of an unknown MPIDR", |check, _| {
        for unknown in [0xff, 0xff_ff00, 0xff_0000_0000, 0x1_0000] {
            check.eq("x0", on(unknown), INVALID_PARAMETERS);
        }
    }),
    Row::new("R109", Kinds::VM, "CPU_ON with bits that are no affinity", |check, config| {
        for bit in [24, 30, 31, 40, 63] {
            check.eq("x0", on(config.affinity(0) | (1 << bit)), INVALID_PARAMETERS);
        }
    }),
    Row::smp("R110", Kinds::VM, "32-bit CPU_ON ignores upper halves", on_32),
    Row::new("R111", Kinds::VM, "AFFINITY_INFO level 4", |check, config| {
        check.eq("x0", info(config.affinity(0), 4), INVALID_PARAMETERS);
        check.eq("level -1", info(config.affinity(0), u64::MAX), INVALID_PARAMETERS);
    }),
    Row::new("R112", Kinds::VM, "AFFINITY_INFO of a cluster with a CPU on", |check, config| {
        for level in 0..4 {
            check.eq("x0", info(config.affinity(0), level), affinity::ON as u64);
        }
        check.eq("another cluster", info(0xff_0000, 1), INVALID_PARAMETERS);
    }),
    Row::smp("R113", Kinds::ALL, "AFFINITY_INFO of a CPU that is off", |check, config| {
        check.eq("x0", info(config.affinity(1), 0), affinity::OFF as u64);
    }),
    Row::new("R114", Kinds::VM, "MIGRATE_INFO_TYPE", |check, _| {
        check.eq("x0", call0(psci::MIGRATE_INFO_TYPE, [0; 3]), psci::MIGRATE_NOT_REQUIRED);
    }),
    Row::new("R115", Kinds::VM, "SYSTEM_RESET2 of an unknown type", |check, _| {
        for kind in [1, 0x7fff_ffff] {
            check.eq("32", call0(psci::SYSTEM_RESET2_32, [kind, 0, 0]), INVALID_PARAMETERS);
            check.eq("64", call0(psci::SYSTEM_RESET2_64, [kind, 0, 0]), INVALID_PARAMETERS);
        }
    }),
    Row::new("R117", Kinds::VM, "SYSTEM_SUSPEND is not there", |check, _| {
        let entry = cpu::secondary_address();
        check.eq("32", call0(psci::SYSTEM_SUSPEND_32, [entry, 0, 0]), NOT_SUPPORTED);
        check.eq("64", call0(psci::SYSTEM_SUSPEND_64, [entry, 0, 0]), NOT_SUPPORTED);
    }),
    Row::new("R118", Kinds::VM, "PSCI_FEATURES tells the truth", features),
    Row::smp("R119", Kinds::ALL, "CPU_OFF, AFFINITY_INFO, CPU_ON with a fresh state", off_and_on),
    Row { cpus: 3, ..Row::new("P1", Kinds::VM, "two CPUs race for a third", race) },
    Row::new("P2", Kinds::VM, "64-bit forms that do not exist answer -1", |check, _| {
        for id in [0xc400_0000, 0xc400_0002, 0xc400_0006, 0xc400_0008, 0xc400_0009, 0xc400_000a] {
            check.eq("x0", call0(FunctionId(id), [0; 3]), NOT_SUPPORTED);
        }
    }),
    Row::new("P3", Kinds::ALL, "CPU_SUSPEND comes back on an interrupt", suspend),
    Row::smp("P4", Kinds::ALL, "every CPU runs, all at once", all_at_once),
];

/// CPU_ON that must be refused: a CPU that starts nevertheless has no stack and parks.
fn on(affinity: u64) -> u64 {
    const NO_CPU: u64 = 0xff;
    call0(psci::CPU_ON_64, [affinity, cpu::secondary_address(), NO_CPU])
}

fn info(affinity: u64, level: u64) -> u64 {
    call0(psci::AFFINITY_INFO_64, [affinity, level, 0])
}

/// What a CPU must find at its entry besides its context id (DEN0022, 6.4.3.4).
fn is_fresh(check: &mut Check, config: &Config, index: usize, context: u64) {
    let Some(arrival) = smp::arrival(index) else {
        check.that("the CPU came", false);
        return;
    };
    check.eq("x0", arrival.context, context);
    check.eq("SCTLR_EL1.{I,C,M}", arrival.sctlr & 0x1005, 0);
    check.eq("SCTLR_EL1.EE", arrival.sctlr & (1 << 25), 0);
    check.eq("DAIF and SPSel", arrival.pstate, 0x3c1);
    if Kinds::VM.contains(config.kind) {
        check.eq("x1 | ... | x30", arrival.left_in_registers, 0);
    }
}

fn cpu_on(check: &mut Check, config: &Config) {
    for index in 1..config.cpu_count() {
        let (answer, context) = smp::start(config, index, |_| sysreg::mpidr_el1());
        check.eq("x0", answer, 0);
        let mpidr = smp::finish(config, index).unwrap_or(0);
        check.eq("MPIDR_EL1", mpidr & psci::MPIDR_AFFINITY, config.affinity(index));
        check.eq("MPIDR_EL1 bit 31", (mpidr >> 31) & 1, 1);
        is_fresh(check, config, index, context);
    }
}

fn already_on(check: &mut Check, config: &Config) {
    check.eq("itself", on(config.affinity(0)), ALREADY_ON);
    if config.cpu_count() > 1 {
        LET_GO.store(false, Ordering::Release);
        let (answer, _) = smp::start(config, 1, |_| {
            u64::from(time::wait_until(LIMIT, || LET_GO.load(Ordering::Acquire)))
        });
        check.eq("CPU_ON", answer, 0);
        check.that("it runs", time::wait_until(LIMIT, || smp::arrival(1).is_some()));
        check.eq("AFFINITY_INFO", info(config.affinity(1), 0), affinity::ON as u64);
        check.eq("the other", on(config.affinity(1)), ALREADY_ON);
        LET_GO.store(true, Ordering::Release);
        check.eq("it goes on", smp::finish(config, 1).unwrap_or(0), 1);
    }
}

fn twice(check: &mut Check, config: &Config) {
    for _ in 0..10 {
        LET_GO.store(false, Ordering::Release);
        let (answer, _) = smp::start(config, 1, |_| {
            u64::from(time::wait_until(LIMIT, || LET_GO.load(Ordering::Acquire)))
        });
        let again = on(config.affinity(1));
        LET_GO.store(true, Ordering::Release);
        check.eq("first", answer, 0);
        check.one_of("second", again, &[ALREADY_ON, ON_PENDING]);
        check.eq("it ran once", smp::finish(config, 1).unwrap_or(0), 1);
    }
}

fn on_32(check: &mut Check, config: &Config) {
    const UPPER: u64 = 0xabcd_ef01 << 32;
    let context = smp::prepare(config, 1, |_| 7) & 0xffff_ffff;
    let entry = cpu::secondary_address();
    let args = [config.affinity(1) | UPPER, entry | UPPER, context | UPPER];
    check.eq("x0", call0(psci::CPU_ON_32, args), 0);
    check.eq("it ran", smp::finish(config, 1).unwrap_or(0), 7);
    is_fresh(check, config, 1, context);
    let args = [config.affinity(1) | UPPER, UPPER, 0];
    check.eq("AFFINITY_INFO", call0(psci::AFFINITY_INFO_32, args), affinity::OFF as u64);
}

fn features(check: &mut Check, _: &Config) {
    let features = |id: FunctionId| call0(psci::FEATURES, [u64::from(id.0), 0, 0]);
    let there = [
        psci::VERSION,
        psci::CPU_SUSPEND_32,
        psci::CPU_SUSPEND_64,
        psci::CPU_OFF,
        psci::CPU_ON_32,
        psci::CPU_ON_64,
        psci::AFFINITY_INFO_32,
        psci::AFFINITY_INFO_64,
        psci::MIGRATE_INFO_TYPE,
        psci::SYSTEM_OFF,
        psci::SYSTEM_RESET,
        psci::FEATURES,
        psci::SYSTEM_RESET2_32,
        psci::SYSTEM_RESET2_64,
        smccc::VERSION,
    ];
    for id in there {
        check.eq("there", features(id), 0);
    }
    let absent = [
        psci::MIGRATE_32,
        psci::MIGRATE_64,
        psci::MIGRATE_INFO_UP_CPU_32,
        psci::SYSTEM_SUSPEND_32,
        psci::SYSTEM_SUSPEND_64,
        psci::MEM_PROTECT,
        psci::SYSTEM_OFF2_32,
        psci::SYSTEM_OFF2_64,
        FunctionId(0xc400_0002),
    ];
    for id in absent {
        check.eq("absent", features(id), NOT_SUPPORTED);
        if id != psci::SYSTEM_OFF2_32 && id != psci::SYSTEM_OFF2_64 {
            check.eq("and so is the call", call0(id, [0; 3]), NOT_SUPPORTED);
        }
    }
}

fn off_and_on(check: &mut Check, config: &Config) {
    for round in 0..5 {
        let (answer, context) = smp::start(config, 1, |_| 3);
        check.eq("CPU_ON", answer, 0);
        check.eq("it ran", smp::finish(config, 1).unwrap_or(0), 3);
        check.eq("AFFINITY_INFO", info(config.affinity(1), 0), affinity::OFF as u64);
        is_fresh(check, config, 1, context);
        check.that("a new context each time", context >> 8 != round);
    }
}

/// The CPU that was started stays until all who tried have their answer.
static LET_GO: AtomicBool = AtomicBool::new(false);

/// CPUs 0 and 1 both start CPU 2: exactly one succeeds.
fn race(check: &mut Check, config: &Config) {
    for _ in 0..20 {
        LET_GO.store(false, Ordering::Release);
        let context = smp::prepare(config, 2, |_| {
            u64::from(time::wait_until(LIMIT, || LET_GO.load(Ordering::Acquire)))
        });
        let (answer, _) = smp::start(config, 1, |config| smp::power_on(config, 2, 2));
        check.eq("CPU_ON of the rival", answer, 0);
        let _ = time::wait_until(LIMIT, || smp::arrival(1).is_some());
        let here = smp::power_on(config, 2, context);
        let there = smp::finish(config, 1).unwrap_or(1);
        LET_GO.store(true, Ordering::Release);
        check.that("one is told 0", (here == 0) != (there == 0));
        let loser = if here == 0 { there } else { here };
        check.one_of("the other", loser, &[ALREADY_ON, ON_PENDING]);
        check.eq("the target ran", smp::finish(config, 2).unwrap_or(0), 1);
    }
}

fn suspend(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, hyp_abi::vplatform::VTIMER_INTID);
    sysreg::cntv_cval(sysreg::cntvct() + time::ticks(10));
    sysreg::cntv_ctl(gic::TIMER_ENABLE);
    let got = call(psci::CPU_SUSPEND_64, [0, cpu::secondary_address(), 0]);
    check.eq("x0", got[0], 0);
    check.eq("the interrupt", gic::ack(), u64::from(hyp_abi::vplatform::VTIMER_INTID));
    sysreg::cntv_ctl(0);
    gic::end(u64::from(hyp_abi::vplatform::VTIMER_INTID));
}

fn all_at_once(check: &mut Check, config: &Config) {
    for _ in 0..5 {
        for index in 1..config.cpu_count() {
            let (answer, _) = smp::start(config, index, |_| {
                time::sleep(5);
                sysreg::tpidr_el1()
            });
            check.eq("CPU_ON", answer, 0);
        }
        for index in 1..config.cpu_count() {
            check.eq("index", smp::finish(config, index).unwrap_or(0), index as u64);
        }
    }
}
