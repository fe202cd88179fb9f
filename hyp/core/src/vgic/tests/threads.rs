//! Real threads, one for each vCPU: locks in the right order, no kick lost between atomics.

use super::super::{GicVersion, Kicks, Read, RegisterFile, SgiRegister, Vgic};
use super::fake::{FakeCpu, SPURIOUS};
use super::machine::SGI_FRAME;
use crate::esr::Width;
use core::sync::atomic::{AtomicU32, Ordering};

const VCPUS: usize = 4;
const ROUNDS: u32 = 2000;

struct Shared {
    vgic: Vgic,
    mailbox: [AtomicU32; VCPUS],
    rounds: AtomicU32,
    pulses: AtomicU32,
}

impl Shared {
    fn send(&self, kicks: Kicks) {
        for vcpu in kicks.iter() {
            self.mailbox[vcpu].store(1, Ordering::Release);
        }
    }
}

/// One vCPU: passes the token on, pulses SPIs, turns them off and on, and looks at their state.
fn run(shared: &Shared, vcpu: usize) {
    let mut cpu = FakeCpu::new(2, GicVersion::V3);
    let vgic = &shared.vgic;
    shared.send(vgic.vcpu_on(vcpu, &mut cpu));
    cpu.open();
    for register in [0x80, 0x100] {
        let offset = 0x2_0000 * vcpu as u64 + SGI_FRAME + register;
        shared.send(vgic.write(
            vcpu,
            RegisterFile::Redistributors,
            offset,
            Width::Word,
            !0,
            &mut cpu,
        ));
    }
    if vcpu == 0 {
        shared.send(vgic.sgi(0, SgiRegister::Sgi1, 1 << 24 | 0b10, &mut cpu));
    }
    let spi = 40 + u32::try_from(vcpu).unwrap();
    let mut is_quiet = true;
    let mut turn = 0u32;
    while shared.rounds.load(Ordering::Acquire) < ROUNDS {
        turn = turn.wrapping_add(1);
        if shared.mailbox[vcpu].swap(0, Ordering::AcqRel) != 0 {
            shared.send(vgic.sync(vcpu, &mut cpu));
        }
        if cpu.has_maintenance() {
            shared.send(vgic.maintenance(vcpu, &mut cpu));
        }
        let kicks = match turn % 8 {
            0 if is_quiet => {
                is_quiet = false;
                vgic.pulse_spi(spi)
            }
            1 => {
                vgic.write(vcpu, RegisterFile::Distributor, 0x184, Width::Word, 0xf << 8, &mut cpu)
            }
            2 => {
                vgic.write(vcpu, RegisterFile::Distributor, 0x104, Width::Word, 0xf << 8, &mut cpu)
            }
            3 => match vgic.read(vcpu, RegisterFile::Distributor, 0x304, Width::Word, &mut cpu) {
                Read::Value(active) => {
                    assert_eq!(active & !(0xf << 8), 0);
                    Kicks::NONE
                }
                Read::Again(kicks) => kicks,
            },
            _ => Kicks::NONE,
        };
        for own in kicks.iter().filter(|&target| target == vcpu) {
            shared.send(vgic.sync(own, &mut cpu));
        }
        shared.send(kicks.without(vcpu));
        let intid = cpu.acknowledge();
        match intid {
            SPURIOUS => {}
            1 => {
                shared.rounds.fetch_add(1, Ordering::AcqRel);
                let next = 1u64 << ((vcpu + 1) % VCPUS);
                shared.send(vgic.sgi(vcpu, SgiRegister::Sgi1, 1 << 24 | next, &mut cpu));
            }
            _ => {
                assert_eq!(intid, spi);
                assert!(!is_quiet, "SPI {spi} came twice");
                is_quiet = true;
                shared.pulses.fetch_add(1, Ordering::AcqRel);
            }
        }
        if intid != SPURIOUS {
            cpu.end(intid);
        }
        if intid == SPURIOUS {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_token_goes_round_among_running_vcpus() {
    let shared = Shared {
        vgic: Vgic::new(GicVersion::V3, VCPUS, 5),
        mailbox: [const { AtomicU32::new(0) }; VCPUS],
        rounds: AtomicU32::new(0),
        pulses: AtomicU32::new(0),
    };
    let mut boot = FakeCpu::new(2, GicVersion::V3);
    let write = |offset, width, value, boot: &mut FakeCpu| {
        assert!(
            shared.vgic.write(0, RegisterFile::Distributor, offset, width, value, boot).is_empty()
        );
    };
    write(0, Width::Word, 3, &mut boot);
    for (register, value) in [(0x84, !0), (0x104, !0), (0xc08, !0)] {
        write(register, Width::Word, value, &mut boot);
    }
    for vcpu in 0..VCPUS as u64 {
        write(0x6000 + 8 * (40 + vcpu), Width::Double, vcpu, &mut boot);
    }
    std::thread::scope(|scope| {
        for vcpu in 0..VCPUS {
            let shared = &shared;
            scope.spawn(move || run(shared, vcpu));
        }
    });
    assert!(shared.rounds.load(Ordering::Acquire) >= ROUNDS);
    assert!(shared.pulses.load(Ordering::Acquire) > 0);
}
