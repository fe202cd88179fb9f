//! Rows of our own for the GIC that a guest sees (Arm IHI 0069, IHI 0048B).

use crate::arch::{probe, sysreg};
use crate::config::{Config, Kinds, PAGE};
use crate::gic::{self, DEFAULT_PRIORITY, Gic, SPURIOUS, ack, ack_nothing, end, send_sgi};
use crate::tap::{Check, Row};
use crate::time;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("G1", Kinds::ALL, "identification registers", identification),
    Row::new("G2", Kinds::ALL, "SGI to self taken as an exception", sgi_exception),
    Row::new("G3", Kinds::ALL, "pending, active and running priority of an SGI", sgi_states),
    Row::new("G4", Kinds::ALL, "sixteen SGIs at once arrive once each", sixteen_sgis),
    Row::new("G5", Kinds::ALL, "higher priority first", priorities),
    Row::new("G6", Kinds::ALL, "the priority mask holds back", priority_mask),
    Row::new("G7", Kinds::ALL, "a disabled interrupt stays pending", disabled),
    Row::new("G8", Kinds::ALL, "ICPENDR takes a pending interrupt back", clear_pending),
    Row::new("G9", Kinds::ALL, "preemption nests", preemption),
    Row::new("G10", Kinds::ALL, "priority drop and deactivation apart (EOImode 1)", split_end),
    Row::new("G11", Kinds::VM, "an SPI pending while its group is off is not lost", group_off),
    Row::new("G12", Kinds::ALL, "more SPIs than list registers, in order of priority", many_spis),
    Row::new(
        "G13",
        Kinds::ALL,
        "a group that is off at the interface is not signalled",
        other_group,
    ),
    Row::new("G14", Kinds::ALL, "the CPU interface off holds back", interface_off),
    Row::new("G15", Kinds::ALL, "an active interrupt is not signalled again", active_again),
    Row::new("G16", Kinds::ALL, "priorities by byte and by word", priority_bytes),
    Row::new("G17", Kinds::ALL, "ICFGR: SGIs edge, SPIs programmable", configuration),
    Row::new("G18", Kinds::VM, "reserved registers read 0 and ignore writes", reserved),
    Row::new("G19", Kinds::ALL, "pending SPIs again and again", spi_stream),
    Row::new(
        "G24",
        Kinds::ALL,
        "more active interrupts than list registers, ended in any order",
        crowd,
    ),
    Row::new(
        "G25",
        Kinds::GUARD,
        "the CPU interface is there while it is guarded",
        interface_guard,
    )
    .with_gic(2),
    Row::new("G26", Kinds::ALL, "SPENDSGIR and CPENDSGIR", senders).with_gic(2),
    Row::new("G27", Kinds::ALL, "ITARGETSR by byte and by word", targets).with_gic(2),
    Row::new("G29", Kinds::VM, "groups off and on while sixteen SGIs wait", groups).with_gic(3),
];

fn affinity(config: &Config) -> u64 {
    config.affinity(gic::this_cpu())
}

fn identification(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    let version = u64::from(gic::version());
    check.eq("GICD_PIDR2.ArchRev", u64::from((gic.dist.read32(gic::pidr2()) >> 4) & 0xf), version);
    check.that("SPIs exist", gic.interrupts() >= 64);
    if gic::is_v2() {
        let cpus = (gic.dist.read32(gic::TYPER) >> 5) & 7;
        check.eq("GICD_TYPER.CPUNumber", u64::from(cpus), config.cpu_count() as u64 - 1);
        return;
    }
    check.eq("GICR_PIDR2.ArchRev", u64::from((gic.redist.read32(gic::pidr2()) >> 4) & 0xf), 3);
    check.that("affinity routing is on", gic.dist.read32(gic::CTLR) & 0x10 != 0);
    check.eq("ICC_SRE_EL1.SRE", sysreg::icc_sre_el1() & 1, 1);
    for index in 0..config.cpu_count() {
        let redist = crate::arch::mmio::Io::new(
            config.gicr + hyp_abi::vplatform::GICR_STRIDE * index as u64,
        );
        let typer = redist.read64(gic::GICR_TYPER);
        let a = config.affinity(index);
        check.eq("GICR_TYPER.Affinity", typer >> 32, ((a >> 8) & 0xff00_0000) | (a & 0xff_ffff));
        check.eq("GICR_TYPER.Processor_Number", (typer >> 8) & 0xffff, index as u64);
        let is_last = index + 1 == config.cpu_count();
        check.eq("GICR_TYPER.Last", (typer >> 4) & 1, u64::from(is_last));
        let low = u64::from(redist.read32(gic::GICR_TYPER));
        let high = u64::from(redist.read32(gic::GICR_TYPER + 4));
        check.eq("GICR_TYPER in two halves", (high << 32) | low, typer);
    }
}

fn sgi_exception(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, 3);
    crate::arch::cpu::unmask_irq();
    for round in 1..=20 {
        send_sgi(3, affinity(config));
        check.that("it arrives", time::wait_until(10_000, || gic::taken() >= round));
    }
    time::sleep(5);
    crate::arch::cpu::mask_irq();
    check.eq("taken", gic::taken() as u64, 20);
    for n in 0..20 {
        check.eq("INTID", gic::nth(n), 3);
    }
}

fn sgi_states(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    check.eq("IAR before", gic::poll(), SPURIOUS);
    gic.set(gic::ISENABLER, 5);
    send_sgi(5, affinity(config));
    check.that("pending", time::wait_until(10_000, || gic::hppir() == 5));
    check.that("ISPENDR says so", gic.bit(gic::ISPENDR, 5));
    check.that("not active", !gic.bit(gic::ISACTIVER, 5));
    check.eq("RPR idle", gic::rpr(), 0xff);
    check.eq("IAR", gic::poll(), 5);
    check.that("not pending any more", !gic.bit(gic::ISPENDR, 5));
    check.that("active", gic.bit(gic::ISACTIVER, 5));
    check.eq("RPR", gic::rpr(), u64::from(DEFAULT_PRIORITY));
    end(5);
    check.that("inactive", !gic.bit(gic::ISACTIVER, 5));
    check.eq("RPR idle again", gic::rpr(), 0xff);
    check.eq("IAR after", ack_nothing(), SPURIOUS);
}

/// Acknowledges and ends `count` interrupts, counting each id in `seen`.
fn drain(check: &mut Check, count: usize, seen: &mut [u8]) {
    for _ in 0..count {
        let intid = ack();
        match usize::try_from(intid).ok().and_then(|i| seen.get_mut(i)) {
            Some(times) => *times += 1,
            None => check.eq("IAR", intid, 0),
        }
        if intid < 1020 {
            end(intid);
        }
    }
}

fn sixteen_sgis(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, 0xffff);
    for _ in 0..5 {
        for sgi in 0..16 {
            send_sgi(sgi, affinity(config));
        }
        let mut seen = [0; 16];
        drain(check, 16, &mut seen);
        check.that("each once", seen == [1; 16]);
        check.eq("nothing more", ack_nothing(), SPURIOUS);
    }
}

fn groups(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, 0xffff);
    // ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1, one after the other; in the end as other rows have them.
    for steps in [
        [(1, 1), (1, 0), (0, 0), (0, 1)],
        [(0, 0), (1, 0), (1, 1), (0, 1)],
        [(1, 1), (1, 0), (1, 1), (0, 1)],
    ] {
        for sgi in 0..16 {
            send_sgi(sgi, affinity(config));
        }
        for (group0, group1) in steps {
            sysreg::icc_igrpen0(group0);
            sysreg::icc_igrpen1(group1);
            check.eq(
                "one waits while its group is on",
                u64::from(gic::hppir() != SPURIOUS),
                group1,
            );
        }
        let mut seen = [0; 16];
        drain(check, 16, &mut seen);
        check.that("each once", seen == [1; 16]);
    }
}

fn priorities(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    for sgi in 0..12_u8 {
        gic.set_priority(u32::from(sgi), 0x80 - 8 * sgi);
    }
    gic.private().write32(gic::ISENABLER, 0xfff);
    // Low priorities first: they fill the list registers before the high ones come.
    for sgi in 0..12 {
        send_sgi(sgi, affinity(config));
    }
    for want in (0..12).rev() {
        let intid = ack();
        check.eq("IAR", intid, want);
        if intid < 1020 {
            end(intid);
        }
    }
    check.eq("nothing more", ack_nothing(), SPURIOUS);
}

fn priority_mask(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, 1);
    gic::pmr(0x80);
    send_sgi(1, affinity(config));
    check.eq("IAR under the mask", ack_nothing(), SPURIOUS);
    gic::pmr(0xff);
    check.eq("IAR without it", ack(), 1);
    end(1);
}

fn disabled(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    // SGIs of a GICv2 may be enabled always.
    for intid in [if gic::is_v2() { 18 } else { 2 }, 40] {
        gic.set(gic::ISPENDR, intid);
        check.that("pending", gic.bit(gic::ISPENDR, intid));
        check.eq("IAR while disabled", ack_nothing(), SPURIOUS);
        gic.set(gic::ISENABLER, intid);
        check.eq("IAR when enabled", ack(), u64::from(intid));
        end(u64::from(intid));
        gic.set(gic::ISPENDR, intid);
        gic.set(gic::ICENABLER, intid);
        check.eq("IAR when disabled again", ack_nothing(), SPURIOUS);
        check.that("still pending", gic.bit(gic::ISPENDR, intid));
        gic.set(gic::ICPENDR, intid);
        check.that("not pending", !gic.bit(gic::ISPENDR, intid));
    }
}

fn clear_pending(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    for intid in [9, 17, 45, 95] {
        gic.set(gic::ISENABLER, intid);
        gic.set(gic::ISPENDR, intid);
        check.that("pending", gic.bit(gic::ISPENDR, intid) && gic.bit(gic::ICPENDR, intid));
        gic.set(gic::ICPENDR, intid);
        check.that("not pending", !gic.bit(gic::ISPENDR, intid));
        check.eq("IAR", ack_nothing(), SPURIOUS);
    }
}

fn preemption(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, 0b1110);
    gic.set_priority(1, 0x80);
    gic.set_priority(2, 0x40);
    gic.set_priority(3, 0xc0);
    send_sgi(1, affinity(config));
    check.eq("first", ack(), 1);
    send_sgi(3, affinity(config));
    check.eq("a lower one does not preempt", ack_nothing(), SPURIOUS);
    send_sgi(2, affinity(config));
    check.eq("a higher one does", ack(), 2);
    check.eq("RPR", gic::rpr(), 0x40);
    end(2);
    check.eq("RPR after its end", gic::rpr(), 0x80);
    end(1);
    check.eq("then the lower one", ack(), 3);
    end(3);
    check.eq("RPR idle", gic::rpr(), 0xff);
}

fn split_end(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic::split_end(true);
    for intid in [4, 50] {
        gic.set(gic::ISENABLER, intid);
        gic.set(gic::ISPENDR, intid);
        check.eq("IAR", ack(), u64::from(intid));
        end(u64::from(intid));
        check.eq("RPR after the drop", gic::rpr(), 0xff);
        check.that("still active", gic.bit(gic::ISACTIVER, intid));
        gic.set(gic::ISPENDR, intid);
        check.eq("not again while active", ack_nothing(), SPURIOUS);
        gic::dir(u64::from(intid));
        check.eq("again after deactivation", ack(), u64::from(intid));
        end(u64::from(intid));
        gic::dir(u64::from(intid));
        check.that("inactive", !gic.bit(gic::ISACTIVER, intid));
    }
    gic::split_end(false);
}

fn group_off(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, 41);
    gic.enable_group(false);
    gic.set(gic::ISPENDR, 41);
    check.eq("IAR while the group is off", ack_nothing(), SPURIOUS);
    check.that("pending", gic.bit(gic::ISPENDR, 41));
    gic.enable_group(true);
    check.eq("IAR when it is on", ack(), 41);
    end(41);
}

/// With priority drop and deactivation apart a guest may hold any number of interrupts active and
/// end them as it likes. Twenty are more than there are list registers (16 at most).
fn crowd(check: &mut Check, config: &Config) {
    const FIRST: u32 = 40;
    const COUNT: u32 = 20;
    let gic = Gic::set_up(config);
    gic::split_end(true);
    for n in 0..COUNT {
        gic.set(gic::ISENABLER, FIRST + n);
        gic.set(gic::ISPENDR, FIRST + n);
    }
    for n in 0..COUNT {
        check.eq("IAR", ack(), u64::from(FIRST + n));
        end(u64::from(FIRST + n));
    }
    check.eq("all are active", ack_nothing(), SPURIOUS);
    // 7 and 20 have no common factor, so this visits each once.
    for step in 0..COUNT {
        let n = step * 7 % COUNT;
        check.that("active before", gic.bit(gic::ISACTIVER, FIRST + n));
        gic::dir(u64::from(FIRST + n));
        check.that("inactive after", !gic.bit(gic::ISACTIVER, FIRST + n));
    }
    for n in 0..COUNT {
        gic.set(gic::ISPENDR, FIRST + n);
        check.eq("IAR once more", ack(), u64::from(FIRST + n));
        end(u64::from(FIRST + n));
        gic::dir(u64::from(FIRST + n));
    }
    gic::split_end(false);
}

fn many_spis(check: &mut Check, config: &Config) {
    const FIRST: u32 = 40;
    const COUNT: u32 = 24;
    let gic = Gic::set_up(config);
    // Higher ids have higher priority and become pending last.
    for n in 0..COUNT {
        gic.set_priority(FIRST + n, u8::try_from(0xf0 - 8 * n).unwrap_or(0));
        gic.set(gic::ISENABLER, FIRST + n);
    }
    for n in 0..COUNT {
        gic.set(gic::ISPENDR, FIRST + n);
    }
    for n in (0..COUNT).rev() {
        let intid = ack();
        check.eq("IAR", intid, u64::from(FIRST + n));
        if intid < 1020 {
            end(intid);
        }
    }
    check.eq("nothing more", ack_nothing(), SPURIOUS);
}

fn other_group(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, 6);
    gic.private().write32(gic::IGROUPR, gic.group() ^ (1 << 6));
    gic.set(gic::ISPENDR, 6);
    check.eq("IAR of an interrupt in the other group", ack_nothing(), SPURIOUS);
    gic.private().write32(gic::IGROUPR, gic.group());
    check.eq("IAR when in this group", ack(), 6);
    end(6);
}

fn interface_off(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, 7);
    gic::enable_interface(false);
    send_sgi(7, affinity(config));
    check.eq("IAR while off", ack_nothing(), SPURIOUS);
    gic::enable_interface(true);
    check.eq("IAR when on", ack(), 7);
    end(7);
}

fn active_again(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    for intid in [8, 60] {
        gic.set(gic::ISENABLER, intid);
        gic.set(gic::ISACTIVER, intid);
        check.that("active by ISACTIVER", gic.bit(gic::ISACTIVER, intid));
        gic.set(gic::ISPENDR, intid);
        check.eq("IAR while active", ack_nothing(), SPURIOUS);
        gic.set(gic::ICACTIVER, intid);
        check.that("inactive by ICACTIVER", !gic.bit(gic::ISACTIVER, intid));
        check.eq("IAR when inactive", ack(), u64::from(intid));
        end(u64::from(intid));
    }
}

fn priority_bytes(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    for (frame, at) in [(gic.private(), gic::IPRIORITYR + 8), (gic.dist, gic::IPRIORITYR + 44)] {
        for (n, value) in [0x10_u8, 0x28, 0x90, 0xf8].into_iter().enumerate() {
            frame.write8(at + n as u64, value);
            check.eq("byte", u64::from(frame.read8(at + n as u64)), u64::from(value));
        }
        check.eq("word", u64::from(frame.read32(at)), 0xf890_2810);
        frame.write32(at, 0x0818_2830);
        check.eq("byte 3", u64::from(frame.read8(at + 3)), 0x08);
    }
}

fn configuration(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    check.eq("SGIs are edge", u64::from(gic.private().read32(gic::ICFGR)), 0xaaaa_aaaa);
    gic.dist.write32(gic::ICFGR + 12, 0);
    check.eq("level", u64::from(gic.dist.read32(gic::ICFGR + 12)), 0);
    gic.dist.write32(gic::ICFGR + 12, 0xaaaa_aaaa);
    check.eq("edge", u64::from(gic.dist.read32(gic::ICFGR + 12)), 0xaaaa_aaaa);
    gic.dist.write32(gic::ICFGR + 12, 0);
}

fn reserved(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    if gic::is_v2() {
        return reserved_v2(check, gic);
    }
    for offset in [0x0020, 0x0dfc, 0x0f00, 0x2000, 0x5ff8, 0x8000, 0xc000] {
        gic.dist.write32(offset, u32::MAX);
        check.eq("GICD", u64::from(gic.dist.read32(offset)), 0);
        check.eq("GICD, 8 bytes", gic.dist.read64(offset & !7), 0);
    }
    for offset in [0x0050, 0x0200, 0x8000, 0xc000] {
        gic.redist.write32(offset, u32::MAX);
        check.eq("GICR", u64::from(gic.redist.read32(offset)), 0);
    }
    // Bits of SGIs in the distributor belong to the redistributors.
    gic.dist.write32(gic::ISENABLER, u32::MAX);
    check.eq("GICD_ISENABLER0", u64::from(gic.dist.read32(gic::ISENABLER)), 0);
    // Widths that no register has: nothing but an answer is asked for. Aligned, because an
    // unaligned access to Device memory faults at stage 1.
    let _ = gic.dist.read16(gic::ISENABLER + 6);
    let _ = gic.dist.read8(gic::CTLR + 3);
    let _ = gic.dist.read64(gic::ISENABLER + 8);
    gic.dist.write16(0xfffe, 0xffff);
    check.eq("PIDR2 after all this", u64::from((gic.dist.read32(gic::pidr2()) >> 4) & 0xf), 3);
}

fn reserved_v2(check: &mut Check, gic: Gic) {
    // The windows are those of QEMU's `virt`, and longer than the registers.
    for offset in [0x0020, 0x07fc, 0x0bfc, 0x0dfc, 0x0e00, 0x0f30, 0x1000, 0x1100, 0xfffc] {
        gic.dist.write32(offset, u32::MAX);
        check.eq("GICD", u64::from(gic.dist.read32(offset)), 0);
    }
    for (gicc, offset) in gic::gicc()
        .into_iter()
        .flat_map(|gicc| [0x1000, 0x1004, 0x1ffc, 0x2000, 0xfffc].map(|offset| (gicc, offset)))
    {
        check.eq("GICC", u64::from(gicc.read32(offset)), 0);
        // Not GICC_DIR, which has a meaning.
        if offset > 0x1000 {
            gicc.write32(offset, u32::MAX);
        }
    }
    // Widths that no register has: nothing but an answer is asked for. Aligned as above.
    let _ = gic.dist.read16(gic::ISENABLER + 6);
    let _ = gic.dist.read8(gic::CTLR + 3);
    let _ = gic.dist.read64(gic::ISENABLER + 8);
    gic.dist.write16(0x0ffe, 0xffff);
    check.eq("PIDR2 after all this", u64::from((gic.dist.read32(gic::pidr2()) >> 4) & 0xf), 2);
}

fn spi_stream(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, 70);
    crate::arch::cpu::unmask_irq();
    for round in 1..=100 {
        gic.set(gic::ISPENDR, 70);
        check.that("it arrives", time::wait_until(10_000, || gic::taken() >= round));
    }
    time::sleep(5);
    crate::arch::cpu::mask_irq();
    check.eq("taken", gic::taken() as u64, 100);
}

/// The CPU interface is the hardware's own: guarding its pages maps them, each for itself.
fn interface_guard(check: &mut Check, config: &Config) {
    let _ = Gic::set_up(config);
    let Some(base) = config.gicc else { return };
    for page in [base, base + PAGE] {
        // Of the second page, DIR is write-only.
        let piece = if page == base { probe::load32() } else { probe::store32() };
        let answers = || !probe::run(piece, page, 0x3ff).is_caught();
        for _ in 0..3 {
            check.that("there", answers());
            check.eq("UNMAP", config.unmap(page), 0);
            let got = probe::run(piece, page, 0x3ff);
            check.eq("ESR_EL1", got.esr, hyp_abi::esr::SEA_DATA_EL1);
            check.eq("FAR_EL1", got.far, page);
            check.eq("MAP", config.map(page), 0);
            check.eq("MAP again", config.map(page), 0);
        }
        check.that("there again", answers());
    }
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, 1);
    send_sgi(1, affinity(config));
    check.eq("IAR", ack(), 1);
    end(1);
}

fn senders(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    let read = |offset| u64::from(gic.dist.read32(offset));
    gic.dist.write32(gic::SPENDSGIR + 4, 0x0001_0100);
    check.eq("SPENDSGIR", read(gic::SPENDSGIR + 4), 0x0001_0100);
    check.eq("CPENDSGIR", read(gic::CPENDSGIR + 4), 0x0001_0100);
    check.eq("ISPENDR", u64::from(gic.dist.read32(gic::ISPENDR) & 0xffff), 0x60);
    gic.dist.write8(gic::CPENDSGIR + 5, 1);
    check.eq("after CPENDSGIR", read(gic::SPENDSGIR + 4), 0x0001_0000);
    check.eq("IAR", ack(), 6);
    check.eq("while active", read(gic::SPENDSGIR + 4), 0);
    end(6);
    check.eq("nothing more", ack_nothing(), SPURIOUS);
}

fn targets(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    let is_alone = config.cpu_count() == 1;
    let own = if is_alone { 0 } else { 0x0101_0101 << gic::this_cpu() };
    for offset in [0, 28] {
        gic.dist.write32(gic::ITARGETSR + offset, 0);
        check.eq("own", u64::from(gic.dist.read32(gic::ITARGETSR + offset)), own);
    }
    for (n, value) in [1_u8, 2, 3, 0].into_iter().enumerate() {
        let at = gic::ITARGETSR + 44 + n as u64;
        gic.dist.write8(at, value);
        let want = if is_alone { 0 } else { value };
        check.eq("byte", u64::from(gic.dist.read8(at)), u64::from(want));
    }
    let want = if is_alone { 0 } else { 0x0003_0201 };
    check.eq("word", u64::from(gic.dist.read32(gic::ITARGETSR + 44)), want);
}
