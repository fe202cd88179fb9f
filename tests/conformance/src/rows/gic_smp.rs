//! Rows of our own for interrupts between vCPUs (Arm IHI 0069, IHI 0048B).

use hyp_abi::vplatform::GICR_STRIDE;

use crate::arch::{cpu, mmio::Io};
use crate::config::{Config, Kinds};
use crate::gic::{self, Gic, SPURIOUS, ack, ack_nothing, end, send_sgi};
use crate::tap::{Check, Row};
use crate::{smp, time};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::smp("G20", Kinds::ALL, "SGI to another CPU and back, 200 rounds", ping_pong),
    Row::smp("G21", Kinds::ALL, "SGI to all others spares the sender", broadcast),
    Row::smp("G22", Kinds::ALL, "an SPI goes where its route says", routed_spi),
    Row::smp(
        "G23",
        Kinds::ALL,
        "private interrupts of another CPU by its redistributor",
        remote_private,
    )
    .with_gic(3),
    Row::smp("G28", Kinds::ALL, "an SGI names its sender and comes once for each", senders)
        .with_gic(2),
    Row::smp(
        "G30",
        Kinds::ALL,
        "an SPI is deactivated by another CPU than took it (EOImode 1)",
        deactivated_elsewhere,
    ),
];

const ROUNDS: usize = 200;
const PING: u64 = 11;
const PONG: u64 = 12;

fn ping_pong(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, (1 << PING) | (1 << PONG));
    cpu::unmask_irq();
    let (answer, _) = smp::start(config, 1, |config| {
        let gic = Gic::of_this_cpu(config);
        gic.set_up_cpu();
        gic.private().write32(gic::ISENABLER, (1 << PING) | (1 << PONG));
        cpu::unmask_irq();
        // Tell that we are there.
        send_sgi(PONG, config.affinity(0));
        let mut done = 0;
        while done < ROUNDS && time::wait_until(10_000, || gic::taken() > done) {
            done += 1;
            send_sgi(PONG, config.affinity(0));
        }
        cpu::mask_irq();
        done as u64
    });
    check.eq("CPU_ON", answer, 0);
    let mut done = 0;
    while done < ROUNDS && time::wait_until(10_000, || gic::taken() > done) {
        done += 1;
        send_sgi(PING, config.affinity(1));
    }
    check.that("the last answer", time::wait_until(10_000, || gic::taken() > ROUNDS));
    check.eq("rounds there", smp::finish(config, 1).unwrap_or(0), ROUNDS as u64);
    cpu::mask_irq();
    check.eq("answers here", gic::taken() as u64, ROUNDS as u64 + 1);
    check.eq("rounds here", done as u64, ROUNDS as u64);
}

fn broadcast(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, (1 << PING) | (1 << PONG));
    for index in 1..config.cpu_count() {
        let (answer, _) = smp::start(config, index, |config| {
            let gic = Gic::of_this_cpu(config);
            gic.set_up_cpu();
            gic.private().write32(gic::ISENABLER, 1 << PING);
            send_sgi(PONG, config.affinity(0));
            let intid = ack();
            end(intid);
            if ack_nothing() == SPURIOUS { intid } else { 0 }
        });
        check.eq("CPU_ON", answer, 0);
        check.eq("it is there", ack(), PONG);
        end(PONG);
    }
    gic::send_sgi_to_others(PING);
    for index in 1..config.cpu_count() {
        check.eq("what it saw", smp::finish(config, index).unwrap_or(0), PING);
    }
    check.eq("the sender saw", ack_nothing(), SPURIOUS);
}

fn routed_spi(check: &mut Check, config: &Config) {
    const SPI: u32 = 55;
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, 1 << PONG);
    gic.set(gic::ISENABLER, SPI);
    gic.route(SPI, config.affinity(1));
    let (answer, _) = smp::start(config, 1, |config| {
        Gic::of_this_cpu(config).set_up_cpu();
        send_sgi(PONG, config.affinity(0));
        let intid = ack();
        end(intid);
        intid
    });
    check.eq("CPU_ON", answer, 0);
    check.eq("it is there", ack(), PONG);
    end(PONG);
    gic.set(gic::ISPENDR, SPI);
    check.eq("seen there", smp::finish(config, 1).unwrap_or(0), u64::from(SPI));
    check.eq("seen here", ack_nothing(), SPURIOUS);
    gic.route(SPI, config.affinity(0));
    gic.set(gic::ISPENDR, SPI);
    check.eq("seen here when routed here", ack(), u64::from(SPI));
    end(u64::from(SPI));
}

fn remote_private(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, 1 << PONG);
    let (answer, _) = smp::start(config, 1, |config| {
        let gic = Gic::of_this_cpu(config);
        gic.set_up_cpu();
        gic.set(gic::ISENABLER, 13);
        send_sgi(PONG, config.affinity(0));
        let intid = ack();
        end(intid);
        intid
    });
    check.eq("CPU_ON", answer, 0);
    check.eq("it is there", ack(), PONG);
    end(PONG);
    let there = Gic { dist: gic.dist, redist: Io::new(config.gicr + GICR_STRIDE) };
    check.that("its enable bit, seen from here", there.bit(gic::ISENABLER, 13));
    there.set(gic::ISPENDR, 13);
    check.eq("seen there", smp::finish(config, 1).unwrap_or(0), 13);
    check.that("not pending any more", !there.bit(gic::ISPENDR, 13));
}

fn senders(check: &mut Check, config: &Config) {
    const BOTH: u64 = 9;
    let _ = Gic::set_up(config);
    let there = smp::run_on(config, 1, |config| {
        Gic::of_this_cpu(config).set_up_cpu();
        for _ in 0..3 {
            send_sgi(BOTH, config.affinity(0));
        }
        1
    });
    check.eq("CPU 1 ran", there.unwrap_or(0), 1);
    send_sgi(BOTH, config.affinity(0));
    let mut seen = 0;
    for _ in 0..2 {
        let iar = gic::ack_with_sender();
        check.eq("IAR", iar & 0x3ff, BOTH);
        seen |= 1 << (iar >> 10);
        check.eq("not again while active", ack_nothing(), SPURIOUS);
        end(BOTH);
    }
    check.eq("senders", seen, 0b11);
    check.eq("nothing more", ack_nothing(), SPURIOUS);
}

fn deactivated_elsewhere(check: &mut Check, config: &Config) {
    const SPI: u32 = 56;
    let gic = Gic::set_up(config);
    gic::split_end(true);
    gic.set(gic::ISENABLER, SPI);
    gic.route(SPI, config.affinity(0));
    gic.set(gic::ISPENDR, SPI);
    check.eq("IAR", ack(), u64::from(SPI));
    end(u64::from(SPI));
    check.that("active after the drop", gic.bit(gic::ISACTIVER, SPI));
    let there = smp::run_on(config, 1, |config| {
        let gic = Gic::of_this_cpu(config);
        gic.set_up_cpu();
        gic::split_end(true);
        gic::dir(u64::from(SPI));
        gic::split_end(false);
        u64::from(gic.bit(gic::ISACTIVER, SPI))
    });
    check.eq("active, seen there", there.unwrap_or(u64::MAX), 0);
    check.that("inactive, seen here", !gic.bit(gic::ISACTIVER, SPI));
    gic.set(gic::ISPENDR, SPI);
    check.eq("IAR again", ack(), u64::from(SPI));
    end(u64::from(SPI));
    gic::dir(u64::from(SPI));
    check.that("inactive at the end", !gic.bit(gic::ISACTIVER, SPI));
    gic::split_end(false);
}
