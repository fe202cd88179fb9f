//! SGIs and kicks between CPUs.

use hyp_core_interleaved::sync::watched::Weaken;
use hyp_core_interleaved::vgic::{
    CpuInterface, GicVersion, Kicks, ListRegister, MAX_LIST_REGISTERS, RegisterFile, SgiRegister,
    Vgic, hcr, vmcr,
};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::explore;

/// The CPU interface of a vCPU that takes nothing: what is given to it stays.
struct Interface {
    lrs: [ListRegister; MAX_LIST_REGISTERS],
    hcr: u64,
}

impl Interface {
    const fn new() -> Self {
        Self { lrs: [ListRegister::EMPTY; MAX_LIST_REGISTERS], hcr: hcr::EN }
    }

    fn holds(&self, intid: u32) -> bool {
        self.lrs.iter().any(|lr| lr.is_pending() && lr.intid() == intid)
    }
}

impl CpuInterface for Interface {
    fn list_registers(&self) -> usize {
        self.lrs.len()
    }
    fn deactivation_trap(&self) -> u64 {
        0
    }
    fn read_lr(&self, n: usize) -> ListRegister {
        self.lrs[n]
    }
    fn write_lr(&mut self, n: usize, value: ListRegister) {
        self.lrs[n] = value;
    }
    fn empty_lrs(&self) -> u32 {
        let empty = |n: &u32| self.lrs[*n as usize].raw() == 0;
        (0..16).filter(empty).map(|n| 1 << n).sum()
    }
    fn hcr(&self) -> u64 {
        self.hcr
    }
    fn set_hcr(&mut self, value: u64) {
        self.hcr = value;
    }
    fn vmcr(&self) -> u64 {
        vmcr::VENG0 | vmcr::VENG1
    }
    fn reset(&mut self) {
        *self = Self::new();
    }
    fn timer_line(&self, _: u32) -> bool {
        false
    }
    fn physical_timer(&self, intid: u32) -> u32 {
        intid
    }
    fn deactivate_physical(&mut self, _: u32) {}
}

/// A physical SGI that waits for the CPU of vCPU 1.
#[derive(Default)]
struct Kick(AtomicBool);

impl Kick {
    fn send(&self, kicks: Kicks) {
        if kicks.contains(1) {
            // An exchange: of a store and an exchange loom does not know which came first.
            self.0.swap(true, Ordering::AcqRel);
        }
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// A store to a register of the distributor or of redistributor 1.
fn set_up(vgic: &Vgic, iface: &mut Interface) {
    use hyp_core_interleaved::esr::Width::Word;
    let _ = vgic.write(1, RegisterFile::Distributor, 0, Word, 3, iface);
    // GICR_IGROUPR0 and GICR_ISENABLER0 of vCPU 1.
    let _ = vgic.write(1, RegisterFile::Redistributors, 0x3_0080, Word, 0xffff, iface);
    let _ = vgic.write(1, RegisterFile::Redistributors, 0x3_0100, Word, 0xffff, iface);
}

/// Two vCPUs send SGIs to a third that may look at any time: whatever order, both arrive or a kick
/// waits. `drops` says which sender's kick gets lost.
fn sgis(drops: Option<usize>) {
    let vgic = Arc::new(Vgic::new(GicVersion::V3, 3, 5));
    let kick = Arc::new(Kick::default());
    let mut iface = Interface::new();
    let _ = vgic.vcpu_on(1, &mut iface);
    set_up(&vgic, &mut iface);
    let senders: Vec<_> = [(0, 1), (2, 3)]
        .into_iter()
        .map(|(sender, intid)| {
            let (vgic, kick) = (Arc::clone(&vgic), Arc::clone(&kick));
            thread::spawn(move || {
                let sgi = intid << 24 | 0b10;
                let kicks = vgic.sgi(sender, SgiRegister::Sgi1, sgi, &mut Interface::new());
                if drops != Some(sender) {
                    kick.send(kicks);
                }
            })
        })
        .collect();
    if kick.take() {
        let _ = vgic.sync(1, &mut iface);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    if kick.take() {
        let _ = vgic.sync(1, &mut iface);
    }
    assert!(
        iface.holds(1) && iface.holds(3),
        "an SGI is lost: {:x?}",
        iface.lrs.map(ListRegister::raw)
    );
}

#[test]
fn no_sgi_is_left_behind() {
    explore(Weaken::Nothing, || sgis(None));
}

#[test]
#[should_panic(expected = "is lost")]
fn a_kick_that_is_lost_shows() {
    explore(Weaken::Nothing, || sgis(Some(0)));
}

/// As [`sgis`], for a line that two CPUs move: the level at the end is what the guest has pending.
fn lines(drops: bool) {
    const SPI: u32 = 33;
    let vgic = Arc::new(Vgic::new(GicVersion::V3, 2, 5));
    let kick = Arc::new(Kick::default());
    let mut iface = Interface::new();
    let _ = vgic.vcpu_on(1, &mut iface);
    set_up(&vgic, &mut iface);
    {
        use hyp_core_interleaved::esr::Width::{Double, Word};
        // Group 1, enabled, routed to vCPU 1.
        let _ = vgic.write(1, RegisterFile::Distributor, 0x84, Word, 2, &mut iface);
        let _ = vgic.write(1, RegisterFile::Distributor, 0x104, Word, 2, &mut iface);
        let _ = vgic.write(1, RegisterFile::Distributor, 0x6108, Double, 1, &mut iface);
    }
    let device = {
        let (vgic, kick) = (Arc::clone(&vgic), Arc::clone(&kick));
        thread::spawn(move || {
            kick.send(vgic.set_spi_line(SPI, true));
            kick.send(vgic.set_spi_line(SPI, false));
            let kicks = vgic.set_spi_line(SPI, true);
            if !drops {
                kick.send(kicks);
            }
        })
    };
    if kick.take() {
        let _ = vgic.sync(1, &mut iface);
    }
    device.join().unwrap();
    if kick.take() {
        let _ = vgic.sync(1, &mut iface);
    }
    assert!(iface.holds(SPI), "a line is lost: {:x?}", iface.lrs.map(ListRegister::raw));
}

#[test]
fn a_line_that_is_up_is_seen() {
    explore(Weaken::Nothing, || lines(false));
}

#[test]
#[should_panic(expected = "is lost")]
fn a_line_whose_kick_is_lost_shows() {
    explore(Weaken::Nothing, || lines(true));
}
