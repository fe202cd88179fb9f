//! The machine's memory, readable from here while the machine runs and after its end.
//!
//! QEMU takes its RAM from a file of ours that has no name and no disk behind it. So the trace is
//! read without a word to the machine, and nothing of it is lost with the machine.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use hyp_abi::trace::{MAGIC, PLACE};

use crate::qemu::Machine;

/// QEMU's name for it.
const NAME: &str = "postern-ram";

/// Where RAM begins on the machines that there are: on `virt` and on Xilinx's boards.
const RAM_BASES: [u64; 2] = [0x4000_0000, 0];

/// The RAM of one machine.
#[derive(Debug)]
pub struct SharedRam(File);

impl SharedRam {
    /// Memory for `machine`, which from now on uses it.
    ///
    /// # Errors
    ///
    /// The host gives none.
    pub fn new(machine: &mut Machine) -> Result<Self> {
        let memory = rustix::fs::memfd_create(NAME, rustix::fs::MemfdFlags::CLOEXEC)
            .context("the host gives no memory to share with QEMU")?;
        let memory = Self(memory.into());
        let words = memory.arguments(machine.ram);
        // Before the caller's own words, which may say otherwise.
        machine.extra.splice(0..0, words);
        Ok(memory)
    }

    fn arguments(&self, bytes: u64) -> [OsString; 4] {
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd());
        // In whole MiB, as the machine has it.
        let size = bytes.div_ceil(1 << 20);
        [
            "-object".into(),
            format!("memory-backend-file,id={NAME},size={size}M,mem-path={path},share=on").into(),
            "-machine".into(),
            format!("memory-backend={NAME}").into(),
        ]
    }

    /// Where in the file a trace lies that EL2 has at the physical address `place`.
    pub fn find(&self, place: u64) -> Option<u64> {
        RAM_BASES.into_iter().find_map(|base| {
            let offset = place.checked_sub(base)?;
            let magic = self.words(offset, PLACE + 1)?;
            (magic == [MAGIC, place]).then_some(offset)
        })
    }

    /// `count` words at `offset` bytes; `None` where the memory ends before.
    pub fn words(&self, offset: u64, count: usize) -> Option<Vec<u64>> {
        let mut bytes = vec![0; count.checked_mul(8)?];
        self.0.read_exact_at(&mut bytes, offset).ok()?;
        let (words, _) = bytes.as_chunks();
        Some(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    /// Writes `words` at `offset` bytes, as the machine would.
    #[cfg(test)]
    pub fn put(&self, offset: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.0.write_all_at(&bytes, offset).unwrap();
    }

    /// Memory that no machine uses.
    #[cfg(test)]
    pub fn alone(bytes: u64) -> Self {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes).unwrap();
        Self(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_found_where_it_says_that_it_is() {
        let ram = SharedRam::alone(1 << 20);
        ram.put(0x8000, &[MAGIC, 0x4000_8000]);
        assert_eq!(ram.find(0x4000_8000), Some(0x8000));
        for elsewhere in [0, 0x8000, 0x4000_7000, 0x5000_0000, u64::MAX] {
            assert_eq!(ram.find(elsewhere), None, "{elsewhere:#x}");
        }
        ram.put(0x9000, &[MAGIC, 0x9000]);
        assert_eq!(ram.find(0x9000), Some(0x9000));
    }
}
