//! One VM: its address space, interrupt controller, power states and console, and how a call or an
//! access of one of its vCPUs is answered.
//!
//! The shell reads the trap, asks here, and applies the answer; what the answers need of the CPU
//! they are made on comes through [`Shell`] and [`crate::vgic::CpuInterface`].

mod call;
mod devices;
mod life;
mod runaway;

pub use call::Caller;
pub use life::{Left, Life, Stop};
pub use runaway::{EXCEPTIONS, LOOKS, Moment, PATIENCE, Runaway, digest};

use hyp_abi::vplatform::MAX_VCPUS;

use crate::calls::{Mitigation, Workaround};
use crate::features::Features;
use crate::memory::AddressSpace;
use crate::pl011::Pl011;
use crate::ports::Ports;
use crate::psci::{Power, Start};
use crate::stage2::EditError;
use crate::sync::TicketMutex;
use crate::vgic::{GicVersion, Kicks, Vgic};

/// What answering a trap needs of the CPU it happened on and of the machine around it.
pub trait Shell {
    /// SCTLR_EL1 of the guest on this CPU.
    fn sctlr_el1(&self) -> u64;
    /// MAIR_EL1 of the guest on this CPU.
    fn mair_el1(&self) -> u64;
    /// Whether a physical interrupt waits for this CPU (ISR_EL1).
    fn is_interrupt_pending(&self) -> bool;
    /// Makes CPU number `cpu` look at its interrupts, and at the start and the VM of its vCPU.
    fn kick(&self, cpu: usize);
    /// How the machine stands to a vulnerability.
    fn mitigation(&self, workaround: Workaround) -> Mitigation;
    /// Carries out a workaround.
    fn mitigate(&self, workaround: Workaround);
    /// 192 fresh random bits; `None` while there is no seed.
    fn entropy(&self) -> Option<[u64; 3]>;
    /// Sends output of the VM with number `vm`: takes bytes from `next` while there is room for them.
    fn send(&self, vm: u8, next: impl FnMut() -> Option<u8>);
    /// The guest has room for console input again.
    fn receive_again(&self);
    /// Has [`Vm::console_timeout`] called about a millisecond from now.
    fn time_out_soon(&self);
    /// Records that the guard of the VM with number `vm` ran out of table frames at a call of `vcpu`.
    fn guard_quota_exceeded(&self, vm: u8, vcpu: usize, ipa: crate::addr::Ipa);
}

/// On which CPU each vCPU of a VM runs: its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Homes([u8; MAX_VCPUS]);

impl Homes {
    /// vCPU n on CPU n.
    pub const SAME: Self = Self([0, 1, 2, 3, 4, 5, 6, 7]);

    /// As `homes` says, from vCPU 0 on; the rest have no home.
    #[must_use]
    pub fn new(homes: impl IntoIterator<Item = u8>) -> Self {
        let mut own = Self([u8::MAX; MAX_VCPUS]);
        own.0.iter_mut().zip(homes).for_each(|(own, home)| *own = home);
        own
    }

    /// The number of the CPU that `vcpu` runs on.
    #[inline]
    #[must_use]
    pub fn of(&self, vcpu: usize) -> usize {
        self.0.get(vcpu).map_or(usize::MAX, |home| usize::from(*home))
    }

    /// The vCPU that runs on `cpu`.
    #[must_use]
    pub fn vcpu_on(&self, cpu: usize) -> Option<usize> {
        self.0.iter().position(|home| usize::from(*home) == cpu)
    }
}

/// One VM. `P` reaches tables and memory.
pub struct Vm<P> {
    number: u8,
    homes: Homes,
    features: Features,
    boot: Start,
    /// Its address space.
    pub space: AddressSpace<P>,
    /// Its interrupt controller.
    pub gic: Vgic,
    /// The power states of its vCPUs.
    pub power: Power,
    /// Whether its vCPUs may run.
    pub life: Life,
    uart: TicketMutex<Pl011>,
}

impl<P: Ports> Vm<P> {
    /// A VM with `vcpus` vCPUs, all of them off, that starts on vCPU 0 as `boot` says.
    ///
    /// It sees a GIC of version `gic`, the machine's; `priority_bits` is what the virtual CPU
    /// interface implements, 5 to 8.
    #[inline(never)]
    pub fn new(
        space: AddressSpace<P>,
        features: Features,
        vcpus: usize,
        gic: GicVersion,
        priority_bits: u32,
        boot: Start,
    ) -> Self {
        Self {
            number: 0,
            homes: Homes::SAME,
            features,
            boot,
            space,
            gic: Vgic::new(gic, vcpus, priority_bits),
            power: Power::new(vcpus),
            life: Life::new(),
            uart: TicketMutex::new(Pl011::new()),
        }
    }

    /// This VM as number `number` of the machine, with its vCPUs at `homes`.
    #[must_use]
    pub fn at(self, number: u8, homes: Homes) -> Self {
        Self { number, homes, ..self }
    }

    /// Its number among the VMs of the machine.
    #[inline]
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// Where its vCPUs run.
    #[must_use]
    pub const fn homes(&self) -> &Homes {
        &self.homes
    }

    /// Makes the CPUs of `vcpus` look at their interrupts, their starts and the VM's life.
    pub fn kick(&self, vcpus: Kicks, shell: &impl Shell) {
        vcpus.iter().for_each(|vcpu| shell.kick(self.homes.of(vcpu)));
    }

    /// What the VM is offered.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Puts everything but the contents of memory back to how the VM starts. Only by the last
    /// vCPU out, while none can enter.
    ///
    /// # Errors
    ///
    /// Those of [`AddressSpace::reset`].
    pub fn reset(&self, shell: &impl Shell) -> Result<(), EditError> {
        self.space.reset()?;
        // Another CPU may serve the terminal meanwhile: what its interrupt line was before is
        // forgotten with the interrupt controller, and not raised in the new one.
        let mut uart = self.uart.lock();
        *uart = Pl011::new();
        self.gic.reset();
        drop(uart);
        // The one before may have been full.
        shell.receive_again();
        self.power.reset();
        Ok(())
    }

    /// Starts vCPU 0, once its memory is loaded; the caller then wakes its CPU.
    pub fn start(&self) {
        self.power.boot(0, &self.boot);
    }
}

impl<P> core::fmt::Debug for Vm<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Vm").field("features", &self.features).finish_non_exhaustive()
    }
}
