//! Emulated devices as a guest uses them: the console, its interrupt, the registers of both GICs.

use std::sync::Arc;

use super::*;
use crate::features::Features;
use crate::psci::Start;
use crate::testing::cpu::{Desk, Lists};
use crate::testing::vm::{self, RAM};
use crate::vgic::{GicVersion, RegisterFile};

type TestVm = Vm<&'static crate::testing::FakeMachine>;

// IHI0069, GICD_*, the same in both versions.
const CTLR: u64 = 0;
const TYPER: u64 = 4;
const IGROUPR1: u64 = 0x84;
const ISENABLER1: u64 = 0x104;
const ISACTIVER1: u64 = 0x304;
const ITARGETSR_CONSOLE: u64 = 0x800 + UART_INTID as u64;
const IROUTER_CONSOLE: u64 = 0x6000 + 8 * UART_INTID as u64;
/// The console's bit in the second word of a GICD register.
const CONSOLE_BIT: u64 = 1 << (UART_INTID - 32);

// DDI0183, PL011.
const DR: u64 = 0;
const FR: u64 = 0x18;
const FR_RXFE: u64 = 1 << 4;
const CR: u64 = 0x30;
/// UARTEN, TXE, RXE.
const CR_ON: u64 = 0x301;
const IMSC: u64 = 0x38;
const MIS: u64 = 0x40;
const ICR: u64 = 0x44;
const INT_RX: u64 = 1 << 4;
/// Without FIFOs each byte interrupts.
const LCR_H: u64 = 0x2c;

/// Two vCPUs, both on, and what is around them.
struct Bench {
    vm: TestVm,
    cpus: [Lists; 2],
    desk: Desk,
}

impl Bench {
    fn new(version: GicVersion) -> Self {
        let space = Arc::into_inner(vm::Vm::new(0).space).unwrap();
        let start = Start { entry: RAM, context: 0, big_endian: false };
        let vm = Vm::new(space, Features::empty(), 2, version, 5, start);
        let cpus = <[Lists; 2]>::default();
        for (vcpu, mut cpu) in cpus.iter().enumerate() {
            let _ = vm.gic.vcpu_on(vcpu, &mut cpu);
        }
        Self { vm, cpus, desk: Desk::default() }
    }

    fn access(
        &self,
        vcpu: usize,
        (device, offset): (Device, u64),
        direction: Direction,
        width: Width,
        value: u64,
    ) -> Answer {
        let access = Access::new(direction, width, 1, false, true);
        let register = Register { device, offset };
        self.vm.access(vcpu, register, access, value, &self.desk, &mut &self.cpus[vcpu])
    }

    fn write(&self, device: Device, offset: u64, width: Width, value: u64) {
        let place = (device, offset);
        let answer = self.access(0, place, Direction::Write, width, value);
        assert_eq!(answer, Answer::Done(0), "{offset:#x}");
    }

    fn read(&self, device: Device, offset: u64) -> u64 {
        match self.access(0, (device, offset), Direction::Read, Width::Word, 0) {
            Answer::Done(value) => value,
            other => panic!("{offset:#x}: {other:?}"),
        }
    }

    /// The guest's drivers are up: the console interrupts vCPU `target` for each byte.
    fn drivers(&mut self, target: u64) {
        let gic = Device::DISTRIBUTOR;
        self.write(gic, CTLR, Width::Word, 3);
        self.write(gic, IGROUPR1, Width::Word, CONSOLE_BIT);
        match self.vm.gic.version() {
            GicVersion::V2 => {
                self.write(gic, ITARGETSR_CONSOLE, Width::Byte, 1 << target);
            }
            GicVersion::V3 => self.write(gic, IROUTER_CONSOLE, Width::Double, target),
        }
        self.write(gic, ISENABLER1, Width::Word, CONSOLE_BIT);
        self.write(Device::Console, LCR_H, Width::Word, 0x60);
        self.write(Device::Console, CR, Width::Word, CR_ON);
        self.write(Device::Console, IMSC, Width::Word, INT_RX);
        // Who was told has looked.
        for (vcpu, mut cpu) in self.cpus.iter().enumerate() {
            let _ = self.vm.gic.sync(vcpu, &mut cpu);
        }
        self.desk = Desk::default();
    }

    /// Bytes arrive on the CPU of `vcpu`; whether there is room for more.
    fn receive(&self, vcpu: usize, bytes: &[u8]) -> bool {
        let mut bytes = bytes.iter().copied();
        let mut cpu = &self.cpus[vcpu];
        self.vm.serve_console(vcpu, &mut || bytes.next(), &self.desk, &mut cpu)
    }

    fn is_pending(&self, vcpu: usize) -> bool {
        self.cpus[vcpu].is_pending(UART_INTID)
    }
}

#[test]
fn what_a_guest_prints_is_sent_in_order() {
    let mut bench = Bench::new(GicVersion::V3);
    bench.drivers(0);
    for byte in *b"hello\n" {
        bench.write(Device::Console, DR, Width::Byte, byte.into());
    }
    assert_eq!(*bench.desk.sent.borrow(), b"hello\n");
    assert!(bench.desk.kicked.get().is_empty());
}

#[test]
fn a_received_byte_interrupts_the_vcpu_that_the_guest_chose() {
    for version in [GicVersion::V2, GicVersion::V3] {
        for (target, here) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let mut bench = Bench::new(version);
            bench.drivers(target as u64);
            bench.receive(here, b"x");
            // The one here looks at once; another is told, and looks then.
            assert_eq!(bench.is_pending(here), target == here, "{version:?} {target} {here}");
            let is_told = bench.desk.kicked.get().contains(target);
            assert_eq!(is_told, target != here, "{version:?} {target} {here}");
            let _ = bench.vm.gic.sync(target, &mut &bench.cpus[target]);
            assert!(bench.is_pending(target), "{version:?} {target} {here}");
            assert_eq!(bench.read(Device::Console, MIS), INT_RX);
            assert_eq!(bench.read(Device::Console, DR), u64::from(b'x'));
            assert_eq!(bench.read(Device::Console, MIS), 0, "the line falls");
            assert_eq!(bench.read(Device::Console, FR) & FR_RXFE, FR_RXFE);
        }
    }
}

#[test]
fn the_terminal_is_asked_again_once_there_is_room_again() {
    let mut bench = Bench::new(GicVersion::V3);
    bench.drivers(0);
    assert!(!bench.receive(0, &[b'a'; 100]), "more than any FIFO has");
    assert_eq!(bench.desk.received_again.get(), 0);
    bench.read(Device::Console, FR);
    assert_eq!(bench.desk.received_again.get(), 0, "a look takes nothing out");
    bench.read(Device::Console, DR);
    assert_eq!(bench.desk.received_again.get(), 1);
    while bench.read(Device::Console, FR) & FR_RXFE == 0 {
        assert_eq!(bench.read(Device::Console, DR), u64::from(b'a'));
    }
    assert_eq!(bench.desk.received_again.get(), 1, "there has been room since");
}

/// The byte that arrives between a handler's last look at the FIFO and its write of ICR.
#[test]
fn input_whose_interrupt_was_cleared_interrupts_again_a_timeout_later() {
    for version in [GicVersion::V2, GicVersion::V3] {
        let mut bench = Bench::new(version);
        bench.drivers(0);
        bench.receive(0, b"x");
        bench.read(Device::Console, FR);
        assert_eq!(bench.desk.timeouts.get(), 0, "its interrupt is up");
        bench.write(Device::Console, ICR, Width::Word, 0x7ff);
        assert_eq!(bench.read(Device::Console, MIS), 0);
        assert!(bench.desk.timeouts.get() > 0);
        bench.vm.console_timeout(0, &bench.desk, &mut &bench.cpus[0]);
        assert!(bench.is_pending(0), "{version:?}");
        assert_eq!(bench.read(Device::Console, MIS), INT_RX);
        assert_eq!(bench.read(Device::Console, DR), u64::from(b'x'));
        bench.desk.timeouts.set(0);
        bench.write(Device::Console, ICR, Width::Word, 0x7ff);
        assert_eq!(bench.desk.timeouts.get(), 0, "all is read");
    }
}

/// IHI0069, 12.9.38, 12.11.36; DDI0183, 3.3.3.
#[test]
fn registers_read_as_the_manuals_say() {
    const GICR_TYPER: u64 = 0x8;
    let bench = Bench::new(GicVersion::V3);
    // ITLinesNumber 3, IDbits 9, No1N.
    assert_eq!(bench.read(Device::DISTRIBUTOR, TYPER), 0x0248_0003);
    for (vcpu, last) in [(0, 0), (1, 1 << 4)] {
        let place = (Device::REDISTRIBUTORS, vcpu * 0x2_0000 + GICR_TYPER);
        let whole = bench.access(0, place, Direction::Read, Width::Double, 0);
        assert_eq!(whole, Answer::Done(vcpu << 32 | vcpu << 8 | last));
    }
    assert_eq!(bench.read(Device::Console, FR), 0x90);
    let zero = |bench: &Bench, width| {
        bench.access(0, (Device::DISTRIBUTOR, TYPER), Direction::Read, width, 0)
    };
    for width in [Width::Byte, Width::Half, Width::Double] {
        assert_eq!(zero(&bench, width), Answer::Done(0), "{width:?}");
    }
}

/// Ones set and clear; zeros do nothing, whatever is set.
#[test]
fn zeros_neither_set_nor_clear() {
    const ICENABLER1: u64 = 0x184;
    let bench = Bench::new(GicVersion::V3);
    bench.write(Device::DISTRIBUTOR, ISENABLER1, Width::Word, 0x8421);
    // GICD_ISENABLER1 to GICD_ICACTIVER1.
    for offset in (ISENABLER1..0x400).step_by(0x80) {
        let before = bench.read(Device::DISTRIBUTOR, offset);
        bench.write(Device::DISTRIBUTOR, offset, Width::Word, 0);
        assert_eq!(bench.read(Device::DISTRIBUTOR, offset), before, "{offset:#x}");
    }
    assert_eq!(bench.read(Device::DISTRIBUTOR, ICENABLER1), 0x8421);
}

#[test]
fn a_gicv2_guest_deactivates_by_the_second_page_of_its_cpu_interface() {
    let mut bench = Bench::new(GicVersion::V2);
    bench.drivers(0);
    bench.write(Device::DISTRIBUTOR, ISACTIVER1, Width::Word, CONSOLE_BIT);
    let active = |bench: &Bench| bench.read(Device::DISTRIBUTOR, ISACTIVER1) & CONSOLE_BIT != 0;
    assert!(active(&bench));
    // Not where GICC_DIR is, not as wide, not of that interrupt; and it reads as zero.
    for (offset, width, value) in [
        (4, Width::Word, UART_INTID),
        (0, Width::Byte, UART_INTID),
        (0, Width::Word, UART_INTID + 1),
    ] {
        bench.write(Device::Deactivation, offset, width, value.into());
        assert!(active(&bench), "{offset} {width:?} {value}");
    }
    assert_eq!(bench.read(Device::Deactivation, 0), 0);
    // Bits above the number do not matter.
    bench.write(Device::Deactivation, 0, Width::Word, u64::from(UART_INTID) | 5 << 10);
    assert!(!active(&bench));
}

#[test]
fn a_redistributor_is_the_vcpus_own() {
    let bench = Bench::new(GicVersion::V3);
    // SGI frame of the second, GICR_ISENABLER0.
    let place = 0x2_0000 + 0x1_0000 + 0x100;
    bench.write(Device::REDISTRIBUTORS, place, Width::Word, 1 << 3);
    assert_ne!(bench.read(Device::REDISTRIBUTORS, place) & 1 << 3, 0);
    assert_eq!(bench.read(Device::REDISTRIBUTORS, 0x1_0100) & 1 << 3, 0);
}

/// A byte that arrives while the last vCPU out resets the VM, on another CPU.
#[test]
fn a_byte_that_arrives_at_a_reset_leaves_no_line_up() {
    const ISPENDR1: u64 = 0x204;
    let mut bench = Bench::new(GicVersion::V3);
    bench.drivers(0);
    for (vcpu, mut cpu) in bench.cpus.iter().enumerate() {
        let _ = bench.vm.gic.vcpu_off(vcpu, &mut cpu);
    }
    let Bench { vm, cpus: [cpu, _], desk, .. } = &bench;
    std::thread::scope(|scope| {
        let mut bytes = b"x".iter().copied();
        let mut resetting = None;
        let mut receive = || {
            // Until the interrupt controller is new, if it does not wait for the console.
            resetting.get_or_insert_with(|| {
                scope.spawn(|| vm.reset(&Desk::default()).unwrap());
                let other = Lists::default();
                let is_new = || {
                    let control =
                        vm.gic.read(1, RegisterFile::Distributor, CTLR, Width::Word, &mut &other);
                    matches!(control, Read::Value(value) if value & 3 == 0)
                };
                let begin = std::time::Instant::now();
                while !is_new() && begin.elapsed().as_millis() < 100 {
                    std::thread::yield_now();
                }
            });
            bytes.next()
        };
        vm.serve_console(0, &mut receive, desk, &mut &*cpu);
    });
    assert_eq!(bench.read(Device::Console, MIS), 0);
    assert_eq!(bench.read(Device::DISTRIBUTOR, ISPENDR1) & CONSOLE_BIT, 0);
}

/// Else it would wait for the end of another VM's line, and have that cut.
#[test]
fn a_vm_that_says_nothing_does_not_ask_for_the_terminal() {
    let mut bench = Bench::new(GicVersion::V3);
    bench.drivers(0);
    let _ = bench.read(Device::Console, MIS);
    bench.receive(0, b"x");
    assert_eq!(bench.desk.sends.get(), 0);
    bench.write(Device::Console, 0, Width::Word, u64::from(b'y'));
    assert_eq!((bench.desk.sends.get(), &bench.desk.sent.borrow()[..]), (1, &b"y"[..]));
}

#[test]
fn a_console_that_was_full_is_listened_to_after_a_reset() {
    let mut bench = Bench::new(GicVersion::V3);
    bench.drivers(0);
    // Without FIFOs one is enough; a second waits in the terminal.
    assert!(!bench.receive(0, b"xx"));
    assert_eq!(bench.desk.received_again.get(), 0);
    bench.vm.reset(&bench.desk).unwrap();
    assert_eq!(bench.desk.received_again.get(), 1);
    bench.receive(0, b"y");
    assert_eq!(bench.read(Device::Console, DR), u64::from(b'y'));
}
