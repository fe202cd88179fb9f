//! Rows of our own for the generic timers and their private interrupts.

use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};

use crate::arch::{cpu, sysreg};
use crate::config::{Config, Kinds};
use crate::gic::{
    self, Gic, SPURIOUS, TIMER_ENABLE, TIMER_MASK, TIMER_STATUS, ack, ack_nothing, end,
};
use crate::tap::{Check, Row};
use crate::{smp, time};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("T1", Kinds::ALL, "counters run and agree", counters),
    Row::new("T2", Kinds::ALL, "virtual timer fires in time", |check, config| {
        fires(check, config, &VIRTUAL);
    }),
    Row::new("T3", Kinds::ALL, "physical timer fires in time", |check, config| {
        fires(check, config, &PHYSICAL);
    }),
    Row::new("T4", Kinds::ALL, "a timer ends WFI, IRQs masked", wakes),
    Row::new("T5", Kinds::ALL, "100 ticks of a millisecond", ticks),
    Row::new("T6", Kinds::ALL, "a line that falls takes the interrupt back", falls),
    Row::new("T7", Kinds::ALL, "a line that stays high comes again", stays),
    Row::smp("T8", Kinds::ALL, "each CPU has its own timers", on_each_cpu),
];

struct Timer {
    intid: u32,
    set_control: fn(u64),
    set_compare: fn(u64),
    control: fn() -> u64,
}

const VIRTUAL: Timer = Timer {
    intid: VTIMER_INTID,
    set_control: sysreg::cntv_ctl,
    set_compare: sysreg::cntv_cval,
    control: sysreg::cntv_ctl_el0,
};

const PHYSICAL: Timer = Timer {
    intid: PTIMER_INTID,
    set_control: sysreg::cntp_ctl,
    set_compare: sysreg::cntp_cval,
    control: sysreg::cntp_ctl_el0,
};

fn counters(check: &mut Check, _: &Config) {
    check.that("CNTFRQ_EL0 is not 0", sysreg::cntfrq_el0() != 0);
    let mut last = sysreg::cntpct();
    for _ in 0..1000 {
        let virtual_count = sysreg::cntvct();
        let physical = sysreg::cntpct();
        check.that("in order", last <= virtual_count && virtual_count <= physical);
        last = physical;
    }
}

fn fires(check: &mut Check, config: &Config, timer: &Timer) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, timer.intid);
    for delay in [1, 5, 20] {
        gic::forget();
        let due = sysreg::cntvct() + time::ticks(delay);
        (timer.set_compare)(due);
        (timer.set_control)(TIMER_ENABLE);
        let status = (timer.control)() & TIMER_STATUS;
        // On a busy machine the time may be over already.
        check.that("no status before the time", status == 0 || sysreg::cntvct() >= due);
        let mut at = 0;
        cpu::unmask_irq();
        check.that(
            "it arrives",
            time::wait_until(10_000, || {
                let taken = gic::taken() > 0;
                // Afterwards: it may come between the two.
                at = sysreg::cntvct();
                taken
            }),
        );
        cpu::mask_irq();
        check.that("not early", at >= due);
        // Generous: an emulator on a busy machine runs this.
        check.that("not half a second late", at < due + time::ticks(500));
        check.eq("INTID", gic::nth(0), u64::from(timer.intid));
        check.eq("status", (timer.control)(), TIMER_ENABLE | TIMER_MASK | TIMER_STATUS);
        check.eq("once", gic::taken() as u64, 1);
        (timer.set_control)(0);
    }
}

fn wakes(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, VTIMER_INTID);
    let due = sysreg::cntvct() + time::ticks(20);
    sysreg::cntv_cval(due);
    sysreg::cntv_ctl(TIMER_ENABLE);
    // WFI may end early for any reason.
    while sysreg::cntvct() < due {
        cpu::wfi();
    }
    check.eq("IAR", ack(), u64::from(VTIMER_INTID));
    sysreg::cntv_ctl(0);
    end(u64::from(VTIMER_INTID));
}

fn ticks(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, VTIMER_INTID);
    let step = time::ticks(1);
    let start = sysreg::cntvct();
    cpu::unmask_irq();
    for tick in 1..=100 {
        sysreg::cntv_cval(start + tick * step);
        sysreg::cntv_ctl(TIMER_ENABLE);
        check.that("it arrives", time::wait_until(10_000, || gic::taken() as u64 >= tick));
    }
    cpu::mask_irq();
    check.eq("taken", gic::taken() as u64, 100);
    check.that("not early", sysreg::cntvct() >= start + 100 * step);
}

/// Whether the interrupt of a timer whose line has just fallen may still come once: where a
/// hypervisor has put it into a list register by then, no trap tells it of the fall. (KVM is the
/// same. Drivers look at the timer and go on.)
fn takes_late(check: &mut Check, config: &Config, timer: &Timer) {
    let late = ack_nothing();
    if late == u64::from(timer.intid) && !Kinds::BARE.contains(config.kind) {
        end(late);
        check.eq("IAR when low, after one late interrupt", ack_nothing(), SPURIOUS);
    } else {
        check.eq("IAR when low", late, SPURIOUS);
    }
}

fn falls(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    for timer in [&VIRTUAL, &PHYSICAL] {
        gic.set(gic::ISENABLER, timer.intid);
        (timer.set_compare)(0);
        (timer.set_control)(TIMER_ENABLE);
        check.that("pending", time::wait_until(10_000, || gic::hppir() == u64::from(timer.intid)));
        (timer.set_control)(TIMER_ENABLE | TIMER_MASK);
        takes_late(check, config, timer);
        // And it comes back when the line does.
        (timer.set_control)(TIMER_ENABLE);
        check.eq("IAR when high again", ack(), u64::from(timer.intid));
        (timer.set_control)(0);
        end(u64::from(timer.intid));
        takes_late(check, config, timer);
    }
}

fn stays(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    for timer in [&VIRTUAL, &PHYSICAL] {
        gic.set(gic::ISENABLER, timer.intid);
        (timer.set_compare)(0);
        (timer.set_control)(TIMER_ENABLE);
        for _ in 0..5 {
            check.eq("IAR", ack(), u64::from(timer.intid));
            end(u64::from(timer.intid));
        }
        (timer.set_control)(0);
        takes_late(check, config, timer);
    }
}

fn on_each_cpu(check: &mut Check, config: &Config) {
    Gic::set_up(config);
    for index in 1..config.cpu_count() {
        let answer = smp::run_on(config, index, |config| {
            let gic = Gic::of_this_cpu(config);
            gic.set_up_cpu();
            let mut good = 0;
            for timer in [&VIRTUAL, &PHYSICAL] {
                gic.set(gic::ISENABLER, timer.intid);
                let due = sysreg::cntvct() + time::ticks(3);
                (timer.set_compare)(due);
                (timer.set_control)(TIMER_ENABLE);
                let intid = ack();
                let is_late = sysreg::cntvct() >= due;
                (timer.set_control)(0);
                end(intid);
                good += u64::from(intid == u64::from(timer.intid) && is_late);
            }
            good
        });
        check.eq("good timers", answer.unwrap_or(0), 2);
    }
}
