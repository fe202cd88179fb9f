//! What boot leaves to the VM.

use hyp_core::memory::FreeMemory;
use hyp_core::tree::Machine;

/// What boot leaves to the VM.
#[derive(Debug)]
pub(crate) struct Handover<'a> {
    /// The machine; its seeds are wiped.
    pub(crate) machine: &'a Machine<'a>,
    /// Memory that nobody has.
    pub(crate) memory: &'a mut FreeMemory,
    /// The bundle, not checked yet.
    pub(crate) bundle: &'static [u8],
    /// What to run once boot's code is gone, for a test that wants to see it gone.
    pub(crate) crash: Option<usize>,
}
