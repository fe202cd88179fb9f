//! The trace: binary records of what VMs do, in memory that EL2 writes and a tool on the host
//! reads from outside of the machine.
//!
//! ```text
//! word 0                 MAGIC
//!      1                 where the trace lies: physical address of word 0
//!      2                 ticks of the counter per second
//!      3                 records in each CPU's ring, a power of two
//!      4                 rings, one for each CPU
//!      HEADS + 8 n       records that CPU n has ever written
//!      HEADER_BYTES / 8  the ring of CPU 0, then that of CPU 1, …
//! ```
//!
//! Record number k of a CPU is in slot k modulo the ring's size until the next one takes its place;
//! nobody waits for the reader. After a look at the slots, the reader reads the head again: with the
//! head at h, slot h is being written, so that records up to h less the ring's size are gone. Each
//! record carries the low half of its number, so that one that was missed is known.
//!
//! ```text
//! word 0      kind in 7:0, VM in 15:8, vCPU in 22:16, CPU in 31:24, number in 63:32;
//!             bit 23 is 1 where the instruction is one of EL0's: a process's
//!      1      time: the physical counter
//!      2      PC: of the guest's instruction, but for Kind::Crash
//!      3..8   arguments, see Kind
//! ```
//!
//! All words are little-endian.

/// Word 0 of the trace.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PSTNTRC1");
/// Opens the line on the console that tells where the trace lies: `POSTERN-TRACE 0x7fc00000`.
/// Comes before any output of a guest.
pub const ANNOUNCEMENT: &str = "POSTERN-TRACE";

/// Index of the word with the physical address.
pub const PLACE: usize = 1;
/// Index of the word with the counter's frequency in Hz.
pub const FREQUENCY: usize = 2;
/// Index of the word with the size of a ring in records.
pub const SLOTS: usize = 3;
/// Index of the word with the number of rings.
pub const RINGS: usize = 4;
/// Index of the head of ring 0.
pub const HEADS: usize = 64;
/// Words from one head to the next: CPUs do not share cache lines.
pub const HEAD_STRIDE: usize = 8;
/// Bytes before the first ring.
pub const HEADER_BYTES: u64 = 4096;
/// Words of a record.
pub const RECORD_WORDS: usize = 8;
/// Arguments of a record.
pub const ARGUMENTS: usize = 5;
/// Bit 7 of the byte with the vCPU: the instruction is one of EL0's.
pub const EL0: u8 = 1 << 7;

/// What a record is about. The comments name the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A VM was made. Entry; address of its tree; vCPUs in 7:0, 1 in bit 8 for the dialect
    /// `list-2021`, 1 in bit 9 where the guard is offered; type word.
    VmMade = 1,
    /// The VM's name, up to 32 bytes, zeroes behind.
    VmName = 2,
    /// A range of the VM's address space. Base; bytes; what it is, see [`Range`].
    VmRange = 3,
    /// All vCPUs are out. Reason: see [`Stop`].
    VmStopped = 4,
    /// The VM starts over, loaded anew. How often it has been reset.
    VmReset = 5,
    /// A vCPU enters the guest, at PC. Its x0.
    VcpuOn = 6,
    /// A vCPU is off.
    VcpuOff = 7,
    /// An HVC or SMC. Function in 31:0, low half of the answer in x1 in 63:32 if it counts granules; x1; x2;
    /// x3; answer in x0. Registers that are no arguments of the function are 0, all three where it is not
    /// known. Where the call does not return, the answer is 0.
    Call = 16,
    /// Who called the function of the record before it on the same CPU, which has the same PC: x30,
    /// then return addresses from the guest's stack, innermost first, zeroes behind; only words that
    /// stand behind a call in the guest's memory. There may be a second one with more of them.
    Callers = 17,
    /// An access was refused. IPA; VA; reason in 7:0, kind of access in 15:8, bytes in 23:16;
    /// ESR_EL2.
    Refused = 32,
    /// The guest was made to take an undefined-instruction exception. ESR_EL2.
    Undefined = 33,
    /// Memory was backed. IPA that was touched; VA.
    Populated = 48,
    /// First access to a page of an emulated device since the start or since the page was last
    /// un-guarded. IPA; 1 for a store; bytes; value that was stored; 1 if the page is guarded.
    DeviceUsed = 49,
    /// The page of a real device was mapped on its first access: the VM has not enrolled. IPA.
    DeviceMapped = 50,
    /// What this CPU did since the last such record. Each word holds two counts, of 32 bits each:
    /// calls, emulated accesses; SGIs sent, system registers; timer interrupts, kicks of other CPUs;
    /// maintenance interrupts, other interrupts; ticks since the last one.
    Counts = 64,
    /// The guest's vectors are elsewhere since the last such record of this CPU: tells where a
    /// kernel that moves itself is. VBAR_EL1.
    Vectors = 65,
    /// EL2 itself is at its end, at PC, which is EL2's. ESR_EL2; FAR_EL2; return address.
    Crash = 80,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::VmMade,
        Self::VmName,
        Self::VmRange,
        Self::VmStopped,
        Self::VmReset,
        Self::VcpuOn,
        Self::VcpuOff,
        Self::Call,
        Self::Callers,
        Self::Refused,
        Self::Undefined,
        Self::Populated,
        Self::DeviceUsed,
        Self::DeviceMapped,
        Self::Counts,
        Self::Vectors,
        Self::Crash,
    ];
}

/// What a range of a VM's address space is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Range {
    /// Memory.
    Memory = 1,
    /// Registers of a device that EL2 emulates.
    Emulated = 2,
    /// Registers of a real device.
    Assigned = 3,
    /// Guarded from the start, by the VM's description.
    Guarded = 4,
    /// Memory that holds a part of the VM's payload at its start.
    Loaded = 5,
}

/// Why a VM stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stop {
    /// It powered itself off.
    Off = 1,
    /// It asked for a reset.
    Reset = 2,
    /// It cannot go on.
    Crash = 3,
}
