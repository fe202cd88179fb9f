//! Loads and stores without a syndrome in a normal VM: the instruction is read and decoded.

use hyp_core::addr::{Ipa, Va};
use hyp_core::bus::Answer;
use hyp_core::esr::{Access, Direction, Width};
use hyp_core::events::Reason;
use hyp_core::fault::{Denied, Fault, FaultView, Span, admit, ipa_from_par};
use hyp_core::inject::{self, AbortCause, Rights};
use hyp_core::insn::{self, Effect, Image, Instruction, MOST_BYTES, REGISTER_31, Transfer};

use super::inject::{advance, refuse};
use super::registers::GuestRegisters;
use super::shell::Here;
use super::tracing;
use super::vcpu::{State, Vcpu};
use crate::arch::{cpu, sysreg};
use crate::drivers::virtual_interface::VirtualInterface;

/// The access behind `fault` was not described by the hardware. Emulates it if the instruction is
/// one that can be, else the guest takes an abort.
pub(crate) fn undescribed(vcpu: &mut Vcpu, fault: &Fault) {
    let outcome = if inject::is_aarch32(sysreg::spsr_el2()) {
        Err(Denied::undescribed(vcpu.state.vm, fault))
    } else {
        match read_instruction(vcpu).map(insn::decode) {
            Some(Some(instruction)) => carry_out(vcpu, fault, &instruction),
            Some(None) => Err(Denied::undescribed(vcpu.state.vm, fault)),
            None => Ok(false),
        }
    };
    match outcome {
        Ok(true) => advance(vcpu),
        // Another CPU has to answer first, or changed the instruction; nothing was done.
        Ok(false) => {}
        Err(denied) => {
            let fault = denied.narrow(fault);
            let exception = match denied.reason {
                Reason::Unsupported => fault.external_abort().because(AbortCause::Unsupported),
                _ => fault.external_abort(),
            };
            refuse(vcpu, &fault, exception, denied.reason);
        }
    }
}

/// `Ok(false)` where the guest has to execute the instruction once more.
fn carry_out(vcpu: &mut Vcpu, fault: &Fault, instruction: &Instruction) -> Result<bool, Denied> {
    // The guest's own stage 1 has let pass what faulted, and is asked about what did not.
    let rights = Rights::new(sysreg::spsr_el2(), instruction.is_unprivileged);
    let translate = |va: Va, is_write| {
        ipa_from_par(cpu::translate(va.get(), is_write, rights), va.get()).map(Ipa::page)
    };
    let (transfer, direction) = match &instruction.effect {
        Effect::Nothing => return Ok(true),
        Effect::Exclusive => {
            let is_device = vcpu.state.vm.space.register(fault.ipa).is_some();
            let reason = if is_device { Reason::Unsupported } else { Reason::NoDevice };
            return Err(Denied::all_of(fault, reason));
        }
        Effect::Load(transfer) => (transfer, Some(Direction::Read)),
        Effect::Store(transfer) => (transfer, Some(Direction::Write)),
        // Faults as a load or as a store: what faulted may have been a load of what may not be
        // written, before another CPU changed the instruction.
        Effect::Atomic(_) if translate(fault.va, true) != Some(fault.ipa.page()) => {
            return Ok(false);
        }
        Effect::Atomic(atomic) => (&atomic.old, None),
    };
    // Nor may it have come to name vector registers that whoever faulted may not use.
    if transfer.is_vector() && !inject::has_vectors(sysreg::spsr_el2(), sysreg::cpacr_el1()) {
        return Ok(false);
    }
    let mut registers = GuestRegisters::new(&mut vcpu.frame, transfer.is_vector());
    let start = instruction.address.resolve(&registers);
    let is_write = direction != Some(Direction::Read);
    let span = Span::new(fault, start, transfer.bytes(), direction, |va| translate(va, is_write))
        .ok_or_else(|| Denied::undescribed(vcpu.state.vm, fault))?;
    admit(vcpu.state.vm, fault, &span, transfer.pieces())?;

    let big_endian = inject::is_big_endian(sysreg::spsr_el2(), sysreg::sctlr_el1());
    let state = &vcpu.state;
    match &instruction.effect {
        Effect::Load(transfer) => {
            let Some(image) = load(state, &span, transfer) else { return Ok(false) };
            transfer.load(&image, big_endian, &mut registers);
        }
        Effect::Store(transfer) => {
            store(state, &span, transfer, &transfer.store(big_endian, &registers));
        }
        Effect::Atomic(atomic) => {
            let Some(old) = load(state, &span, &atomic.old) else { return Ok(false) };
            if let Some(new) = atomic.replacement(&old, big_endian, &registers) {
                store(state, &span, &atomic.old, &new);
            }
            atomic.old.load(&old, big_endian, &mut registers);
        }
        Effect::Nothing | Effect::Exclusive => {}
    }
    instruction.address.write_back(&mut registers);
    registers.finish();
    Ok(true)
}

/// What the pieces of `transfer` read; `None` where another CPU has to answer first.
fn load(state: &State, span: &Span, transfer: &Transfer) -> Option<Image> {
    let gic = &state.vm.gic;
    gic.begin_pieces(state.index);
    let image = load_pieces(state, span, transfer);
    gic.end_pieces(state.index, image.is_some());
    image
}

fn load_pieces(state: &State, span: &Span, transfer: &Transfer) -> Option<Image> {
    let mut image = [0; MOST_BYTES];
    for (offset, width) in transfer.pieces() {
        match piece(state, span, offset, access(Direction::Read, width), 0)? {
            Answer::Done(value) => {
                let bytes = value.to_le_bytes().into_iter().zip(0..width.bytes());
                image.iter_mut().skip(offset).zip(bytes).for_each(|(to, (byte, _))| *to = byte);
            }
            Answer::Again => {
                cpu::yield_now();
                return None;
            }
        }
    }
    Some(image)
}

/// Stores `image` piece by piece. A store never has to wait for another CPU.
fn store(state: &State, span: &Span, transfer: &Transfer, image: &Image) {
    for (offset, width) in transfer.pieces() {
        let mut value = [0; 8];
        let bytes = image.iter().skip(offset).zip(0..width.bytes());
        value.iter_mut().zip(bytes).for_each(|(to, (byte, _))| *to = *byte);
        let value = u64::from_le_bytes(value);
        piece(state, span, offset, access(Direction::Write, width), value);
    }
}

const fn access(direction: Direction, width: Width) -> Access {
    Access { direction, width, register: REGISTER_31, sign_extend: false, is_64bit: true }
}

/// Does `access` at `offset`; `None` where no device is there, which `admit` has ruled out.
fn piece(state: &State, span: &Span, offset: usize, access: Access, value: u64) -> Option<Answer> {
    let register = state.vm.space.register(span.ipa(offset))?;
    if state.is_traced {
        tracing::first_use(state, span.ipa(offset), &access, value);
    }
    let mut iface = VirtualInterface::here();
    Some(state.vm.access(state.index, register, access, value, &Here, &mut iface))
}

/// The instruction at the guest's PC; `None` where its page, or a table that leads to it, went away
/// meanwhile, be it for the moment in which another CPU splits the block around it. Fetching it again
/// brings either back, or the guest takes what it has coming.
fn read_instruction(vcpu: &Vcpu) -> Option<u32> {
    let pc = sysreg::elr_el2();
    let ipa = ipa_from_par(cpu::translate_el1(pc, false), pc)?;
    let mut bytes = [0; 4];
    vcpu.state.vm.space.read(ipa, &mut bytes).ok()?;
    Some(u32::from_le_bytes(bytes))
}
