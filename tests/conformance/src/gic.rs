//! A driver for GICv3 and GICv2, small and literal: distributor, redistributors, CPU interface, and
//! a handler that notes what arrives (Arm IHI 0069, chapter 12; Arm IHI 0048B, chapter 4).
//!
//! With GICv3 everything is in group 1, with GICv2 in group 0: there an interrupt of group 1 needs
//! registers that not every emulator has.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use hyp_abi::vplatform::{GICR_STRIDE, MAX_VCPUS, PTIMER_INTID, VTIMER_INTID};

use crate::arch::mmio::Io;
use crate::arch::{cpu, sysreg};
use crate::config::Config;
use crate::time;

/// No interrupt pending (IHI 0069, 2.2.1).
pub(crate) const SPURIOUS: u64 = 1023;
/// Priority that [`Gic::set_up`] gives to everything.
pub(crate) const DEFAULT_PRIORITY: u8 = 0xa0;

// GICD and, where the redistributor's SGI frame has the same, GICR (IHI 0069, 12.8 and 12.10).
pub(crate) const CTLR: u64 = 0x0000;
pub(crate) const TYPER: u64 = 0x0004;
pub(crate) const IGROUPR: u64 = 0x0080;
pub(crate) const ISENABLER: u64 = 0x0100;
pub(crate) const ICENABLER: u64 = 0x0180;
pub(crate) const ISPENDR: u64 = 0x0200;
pub(crate) const ICPENDR: u64 = 0x0280;
pub(crate) const ISACTIVER: u64 = 0x0300;
pub(crate) const ICACTIVER: u64 = 0x0380;
pub(crate) const IPRIORITYR: u64 = 0x0400;
pub(crate) const ICFGR: u64 = 0x0c00;
pub(crate) const IROUTER: u64 = 0x6000;
/// GICv2: a byte for each interrupt, in place of IROUTER.
pub(crate) const ITARGETSR: u64 = 0x0800;
/// GICv2: SGIs, and the senders that they wait from.
const SGIR: u64 = 0x0f00;
pub(crate) const CPENDSGIR: u64 = 0x0f10;
pub(crate) const SPENDSGIR: u64 = 0x0f20;
/// In the redistributor's first frame.
pub(crate) const GICR_TYPER: u64 = 0x0008;
const GICR_WAKER: u64 = 0x0014;
/// The redistributor's second frame: SGIs and PPIs.
const SGI_FRAME: u64 = 0x1_0000;

// GICC (IHI 0048B, 4.4).
pub(crate) const GICC_CTLR: u64 = 0x0000;
const GICC_PMR: u64 = 0x0004;
const GICC_BPR: u64 = 0x0008;
const GICC_IAR: u64 = 0x000c;
const GICC_EOIR: u64 = 0x0010;
const GICC_RPR: u64 = 0x0014;
const GICC_HPPIR: u64 = 0x0018;
/// In the second page.
pub(crate) const GICC_DIR: u64 = 0x1000;
/// GICC_CTLR.EnableGrp0.
const GICC_ENABLE: u32 = 1;
/// GICC_CTLR.EOImode.
const GICC_EOIMODE: u32 = 1 << 9;

/// Base of the CPU interface if this is a GICv2, else 0.
static GICC: AtomicU64 = AtomicU64::new(0);
/// Base of the distributor.
static GICD: AtomicU64 = AtomicU64::new(0);

/// Notes which GIC there is; before anything else here.
pub(crate) fn choose(config: &Config) {
    GICD.store(config.gicd, Ordering::Relaxed);
    GICC.store(config.gicc.unwrap_or(0), Ordering::Relaxed);
}

/// The CPU interface of a GICv2.
pub(crate) fn gicc() -> Option<Io> {
    let base = GICC.load(Ordering::Relaxed);
    (base != 0).then(|| Io::new(base))
}

/// Whether this is a GICv2.
pub(crate) fn is_v2() -> bool {
    gicc().is_some()
}

/// The version, as PIDR2 has it.
pub(crate) fn version() -> u32 {
    if is_v2() { 2 } else { 3 }
}

/// Offset of GICD_PIDR2.
pub(crate) fn pidr2() -> u64 {
    if is_v2() { 0x0fe8 } else { 0xffe8 }
}

/// IAR: the interrupt's number, with a GICv2 also who sent an SGI (12:10).
fn iar() -> u64 {
    gicc().map_or_else(sysreg::icc_iar1_el1, |gicc| u64::from(gicc.read32(GICC_IAR)))
}

/// EOIR, with what [`iar`] said.
fn eoir(iar: u64) {
    match gicc() {
        Some(gicc) => gicc.write32(GICC_EOIR, low(iar)),
        None => sysreg::icc_eoir1(iar),
    }
}

/// DIR of an interrupt that this CPU acknowledged.
pub(crate) fn dir(intid: u64) {
    match gicc() {
        Some(gicc) => gicc.write32(GICC_DIR, low(whole(intid))),
        None => sysreg::icc_dir(intid),
    }
}

/// RPR.
pub(crate) fn rpr() -> u64 {
    gicc().map_or_else(sysreg::icc_rpr_el1, |gicc| u64::from(gicc.read32(GICC_RPR))) & 0xff
}

/// HPPIR: number of the interrupt that waits.
pub(crate) fn hppir() -> u64 {
    gicc().map_or_else(sysreg::icc_hppir1_el1, |gicc| u64::from(gicc.read32(GICC_HPPIR)) & 0x3ff)
}

/// PMR.
pub(crate) fn pmr(value: u64) {
    match gicc() {
        Some(gicc) => gicc.write32(GICC_PMR, low(value)),
        None => sysreg::icc_pmr(value),
    }
}

/// Switches the group at the CPU interface.
pub(crate) fn enable_interface(is_on: bool) {
    match gicc() {
        Some(gicc) => {
            let other = gicc.read32(GICC_CTLR) & !GICC_ENABLE;
            gicc.write32(GICC_CTLR, other | if is_on { GICC_ENABLE } else { 0 });
        }
        None => sysreg::icc_igrpen1(u64::from(is_on)),
    }
}

/// Whether end and deactivation are apart (EOImode).
pub(crate) fn split_end(is_on: bool) {
    match gicc() {
        Some(gicc) => {
            let other = gicc.read32(GICC_CTLR) & !GICC_EOIMODE;
            gicc.write32(GICC_CTLR, other | if is_on { GICC_EOIMODE } else { 0 });
        }
        None => sysreg::icc_ctlr(u64::from(is_on) << 1),
    }
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

/// Who sent the SGI that each CPU acknowledged last, by its number.
static SENDER: [[AtomicU32; 16]; MAX_VCPUS] =
    [const { [const { AtomicU32::new(0) }; 16] }; MAX_VCPUS];

/// Notes the sender in what [`iar`] said; the number alone.
fn number(iar: u64) -> u64 {
    let intid = if is_v2() { iar & 0x3ff } else { iar };
    if let Some(sender) = SENDER[this_cpu()].get(usize::try_from(intid).unwrap_or(usize::MAX)) {
        sender.store(low(iar >> 10), Ordering::Relaxed);
    }
    intid
}

/// What [`iar`] said of the interrupt `intid`, when this CPU acknowledged it last.
fn whole(intid: u64) -> u64 {
    let sender = SENDER[this_cpu()].get(usize::try_from(intid).unwrap_or(usize::MAX));
    intid | sender.map_or(0, |sender| u64::from(sender.load(Ordering::Relaxed)) << 10)
}

const CTLR_GROUP_0: u32 = 1;
const CTLR_GROUP_1: u32 = 1 << 1;
const CTLR_ARE: u32 = 1 << 4;
const CTLR_RWP: u32 = 1 << 31;
const WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;

/// Most interrupts that the handler notes per CPU between two calls of [`forget`].
const NOTES: usize = 128;
static SEEN: [[AtomicU32; NOTES]; MAX_VCPUS] =
    [const { [const { AtomicU32::new(0) }; NOTES] }; MAX_VCPUS];
static COUNT: [AtomicUsize; MAX_VCPUS] = [const { AtomicUsize::new(0) }; MAX_VCPUS];

/// Counter ticks between interrupts of the virtual timer; 0: each one masks it.
static TICK: AtomicU64 = AtomicU64::new(0);

/// Makes the virtual timer of this CPU interrupt again and again, `period` counter ticks after
/// each interrupt; 0 stops it.
pub(crate) fn tick_every(period: u64) {
    TICK.store(period, Ordering::Relaxed);
    sysreg::cntv_cval(sysreg::cntvct() + period);
    sysreg::cntv_ctl(u64::from(period != 0));
}

/// Takes one interrupt as an exception: acknowledges, quiets its source, notes it, ends it.
pub(crate) fn take_interrupt() {
    let iar = iar();
    let intid = number(iar);
    if intid >= 1020 {
        return;
    }
    if intid == u64::from(VTIMER_INTID) {
        match TICK.load(Ordering::Relaxed) {
            0 => sysreg::cntv_ctl(TIMER_ENABLE | TIMER_MASK),
            period => sysreg::cntv_cval(sysreg::cntvct() + period),
        }
    } else if intid == u64::from(PTIMER_INTID) {
        sysreg::cntp_ctl(TIMER_ENABLE | TIMER_MASK);
    }
    let this = this_cpu();
    let count = COUNT[this].load(Ordering::Relaxed);
    if let Some(place) = SEEN[this].get(count) {
        place.store(u32::try_from(intid).unwrap_or(0), Ordering::Relaxed);
    }
    // The count is what others look at, so it goes last.
    COUNT[this].store(count + 1, Ordering::Release);
    eoir(iar);
}

/// CNTx_CTL: the timer runs.
pub(crate) const TIMER_ENABLE: u64 = 1;
/// CNTx_CTL: its interrupt is masked.
pub(crate) const TIMER_MASK: u64 = 2;
/// CNTx_CTL: its condition is met.
pub(crate) const TIMER_STATUS: u64 = 4;

/// Index of this CPU.
pub(crate) fn this_cpu() -> usize {
    (sysreg::tpidr_el1() & 7) as usize
}

/// Number of interrupts that this CPU's handler took since [`forget`].
pub(crate) fn taken() -> usize {
    COUNT[this_cpu()].load(Ordering::Acquire)
}

/// The `n`th of them.
pub(crate) fn nth(n: usize) -> u64 {
    SEEN[this_cpu()].get(n).map_or(SPURIOUS, |seen| u64::from(seen.load(Ordering::Relaxed)))
}

/// Starts counting anew.
pub(crate) fn forget() {
    COUNT[this_cpu()].store(0, Ordering::Release);
}

/// Distributor and this CPU's redistributor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gic {
    /// The distributor.
    pub(crate) dist: Io,
    /// This CPU's redistributor, first frame; of a GICv2 the distributor, too.
    pub(crate) redist: Io,
}

impl Gic {
    /// The GIC as this CPU sees it. Redistributors stand in the order of the tree's CPUs.
    pub(crate) fn of_this_cpu(config: &Config) -> Self {
        let redist =
            if is_v2() { config.gicd } else { config.gicr + GICR_STRIDE * this_cpu() as u64 };
        Self { dist: Io::new(config.gicd), redist: Io::new(redist) }
    }

    /// This CPU's SGIs and PPIs.
    pub(crate) fn private(self) -> Io {
        if is_v2() { self.dist } else { Io::new(self.redist.base() + SGI_FRAME) }
    }

    /// The frame that holds the bits of `intid`.
    fn frame(self, intid: u32) -> Io {
        if intid < 32 { self.private() } else { self.dist }
    }

    /// Bit `intid` of a register with one bit for each interrupt.
    pub(crate) fn bit(self, register: u64, intid: u32) -> bool {
        self.frame(intid).read32(register + u64::from(intid / 32) * 4) & (1 << (intid % 32)) != 0
    }

    /// Writes a one for `intid` to such a register.
    pub(crate) fn set(self, register: u64, intid: u32) {
        // A GICv2 has its own registers for what is pending of an SGI: a byte of senders.
        match (register, intid) {
            (ISPENDR, 0..16) if is_v2() => {
                return self.dist.write8(SPENDSGIR + u64::from(intid), 1 << this_cpu());
            }
            (ICPENDR, 0..16) if is_v2() => {
                return self.dist.write8(CPENDSGIR + u64::from(intid), u8::MAX);
            }
            _ => {}
        }
        self.frame(intid).write32(register + u64::from(intid / 32) * 4, 1 << (intid % 32));
    }

    /// Sets a priority.
    pub(crate) fn set_priority(self, intid: u32, priority: u8) {
        self.frame(intid).write8(IPRIORITYR + u64::from(intid), priority);
    }

    /// Sends an SPI to one CPU.
    pub(crate) fn route(self, intid: u32, affinity: u64) {
        if is_v2() {
            return self.dist.write8(ITARGETSR + u64::from(intid), target(affinity));
        }
        self.dist.write64(IROUTER + u64::from(intid) * 8, affinity);
    }

    /// IGROUPR of interrupts that arrive.
    pub(crate) fn group(self) -> u32 {
        if is_v2() { 0 } else { u32::MAX }
    }

    fn wait_for_distributor(self) {
        if is_v2() {
            return;
        }
        let _ = time::wait_until(100, || self.dist.read32(CTLR) & CTLR_RWP == 0);
    }

    /// Switches forwarding of the group on or off.
    pub(crate) fn enable_group(self, is_on: bool) {
        if is_v2() {
            return self.dist.write32(CTLR, if is_on { CTLR_GROUP_0 } else { 0 });
        }
        self.dist.write32(CTLR, CTLR_ARE | if is_on { CTLR_GROUP_1 } else { 0 });
        self.wait_for_distributor();
    }

    /// Number of interrupt ids that the distributor implements, at most 1020.
    pub(crate) fn interrupts(self) -> u32 {
        (((self.dist.read32(TYPER) & 0x1f) + 1) * 32).min(1020)
    }

    /// Distributor: nothing enabled, pending or active, all in one group, all to this CPU.
    pub(crate) fn set_up_distributor(self, config: &Config) {
        self.enable_group(true);
        for word in 1..u64::from(self.interrupts() / 32) {
            self.dist.write32(ICENABLER + word * 4, u32::MAX);
            self.dist.write32(ICPENDR + word * 4, u32::MAX);
            self.dist.write32(ICACTIVER + word * 4, u32::MAX);
            self.dist.write32(IGROUPR + word * 4, self.group());
            for fours in word * 8..word * 8 + 8 {
                self.dist
                    .write32(IPRIORITYR + fours * 4, 0x0101_0101 * u32::from(DEFAULT_PRIORITY));
            }
        }
        for intid in 32..self.interrupts() {
            self.route(intid, config.affinity(this_cpu()));
        }
        self.wait_for_distributor();
    }

    /// Redistributor and CPU interface of this CPU: likewise, IRQs masked.
    pub(crate) fn set_up_cpu(self) {
        cpu::mask_irq();
        sysreg::cntv_ctl(0);
        sysreg::cntp_ctl(0);
        if !is_v2() {
            self.wake_redistributor();
        }
        let private = self.private();
        private.write32(ICENABLER, u32::MAX);
        private.write32(ICPENDR, u32::MAX);
        private.write32(ICACTIVER, u32::MAX);
        private.write32(IGROUPR, self.group());
        for fours in 0..8 {
            private.write32(IPRIORITYR + fours * 4, 0x0101_0101 * u32::from(DEFAULT_PRIORITY));
        }
        match gicc() {
            Some(gicc) => {
                private.write32(CPENDSGIR, u32::MAX);
                for offset in [4, 8, 12] {
                    private.write32(CPENDSGIR + offset, u32::MAX);
                }
                gicc.write32(GICC_CTLR, 0);
                gicc.write32(GICC_PMR, 0xff);
                gicc.write32(GICC_BPR, 0);
                gicc.write32(GICC_CTLR, GICC_ENABLE);
            }
            None => {
                let _ = time::wait_until(100, || self.redist.read32(CTLR) & (1 << 3) == 0);
                sysreg::icc_sre(sysreg::icc_sre_el1() | 1);
                sysreg::icc_pmr(0xff);
                sysreg::icc_bpr1(0);
                sysreg::icc_ctlr(0);
                sysreg::icc_igrpen1(1);
            }
        }
        forget();
    }

    fn wake_redistributor(self) {
        let waker = self.redist.read32(GICR_WAKER);
        self.redist.write32(GICR_WAKER, waker & !WAKER_PROCESSOR_SLEEP);
        let _ =
            time::wait_until(100, || self.redist.read32(GICR_WAKER) & WAKER_CHILDREN_ASLEEP == 0);
    }

    /// Both, and what every row starts from.
    pub(crate) fn set_up(config: &Config) -> Self {
        let gic = Self::of_this_cpu(config);
        gic.set_up_cpu();
        gic.set_up_distributor(config);
        gic
    }
}

/// The bit of the CPU with `affinity` in a GICv2's target lists: CPU interfaces have the numbers of
/// Aff0 where this guest runs.
fn target(affinity: u64) -> u8 {
    1u8.checked_shl(low(affinity & 0xff)).unwrap_or(0)
}

/// Writes GICD_SGIR of a GICv2.
fn sgir(value: u32) {
    let base = GICD.load(Ordering::Relaxed);
    cpu::dsb();
    Io::new(base).write32(SGIR, value);
}

/// Sends SGI `intid` to the CPU with `affinity` (IHI 0069, ICC_SGI1R_EL1; IHI 0048B, 4.3.15).
pub(crate) fn send_sgi(intid: u64, affinity: u64) {
    if is_v2() {
        return sgir(u32::from(target(affinity)) << 16 | low(intid));
    }
    let aff = |n: u64| (affinity >> (8 * n)) & 0xff;
    let aff3 = (affinity >> 32) & 0xff;
    let target = 1 << (aff(0) & 0xf);
    let range = aff(0) >> 4;
    cpu::dsb();
    sysreg::icc_sgi1r(
        (aff3 << 48) | (range << 44) | (aff(2) << 32) | (intid << 24) | (aff(1) << 16) | target,
    );
}

/// Sends SGI `intid` to every CPU but this.
pub(crate) fn send_sgi_to_others(intid: u64) {
    if is_v2() {
        return sgir(1 << 24 | low(intid));
    }
    cpu::dsb();
    sysreg::icc_sgi1r((1 << 40) | (intid << 24));
}

/// Acknowledges the next interrupt, with IRQs masked; [`SPURIOUS`] if none comes in 10 s.
pub(crate) fn ack() -> u64 {
    let mut intid = SPURIOUS;
    let _ = time::wait_until(10_000, || {
        intid = poll();
        intid < 1020
    });
    intid
}

/// The same with the sender of an SGI in bits 12:10, as IAR of a GICv2 has it.
pub(crate) fn ack_with_sender() -> u64 {
    whole(ack())
}

/// Acknowledges what waits now, if anything does.
pub(crate) fn poll() -> u64 {
    number(iar())
}

/// What an acknowledge answers when nothing should come: gives it 20 ms to come nevertheless.
pub(crate) fn ack_nothing() -> u64 {
    let mut intid = SPURIOUS;
    let _ = time::wait_until(20, || {
        intid = poll();
        intid < 1020
    });
    intid
}

/// Ends interrupt `intid`.
pub(crate) fn end(intid: u64) {
    eoir(whole(intid));
}
