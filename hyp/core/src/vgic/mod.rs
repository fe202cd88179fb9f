//! The interrupt controller a guest sees, for 1 to 8 vCPUs: a GICv3 with affinity routing and one
//! Security state (GICD_CTLR.DS = 1), without LPIs (IHI0069), or a GICv2 without the Security
//! Extensions (IHI0048B).
//!
//! This model owns the distributor, the redistributors and the content of the list registers; the
//! CPU interface proper is the hardware's virtual one, reached by the port [`CpuInterface`]. It
//! never sends anything: whoever must look at its interrupts is named in a [`Kicks`] result.
//!
//! While a guest runs, list registers hold the truth about what is in them, and a trap touches
//! them only if it has to. Each vCPU's list registers are handled by its own CPU alone. What
//! another vCPU changes meanwhile is noted, and the owner, kicked, folds and reloads; until it has,
//! GICD_CTLR.RWP (GICR_CTLR.RWP) reads 1. A read of pending or active state that sits in
//! another CPU's list registers asks the owner the same way and answers [`Read::Again`]: the
//! guest executes its load once more.
//!
//! Locks: one for SPIs, then one for each vCPU, in that order; never two vCPUs' at a time.
//! Between CPUs there are only the atomics of `Cpu`. SGIs, timer interrupts and accesses to the
//! own redistributor take only the own vCPU's lock, which nobody else wants.
//!
//! The two versions differ in their register files, in how SGIs are sent and in that a GICv2 tells
//! SGIs apart by their sender; list registers have the layout of a GICv3 ([`ListRegister`]).

mod bank;
mod bits;
mod common;
mod dist;
mod dist_v2;
mod fields;
mod files;
mod flow;
mod kicks;
mod lr;
mod redist;
mod regs;
mod settings;
mod sgi;
mod sources;
mod spi;
mod word;

#[cfg(test)]
mod tests;

pub use common::{CommonRegister, VirtualCommon};
pub use files::RegisterFile;
pub use kicks::Kicks;
pub use lr::{CpuInterface, ListRegister, MAX_LIST_REGISTERS, hcr, vmcr};
pub use sgi::SgiRegister;

use bank::{Bank, PHYSICAL_PPIS, SGIS, implemented};
use bits::{Bits, bit, member};
use flow::{Change, Flow};
use hyp_abi::vplatform::{FIRST_SPI, MAX_VCPUS, SPIS};
use settings::Settings;
use sgi::SgiRequest;
use spi::{SPI_WORDS, SpiBank};
use word::Groups;

use crate::sync::{AtomicU32, Ordering, TicketMutex, TicketMutexGuard};

/// In [`Cpu::attention`]: SPIs or groups changed. The bits below name vCPUs that wait for a fold.
const LOOK: u32 = 1 << 16;
/// In [`Cpu::asked`]: what was answered counts until [`Vgic::end_pieces`].
const KEEP: u32 = 1 << 31;

/// The GIC that a machine has and its guests therefore see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GicVersion {
    /// GICv2.
    V2,
    /// GICv3, also the model for a machine with GICv4.
    V3,
}

impl GicVersion {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// The answer to a register read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Read {
    /// The value, zero-extended from the width of the access.
    Value(u64),
    /// The state is in another CPU's list registers. Kick those named here (nobody, if that has
    /// happened already), leave the guest's PC where it is and return to the guest, after a
    /// YIELD: it executes its load again.
    Again(Kicks),
}

/// What one vCPU has, and what other CPUs may touch of it without a lock.
struct Cpu {
    bank: TicketMutex<Bank>,
    /// Settings of its SGIs and PPIs, which change under the lock of the bank.
    settings: Settings,
    /// SGIs sent here: bits 15:0 in either group, bits 31:16 only if in group 0.
    inbox: AtomicU32,
    /// With a GICv2, who sent them, laid out as GICD_SPENDSGIR; written before the inbox.
    senders: [AtomicU32; sources::WORDS],
    /// Why the owner has to fold its list registers: [`LOOK`], and a bit for each vCPU that asked.
    attention: AtomicU32,
    /// vCPUs that this one asked for a fold and waits for; [`KEEP`].
    asked: AtomicU32,
}

impl Cpu {
    /// The bank, with the SGIs that wait in the inbox where the vCPU is off and does not look there.
    fn lock_bank(&self) -> TicketMutexGuard<'_, Bank> {
        let mut bank = self.bank.lock();
        if bank.implemented == 0 {
            self.empty_inbox(&mut bank);
        }
        bank
    }

    /// Moves the SGIs that other CPUs left into `bank`.
    #[inline(always)]
    fn empty_inbox(&self, bank: &mut Bank) {
        // Emptied before the senders are read: whoever comes in between sends a kick.
        let inbox = self.inbox.swap(0, Ordering::AcqRel);
        if bank.sources.is_some() {
            bank.absorb_from(&self.senders);
        } else {
            bank.absorb(inbox);
        }
    }
}

/// The interrupt controller of one VM.
pub struct Vgic {
    spis: TicketMutex<SpiBank>,
    /// Settings of the SPIs, by words, which change under their lock.
    settings: [Settings; SPI_WORDS],
    cpus: [Cpu; MAX_VCPUS],
    /// GICD_CTLR bits 1:0, written under the SPI lock.
    control: AtomicU32,
    /// vCPUs that run.
    online: AtomicU32,
    vcpus: usize,
    priority_mask: u8,
    version: GicVersion,
}

impl Vgic {
    /// A controller after reset for `vcpus` vCPUs (1 to 8), with as many bits of priority as the
    /// virtual CPU interface has (PRIbits + 1 of ICH_VTR_EL2 or GICH_VTR, 5 to 8). All vCPUs are
    /// off.
    #[must_use]
    pub fn new(version: GicVersion, vcpus: usize, priority_bits: u32) -> Self {
        let unimplemented = 8u32.saturating_sub(priority_bits.clamp(5, 8));
        let vcpus = vcpus.clamp(1, MAX_VCPUS);
        let gic = Self {
            spis: TicketMutex::new(Self::spis_at_reset(version, vcpus)),
            settings: [const { Settings::new() }; SPI_WORDS],
            cpus: core::array::from_fn(|_| Cpu {
                bank: TicketMutex::new(Bank::new(version)),
                settings: Settings::new(),
                inbox: AtomicU32::new(0),
                senders: [const { AtomicU32::new(0) }; sources::WORDS],
                attention: AtomicU32::new(0),
                asked: AtomicU32::new(0),
            }),
            control: AtomicU32::new(0),
            online: AtomicU32::new(0),
            vcpus,
            priority_mask: 0xffu8.wrapping_shl(unimplemented),
            version,
        };
        gic.reset();
        gic
    }

    /// GICD_IROUTER resets to affinity 0, which is the first vCPU; GICD_ITARGETSR to nobody, but is
    /// not there where there is one vCPU only.
    fn spis_at_reset(version: GicVersion, vcpus: usize) -> SpiBank {
        SpiBank::new(version == GicVersion::V3 || vcpus == 1)
    }

    /// Everything as after [`Self::new`]: the VM resets. Every vCPU is off
    /// ([`Self::vcpu_off`]), and stays so meanwhile.
    pub fn reset(&self) {
        let mut spis = self.spis.lock();
        *spis = Self::spis_at_reset(self.version, self.vcpus);
        for (n, settings) in self.settings.iter().enumerate() {
            if let Some(word) = spis.word(n) {
                word.copy_to(settings);
            }
        }
        self.control.store(0, Ordering::Release);
        for cpu in &self.cpus {
            let mut bank = cpu.bank.lock();
            bank.reset(self.version);
            bank.word.copy_to(&cpu.settings);
            drop(bank);
            cpu.inbox.store(0, Ordering::Release);
            for senders in &cpu.senders {
                senders.store(0, Ordering::Release);
            }
            cpu.attention.store(0, Ordering::Release);
            cpu.asked.store(0, Ordering::Release);
        }
    }

    /// The vCPU starts to run on this CPU (first start and CPU_ON): its CPU interface is reset,
    /// its redistributor is not (as the distributor it keeps its state across CPU_OFF).
    pub fn vcpu_on(&self, vcpu: usize, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        iface.reset();
        {
            let mut bank = cpu.bank.lock();
            bank.hcr = hcr::EN;
            bank.implemented = implemented(iface);
        }
        // Always: a guest that deactivates apart from the end of an interrupt may do so in any order,
        // and for an SPI on any CPU, of which the list registers here could not tell.
        iface.set_hcr(hcr::EN | iface.deactivation_trap());
        cpu.asked.store(0, Ordering::Release);
        self.online.fetch_or(member(vcpu), Ordering::AcqRel);
        self.resync(vcpu, iface)
    }

    /// The vCPU stops on this CPU (CPU_OFF, end or reset of the VM). Its interrupts go back into the
    /// model; its timers' physical interrupts are deactivated, so the timers must be off.
    pub fn vcpu_off(&self, vcpu: usize, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        self.online.fetch_and(!member(vcpu), Ordering::AcqRel);
        let mut spis = self.spis.lock();
        let mut bank = cpu.bank.lock();
        cpu.attention.store(0, Ordering::Release);
        let kicks =
            Flow { vcpu, bank: &mut bank, spis: &mut spis, groups: self.groups() }.fold(iface);
        bank.drop_timers(iface);
        bank.implemented = 0;
        bank.is_crowded = false;
        bank.has_spilled = false;
        for n in 0..iface.list_registers() {
            iface.write_lr(n, ListRegister::EMPTY);
        }
        iface.set_hcr(0);
        drop(bank);
        drop(spis);
        self.look(kicks)
    }

    /// Brings this CPU's list registers up to date: call on a kick, and before a vCPU that was
    /// waiting inside EL2 goes on.
    #[inline]
    pub fn sync(&self, vcpu: usize, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        let sgi = cpu.inbox.load(Ordering::Acquire);
        // One SGI waits, as a rule, and is the one that its list register held before. The vCPU is not
        // running, so that the same one, sent once more meanwhile, is one with this.
        if sgi.is_power_of_two()
            && cpu.attention.load(Ordering::Acquire) == 0
            && self.repeat(&cpu.bank.lock(), sgi, None, iface)
            && cpu.inbox.fetch_and(!sgi, Ordering::AcqRel) == sgi
        {
            return Kicks::NONE;
        }
        self.sync_all(vcpu, iface)
    }

    /// [`Self::sync`] where it is not one SGI again.
    #[inline(never)]
    fn sync_all(&self, vcpu: usize, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        self.finish(vcpu, cpu, cpu.bank.lock(), iface)
    }

    /// Makes the SGI in `inbox`, or the timer, pending again in the list register that held it before, if that is
    /// all it takes. `false`, with nothing done, if not. `physical` is what a timer is tied to.
    #[inline]
    fn repeat(
        &self,
        bank: &Bank,
        inbox: u32,
        physical: Option<u32>,
        iface: &mut impl CpuInterface,
    ) -> bool {
        // With a GICv2 an SGI has a sender; of a single group it need not be told apart.
        let is_plain = physical.is_some() || (inbox <= SGIS && self.version == GicVersion::V3);
        is_plain && bank.revive(inbox.trailing_zeros(), 0, physical, self.groups(), iface)
    }

    /// The maintenance interrupt fired on this CPU.
    pub fn maintenance(&self, vcpu: usize, iface: &mut impl CpuInterface) -> Kicks {
        self.resync(vcpu, iface)
    }

    /// The physical PPI of the timer that is `intid` to guests (27 or 30) fired on this CPU: the caller
    /// has acknowledged it and dropped its priority, and leaves it active. Others are ignored.
    #[inline]
    pub fn ppi_fired(&self, vcpu: usize, intid: u32, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        let bank = cpu.bank.lock();
        if intid < FIRST_SPI
            && bank.is_tied(intid)
            && self.repeat(&bank, bit(intid), Some(iface.physical_timer(intid)), iface)
        {
            return Kicks::NONE;
        }
        drop(bank);
        self.ppi_fired_anew(vcpu, intid, iface)
    }

    /// [`Self::ppi_fired`] where the timer's list register does not hold it from before.
    #[inline(never)]
    fn ppi_fired_anew(&self, vcpu: usize, intid: u32, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        let mut bank = cpu.bank.lock();
        if intid < FIRST_SPI && PHYSICAL_PPIS & bit(intid) != 0 {
            bank.fire(intid, iface);
        }
        self.finish(vcpu, cpu, bank, iface)
    }

    /// The vCPU of a VM with GICv3 wrote `value` to one of the SGI registers.
    #[inline]
    pub fn sgi(
        &self,
        vcpu: usize,
        register: SgiRegister,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let request = SgiRequest::decode(register, value, vcpu, self.vcpus);
        if request.targets == member(vcpu)
            && let Some(cpu) = self.cpus.get(vcpu)
            && self.repeat(&cpu.bank.lock(), request.inbox, None, iface)
        {
            return Kicks::NONE;
        }
        self.send(vcpu, request, iface)
    }

    /// Sends the SGI of `request`.
    #[inline(never)]
    fn send(&self, vcpu: usize, request: SgiRequest, iface: &mut impl CpuInterface) -> Kicks {
        let mut kicks = Kicks::NONE;
        for target in Bits(request.targets) {
            let target = target as usize;
            let Some(cpu) = self.cpus.get(target) else { continue };
            // Whoever finds the inbox empty sends the kick; the owner empties it in one go.
            if cpu.inbox.fetch_or(request.inbox, Ordering::AcqRel) == 0 {
                kicks = kicks.with(target);
            }
        }
        if kicks.contains(vcpu) {
            return kicks.without(vcpu) | self.sync(vcpu, iface);
        }
        kicks
    }

    /// The vCPU wrote `intid` to ICC_DIR_EL1, or to GICC_DIR of a GICv2. An SPI may be active at another
    /// vCPU.
    pub fn deactivate(&self, vcpu: usize, intid: u32, iface: &mut impl CpuInterface) -> Kicks {
        self.resync_with(vcpu, Change::Deactivate(intid), iface)
    }

    /// The input line of SPI `intid` (32 and up) is now `level`. The result may contain the
    /// caller's own vCPU, which then calls [`Self::sync`] itself. Unknown numbers are ignored.
    pub fn set_spi_line(&self, intid: u32, level: bool) -> Kicks {
        let Some(spi) = spi_number(intid) else { return Kicks::NONE };
        let mut spis = self.spis.lock();
        let kicks = spis.set_line(spi, level, self.groups());
        drop(spis);
        self.look(kicks)
    }

    /// An edge on SPI `intid`, as [`Self::set_spi_line`].
    pub fn pulse_spi(&self, intid: u32) -> Kicks {
        let Some(spi) = spi_number(intid) else { return Kicks::NONE };
        let mut spis = self.spis.lock();
        let kicks = spis.pulse(spi, self.groups());
        drop(spis);
        self.look(kicks)
    }

    /// Which version the guest sees.
    #[must_use]
    pub const fn version(&self) -> GicVersion {
        self.version
    }

    /// How many vCPUs there are.
    #[must_use]
    pub const fn vcpus(&self) -> usize {
        self.vcpus
    }

    /// The end of every change: the short road if it suffices, else the long one.
    fn finish(
        &self,
        vcpu: usize,
        cpu: &Cpu,
        mut bank: TicketMutexGuard<'_, Bank>,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        if bank.implemented == 0 {
            return Kicks::NONE;
        }
        if cpu.attention.load(Ordering::Acquire) == 0 {
            if cpu.inbox.load(Ordering::Relaxed) != 0 {
                cpu.empty_inbox(&mut bank);
            }
            if bank.deliver(self.groups(), iface) {
                return Kicks::NONE;
            }
        }
        drop(bank);
        self.resync(vcpu, iface)
    }

    /// The long road.
    fn resync(&self, vcpu: usize, iface: &mut impl CpuInterface) -> Kicks {
        self.resync_with(vcpu, Change::Nothing, iface)
    }

    /// The long road, on which `change` is made while no list register of the vCPU holds anything.
    #[inline(never)]
    fn resync_with(&self, vcpu: usize, change: Change<'_>, iface: &mut impl CpuInterface) -> Kicks {
        let Some(cpu) = self.cpus.get(vcpu) else { return Kicks::NONE };
        let mut spis = self.spis.lock();
        let mut bank = cpu.bank.lock();
        if bank.implemented == 0 {
            return Kicks::NONE;
        }
        // Before the fold: who asks from now on is served by the next one.
        cpu.attention.swap(0, Ordering::AcqRel);
        cpu.empty_inbox(&mut bank);
        let kicks = Flow { vcpu, bank: &mut bank, spis: &mut spis, groups: self.groups() }
            .resync(change, iface);
        drop(bank);
        drop(spis);
        self.look(kicks).without(vcpu)
    }

    /// Asks each of `kicks` to look at its list registers; names those that must be kicked.
    fn look(&self, kicks: Kicks) -> Kicks {
        self.demand(kicks, LOOK)
    }

    /// Sets `reason` in the attention word of each of `kicks` that runs. Whoever had a reason
    /// already has been kicked for it.
    fn demand(&self, kicks: Kicks, reason: u32) -> Kicks {
        let online = self.online.load(Ordering::Acquire);
        let mut result = Kicks::NONE;
        for vcpu in kicks.iter() {
            let Some(cpu) = self.cpus.get(vcpu) else { continue };
            if online & member(vcpu) != 0 && cpu.attention.fetch_or(reason, Ordering::AcqRel) == 0 {
                result = result.with(vcpu);
            }
        }
        result
    }

    /// Serves the vCPU's own part of what a register write made necessary.
    #[inline]
    fn settle(&self, vcpu: usize, kicks: Kicks, iface: &mut impl CpuInterface) -> Kicks {
        if kicks.is_empty() { kicks } else { self.settle_some(vcpu, kicks, iface) }
    }

    #[inline(never)]
    fn settle_some(&self, vcpu: usize, kicks: Kicks, iface: &mut impl CpuInterface) -> Kicks {
        let others = self.demand(kicks.without(vcpu), LOOK | member(vcpu));
        if kicks.contains(vcpu) { others | self.resync(vcpu, iface) } else { others }
    }

    /// Makes the model's view of the list registers of `owners` fresh, before a read by `vcpu`.
    fn refresh(
        &self,
        vcpu: usize,
        owners: Kicks,
        iface: &mut impl CpuInterface,
    ) -> Result<(), Kicks> {
        let Some(cpu) = self.cpus.get(vcpu) else { return Ok(()) };
        if owners.contains(vcpu) {
            let kicks = self.resync(vcpu, iface);
            if !kicks.is_empty() {
                // Something went on to another vCPU, which need not hold up this read, but the
                // kick has to be sent: let the guest try again.
                return Err(kicks);
            }
        }
        let online = self.online.load(Ordering::Acquire);
        let mut asked = cpu.asked.load(Ordering::Relaxed);
        let mut kicks = Kicks::NONE;
        for owner in owners.without(vcpu).iter() {
            let mask = member(owner);
            if online & !asked & mask != 0 {
                asked |= mask;
                kicks |= self.demand(Kicks::NONE.with(owner), member(vcpu));
            }
        }
        if Bits(asked & online).any(|n| self.waits_for(vcpu, n as usize)) {
            cpu.asked.store(asked, Ordering::Relaxed);
            return Err(kicks);
        }
        let kept = if asked & KEEP != 0 { asked } else { 0 };
        cpu.asked.store(kept, Ordering::Relaxed);
        Ok(())
    }

    /// To be called before `vcpu` makes the several loads of one instruction, and
    /// [`Self::end_pieces`] after them.
    ///
    /// Each may have to ask other vCPUs, upon which the guest executes the instruction again, from
    /// its first load on. Asked anew by each load of each turn, they would never all have answered.
    pub fn begin_pieces(&self, vcpu: usize) {
        if let Some(cpu) = self.cpus.get(vcpu) {
            cpu.asked.fetch_or(KEEP, Ordering::Relaxed);
        }
    }

    /// The loads are done, or one was answered [`Read::Again`].
    pub fn end_pieces(&self, vcpu: usize, are_done: bool) {
        if let Some(cpu) = self.cpus.get(vcpu) {
            cpu.asked.fetch_and(if are_done { 0 } else { !KEEP }, Ordering::Relaxed);
        }
    }

    /// Whether `owner` still owes `vcpu` a fold.
    fn waits_for(&self, vcpu: usize, owner: usize) -> bool {
        self.cpus
            .get(owner)
            .is_some_and(|cpu| cpu.attention.load(Ordering::Acquire) & member(vcpu) != 0)
    }

    /// Whether a running vCPU among `owners`, a bit each, still owes anybody a fold: RWP.
    fn is_write_pending(&self, owners: u32) -> bool {
        Bits(owners & self.online.load(Ordering::Acquire)).any(|vcpu| {
            self.cpus
                .get(vcpu as usize)
                .is_some_and(|cpu| cpu.attention.load(Ordering::Acquire) & !LOOK != 0)
        })
    }

    fn groups(&self) -> Groups {
        Groups::from_ctlr(self.control.load(Ordering::Relaxed))
    }
}

/// SPI `intid` counted from 0, if it exists.
fn spi_number(intid: u32) -> Option<u32> {
    intid.checked_sub(FIRST_SPI).filter(|&spi| (spi as usize) < SPIS)
}
