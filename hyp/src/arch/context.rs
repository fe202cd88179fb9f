//! A guest's registers as EL2 holds them while the guest is stopped.

use core::arch::asm;
use core::mem::offset_of;

use super::sysreg::fields::{dfr0, pfr0, sctlr_el1, spsr_el2};
use super::{ident, percpu, simd, sysreg, tlb};

/// General registers of a vCPU, saved and restored by `vectors.s`.
///
/// ELR_EL2, SPSR_EL2, ESR_EL2, FAR_EL2 and HPFAR_EL2 stay in hardware: nothing nests at EL2, so
/// they describe the guest until the return to it.
#[derive(Debug)]
#[repr(C, align(16))]
pub(crate) struct Frame {
    /// x0 to x30. In the short lane (`trap_call`, `trap_irq`) x19 to x28 are stale; in the medium
    /// lane (`trap_access`, `trap_register`) they are, unless the instruction's register is one.
    pub(crate) x: [u64; 31],
    /// Stack that the vectors switch to.
    stack: u64,
    /// What the vectors call for an HVC or SMC.
    call: u64,
}

const _: () = assert!(offset_of!(Frame, stack) == 8 * 31);
const _: () = assert!(offset_of!(Frame, call) == 8 * 32);

impl Frame {
    /// Zeroes all registers. A call of `memset` takes seven times as long.
    fn clear(&mut self) {
        // SAFETY: the stores cover the 31 registers, which are borrowed for that.
        unsafe {
            asm!(
                ".irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28",
                r"stp xzr, xzr, [{x}, #(8 * \n)]",
                ".endr",
                "str xzr, [{x}, #(8 * 30)]",
                x = in(reg) self.x.as_mut_ptr(),
                options(nostack, preserves_flags),
            );
        }
    }

    /// Register `index` as an instruction's operand: 31 is the zero register.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> u64 {
        self.x.get(index).copied().unwrap_or(0)
    }

    /// Sets register `index`; writes to 31 vanish.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, value: u64) {
        if let Some(register) = self.x.get_mut(index) {
            *register = value;
        }
    }
}

/// A frame and what belongs to it: a vCPU as the vectors see it.
///
/// The handlers are declared with `&mut Framed<…>` as their first argument; they are the only
/// code that holds such a reference while a guest is loaded, each on its own CPU.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Framed<T> {
    /// The registers. First, because the vectors pass its address.
    pub(crate) frame: Frame,
    /// The rest of the vCPU.
    pub(crate) state: T,
}

/// Answers an HVC or SMC from AArch64 in the short lane, given ESR_EL2. Hands the vCPU back.
pub(crate) type CallHandler<T> =
    extern "C" fn(&'static mut Framed<T>, u64) -> &'static mut Framed<T>;

impl<T> Framed<T> {
    /// All registers zero; `call` answers its calls.
    pub(crate) fn new(state: T, call: CallHandler<T>) -> Self {
        let call = call as *const () as u64;
        Self { frame: Frame { x: [0; 31], stack: 0, call }, state }
    }
}

/// EL1 state a vCPU starts with (Arm ARM, D1.2.4 "PE state on reset to AArch64 state"; PSCI
/// CPU_ON, DEN0022 6.4).
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryState {
    /// First instruction.
    pub(crate) pc: u64,
    /// x0: device tree, or CPU_ON's context.
    pub(crate) x0: u64,
    /// Whether it starts big-endian: a CPU_ON caller passes its own endianness on.
    pub(crate) big_endian: bool,
    /// What the guest reads in MPIDR_EL1.
    pub(crate) vmpidr: u64,
    /// What the guest reads in MIDR_EL1.
    pub(crate) vpidr: u64,
}

/// PSTATE of a vCPU that starts: EL1h, all exceptions masked (DEN0022, 6.4).
const PSTATE_START: u64 = spsr_el2::M::EL1h.value
    | spsr_el2::D::SET.value
    | spsr_el2::A::SET.value
    | spsr_el2::I::SET.value
    | spsr_el2::F::SET.value;
/// SCTLR_EL1 out of reset: RES1 bits of v8.0, MMU and caches off.
const SCTLR_EL1_RESET: u64 = 0x30d0_0800;

/// Puts this CPU's EL1 into its reset state and enters the guest, for ever: from here on EL2 runs
/// only in the handlers of `guest/traps.rs`, on this CPU's stack from its top.
///
/// Stage 2 and the trap registers must be set (`stage2::install`).
pub(crate) fn enter_reset<T>(vcpu: &'static mut Framed<T>, entry: &EntryState) -> ! {
    reset_el1(&mut vcpu.frame, entry);
    // What this CPU has cached may be of the VM's life before a reset. Last, so that speculation
    // through the old EL1 registers cannot bring it back.
    tlb::invalidate_all_guests_local();
    enter(vcpu)
}

/// Rewrites all that EL1 and EL0 can read of this CPU, and `frame`, for a vCPU that starts over;
/// what follows is a return through the vectors' long lane (x19 to x28 count) or [`enter`].
pub(crate) fn reset_el1(frame: &mut Frame, entry: &EntryState) {
    frame.clear();
    frame.set(0, entry.x0);
    sysreg::set_vmpidr_el2(entry.vmpidr);
    sysreg::set_vpidr_el2(entry.vpidr);
    let endianness = if entry.big_endian { sctlr_el1::EE::SET.value } else { 0 };
    sysreg::set_sctlr_el1(SCTLR_EL1_RESET | endianness);
    sysreg::set_tcr_el1(0);
    sysreg::set_ttbr0_el1(0);
    sysreg::set_ttbr1_el1(0);
    sysreg::set_mair_el1(0);
    sysreg::set_amair_el1(0);
    sysreg::set_vbar_el1(0);
    sysreg::set_cpacr_el1(0);
    sysreg::set_contextidr_el1(0);
    sysreg::set_tpidr_el0(0);
    sysreg::set_tpidrro_el0(0);
    sysreg::set_tpidr_el1(0);
    sysreg::set_sp_el0(0);
    sysreg::set_sp_el1(0);
    sysreg::set_elr_el1(0);
    sysreg::set_spsr_el1(0);
    sysreg::set_esr_el1(0);
    sysreg::set_far_el1(0);
    sysreg::set_afsr0_el1(0);
    sysreg::set_afsr1_el1(0);
    sysreg::set_par_el1(0);
    sysreg::set_csselr_el1(0);
    sysreg::set_cntkctl_el1(0);
    sysreg::set_cntp_ctl_el0(0);
    sysreg::set_cntv_ctl_el0(0);
    sysreg::set_cntp_cval_el0(0);
    sysreg::set_cntv_cval_el0(0);
    reset_optional();
    simd::clear();
    set_pstate(PSTATE_START);
    sysreg::set_elr_el2(entry.pc);
    super::barrier::isb();
}

/// The part of the reset state that not every CPU has. What later extensions added is hidden from
/// guests and trapped, so that its values are out of their reach.
fn reset_optional() {
    if ident::has_pointer_authentication() {
        sysreg::set_apiakeylo_el1(0);
        sysreg::set_apiakeyhi_el1(0);
        sysreg::set_apibkeylo_el1(0);
        sysreg::set_apibkeyhi_el1(0);
        sysreg::set_apdakeylo_el1(0);
        sysreg::set_apdakeyhi_el1(0);
        sysreg::set_apdbkeylo_el1(0);
        sysreg::set_apdbkeyhi_el1(0);
        sysreg::set_apgakeylo_el1(0);
        sysreg::set_apgakeyhi_el1(0);
    }
    let pfr0 = sysreg::id_aa64pfr0_el1();
    if pfr0::RAS.read(pfr0) != 0 {
        // What the guest reads as DISR_EL1.
        sysreg::set_vdisr_el2(0);
    }
    // The monitors themselves trap to EL2. Whether EL0's accesses get that far, or go to the
    // guest's EL1, is decided here.
    if !matches!(dfr0::PMUVer.read(sysreg::id_aa64dfr0_el1()), 0 | 0xf) {
        sysreg::set_pmuserenr_el0(0);
    }
    if pfr0::AMU.read(pfr0) != 0 {
        sysreg::set_amuserenr_el0(0);
    }
}

/// Sets the PSTATE the guest continues with. A mode that is not EL0t, EL1t or EL1h of AArch64
/// would be a return into EL2 or an illegal one and becomes EL1h.
pub(crate) fn set_pstate(pstate: u64) {
    let pstate = match pstate & 0x1f {
        0b0_0000 | 0b0_0100 | 0b0_0101 => pstate,
        _ => (pstate & !0x1f) | 0b0_0101,
    };
    // SAFETY: the mode is below EL2, checked above.
    unsafe { sysreg::set_spsr_el2(pstate) };
}

/// Makes the guest continue at EL1, on its own stack pointer: only flags and masks of `pstate` count.
#[inline]
pub(crate) fn enter_el1(pstate: u64) {
    // SAFETY: the mode is EL1h.
    unsafe { sysreg::set_spsr_el2((pstate & !MODE) | spsr_el2::M::EL1h.value) };
}

/// SPSR_EL2.M, the AArch32 bit included.
const MODE: u64 = 0x1f;

/// Sets the PSTATE the guest continues with, in the mode it is in: only flags and masks of
/// `pstate` count.
pub(crate) fn keep_pstate(pstate: u64) {
    let mode = sysreg::spsr_el2() & MODE;
    // SAFETY: the mode is the one the trap came from, which is below EL2.
    unsafe { sysreg::set_spsr_el2((pstate & !MODE) | mode) };
}

/// Clears `bits`, flags or masks, in the PSTATE the guest continues with.
#[inline]
pub(crate) fn clear_pstate(bits: u64) {
    let pstate = sysreg::spsr_el2() & !(bits & !MODE);
    // SAFETY: the mode is the one the trap came from, which is below EL2.
    unsafe { sysreg::set_spsr_el2(pstate) };
}

/// Returns to the guest with the registers of `vcpu`; ELR_EL2 and SPSR_EL2 say where.
/// The calling CPU's stack is abandoned, so this also ends a handler that must load x19 to x28.
pub(crate) fn enter<T>(vcpu: &'static mut Framed<T>) -> ! {
    vcpu.frame.stack = stack_for(vcpu);
    // SAFETY: `enter_frame` loads the registers from the frame, which lives for ever, and leaves
    // EL2; SPSR_EL2 names a lower level (`set_pstate` is its only writer besides hardware).
    unsafe {
        asm!("mov sp, {vcpu}", "b enter_frame", vcpu = in(reg) vcpu, options(noreturn));
    }
}

/// Top of this CPU's stack, with room for the word that leads back to `frame`.
fn stack_for<T>(frame: *const Framed<T>) -> u64 {
    let top = percpu::slot().start.wrapping_add(percpu::MAIN_TOP - 16);
    // SAFETY: `top` is the mapped, aligned end of this CPU's own stack. Only `enter`
    // calls this, which abandons the stack, so nothing live is overwritten.
    unsafe { (top as *mut *const Framed<T>).write(frame) };
    top as u64
}
