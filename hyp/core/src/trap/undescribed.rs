//! Loads and stores without a syndrome in a normal VM: the instruction is read and decoded.

use super::{Next, exception};
use crate::addr::{Ipa, Va};
use crate::bus::Answer;
use crate::cpu::{Cpu, Seen};
use crate::esr::{Access, Direction, Width};
use crate::events::Reason;
use crate::fault::{Denied, Fault, FaultView, Span, admit, ipa_from_par};
use crate::inject::{self, AbortCause, Rights};
use crate::insn::{self, Effect, Image, Instruction, MOST_BYTES, REGISTER_31, Registers, Transfer};
use crate::ports::Ports;
use crate::vcpu::{El1, Vcpu, Vectors};

/// Carries out the instruction behind `fault`, which the hardware did not describe, if it is one that can
/// be, else makes the guest take an abort.
#[inline(never)]
pub(super) fn answer<P: Ports, C: Cpu>(
    vcpu: &mut Vcpu<'_, P>,
    cpu: C,
    esr: u64,
    fault: &Fault,
) -> Next {
    let outcome = if inject::is_aarch32(cpu.pstate()) {
        Err(Denied::undescribed(vcpu.vm, fault))
    } else {
        match read_instruction(vcpu, cpu).map(insn::decode) {
            Some(Some(instruction)) => carry_out(vcpu, cpu, fault, &instruction),
            Some(None) => Err(Denied::undescribed(vcpu.vm, fault)),
            None => Ok(false),
        }
    };
    match outcome {
        Ok(true) => exception::advance(vcpu, cpu, esr),
        // Another CPU has to answer first, or changed the instruction; nothing was done.
        Ok(false) => Next::Resume,
        Err(denied) => {
            let fault = denied.narrow(fault);
            let exception = match denied.reason {
                Reason::Unsupported => fault.external_abort().because(AbortCause::Unsupported),
                _ => fault.external_abort(),
            };
            exception::refuse(vcpu, cpu, &fault, exception, denied.reason)
        }
    }
}

/// `Ok(false)` where the guest has to execute the instruction once more.
fn carry_out<P: Ports, C: Cpu>(
    vcpu: &mut Vcpu<'_, P>,
    cpu: C,
    fault: &Fault,
    instruction: &Instruction,
) -> Result<bool, Denied> {
    let pstate = cpu.pstate();
    // The guest's own stage 1 has let pass what faulted, and is asked about what did not.
    let rights = Rights::new(pstate, instruction.is_unprivileged);
    let translate = |va: Va, is_write| {
        ipa_from_par(cpu.translate(va, is_write, rights), va.get()).map(Ipa::page)
    };
    let (transfer, direction) = match &instruction.effect {
        Effect::Nothing => return Ok(true),
        Effect::Exclusive => {
            let is_device = vcpu.vm.device(fault.ipa).is_some();
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
    if transfer.is_vector() && !inject::has_vectors(pstate, cpu.el1(El1::Cpacr)) {
        return Ok(false);
    }
    let mut registers = GuestRegisters::new(vcpu, cpu, transfer.is_vector());
    let start = instruction.address.resolve(&registers);
    let is_write = direction != Some(Direction::Read);
    let span = Span::new(fault, start, transfer.bytes(), direction, |va| translate(va, is_write));
    let vm = registers.vcpu.vm;
    let span = span.ok_or_else(|| Denied::undescribed(vm, fault))?;
    admit(vm, fault, &span, transfer.pieces())?;

    let big_endian = inject::is_big_endian(pstate, registers.cpu.el1(El1::Sctlr));
    match &instruction.effect {
        Effect::Load(transfer) => {
            let Some(image) = registers.load_from(&span, transfer) else { return Ok(false) };
            transfer.load(&image, big_endian, &mut registers);
        }
        Effect::Store(transfer) => {
            let image = transfer.store(big_endian, &registers);
            registers.store_to(&span, transfer, &image);
        }
        Effect::Atomic(atomic) => {
            let Some(old) = registers.load_from(&span, &atomic.old) else { return Ok(false) };
            if let Some(new) = atomic.replacement(&old, big_endian, &registers) {
                registers.store_to(&span, &atomic.old, &new);
            }
            atomic.old.load(&old, big_endian, &mut registers);
        }
        Effect::Nothing | Effect::Exclusive => {}
    }
    instruction.address.write_back(&mut registers);
    registers.finish();
    Ok(true)
}

/// The instruction at the guest's PC; `None` where its page, or a table that leads to it, went away
/// meanwhile, be it for the moment in which another CPU splits the block around it. Fetching it again
/// brings either back, or the guest takes what it has coming.
fn read_instruction<P: Ports, C: Cpu>(vcpu: &Vcpu<'_, P>, cpu: C) -> Option<u32> {
    let pc = cpu.pc();
    let ipa = ipa_from_par(cpu.translate(Va(pc), false, Rights::Kernel), pc)?;
    let mut bytes = [0; 4];
    vcpu.vm.space.read(ipa, &mut bytes).ok()?;
    Some(u32::from_le_bytes(bytes))
}

/// The registers of the vCPU that trapped, x19 to x28 included, and the devices that it reaches.
struct GuestRegisters<'a, 'v, P, C> {
    vcpu: &'a mut Vcpu<'v, P>,
    cpu: C,
    /// Those that the instruction needs are here until [`Self::finish`].
    vectors: Option<Vectors>,
    has_changed: bool,
}

impl<'a, 'v, P: Ports, C: Cpu> GuestRegisters<'a, 'v, P, C> {
    /// The registers of `vcpu`. `with_vectors` for an instruction that names vector registers.
    fn new(vcpu: &'a mut Vcpu<'v, P>, cpu: C, with_vectors: bool) -> Self {
        let vectors = with_vectors.then(|| cpu.vectors());
        Self { vcpu, cpu, vectors, has_changed: false }
    }

    /// Puts the vector registers back.
    fn finish(self) {
        if let Some(vectors) = self.vectors.filter(|_| self.has_changed) {
            self.cpu.set_vectors(&vectors);
        }
    }

    /// The stack pointer that PSTATE.SP selects.
    fn selected_stack(&self) -> El1 {
        if inject::is_on_sp_el1(self.cpu.pstate()) { El1::SpEl1 } else { El1::SpEl0 }
    }

    /// What the pieces of `transfer` read; `None` where another CPU has to answer first.
    fn load_from(&self, span: &Span, transfer: &Transfer) -> Option<Image> {
        let (gic, index) = (&self.vcpu.vm.gic, self.vcpu.index);
        gic.begin_pieces(index);
        let image = self.load_pieces(span, transfer);
        gic.end_pieces(index, image.is_some());
        image
    }

    fn load_pieces(&self, span: &Span, transfer: &Transfer) -> Option<Image> {
        let mut image = [0; MOST_BYTES];
        for (offset, width) in transfer.pieces() {
            match self.piece(span, offset, access(Direction::Read, width), 0)? {
                Answer::Done(value) => {
                    let bytes = value.to_le_bytes().into_iter().zip(0..width.bytes());
                    image.iter_mut().skip(offset).zip(bytes).for_each(|(to, (byte, _))| *to = byte);
                }
                Answer::Again => {
                    self.cpu.give_way();
                    return None;
                }
            }
        }
        Some(image)
    }

    /// Stores `image` piece by piece. A store never has to wait for another CPU.
    fn store_to(&self, span: &Span, transfer: &Transfer, image: &Image) {
        for (offset, width) in transfer.pieces() {
            let mut value = [0; 8];
            let bytes = image.iter().skip(offset).zip(0..width.bytes());
            value.iter_mut().zip(bytes).for_each(|(to, (byte, _))| *to = *byte);
            let value = u64::from_le_bytes(value);
            self.piece(span, offset, access(Direction::Write, width), value);
        }
    }

    /// Does `access` at `offset`; `None` where no device is there, which [`admit`] has ruled out.
    fn piece(&self, span: &Span, offset: usize, access: Access, value: u64) -> Option<Answer> {
        let ipa = span.ipa(offset);
        let (register, _) = self.vcpu.vm.device(ipa)?;
        if self.vcpu.is_traced {
            self.cpu.trace(self.vcpu, &Seen::Access { ipa, access, value });
        }
        let mut iface = self.cpu.interface();
        let index = self.vcpu.index;
        Some(self.vcpu.vm.access(index, register, access, value, &self.cpu, &mut iface))
    }
}

const fn access(direction: Direction, width: Width) -> Access {
    Access::new(direction, width, REGISTER_31, false, true)
}

impl<P: Ports, C: Cpu> Registers for GuestRegisters<'_, '_, P, C> {
    fn general(&self, number: u8) -> u64 {
        self.vcpu.frame.get(usize::from(number))
    }

    fn set_general(&mut self, number: u8, value: u64) {
        self.vcpu.frame.set(usize::from(number), value);
    }

    fn stack_pointer(&self) -> u64 {
        self.cpu.el1(self.selected_stack())
    }

    fn set_stack_pointer(&mut self, value: u64) {
        self.cpu.set_el1(self.selected_stack(), value);
    }

    fn vector(&self, number: u8) -> u128 {
        let vectors = self.vectors.as_ref();
        vectors.and_then(|all| all.get(usize::from(number))).copied().unwrap_or(0)
    }

    fn set_vector(&mut self, number: u8, value: u128) {
        let vectors = self.vectors.as_mut();
        if let Some(register) = vectors.and_then(|all| all.get_mut(usize::from(number))) {
            *register = value;
            self.has_changed = true;
        }
    }

    fn pc(&self) -> u64 {
        self.cpu.pc()
    }
}
