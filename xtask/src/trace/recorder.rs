//! Records a run: reads the rings while the machine runs and once more after its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use hyp_abi::trace::ANNOUNCEMENT;

use super::memory::SharedRam;
use super::reader::{Read, Reader};
use crate::qemu::Machine;

/// How long the reader sleeps where there was nothing. A ring holds thousands of records.
const PAUSE: Duration = Duration::from_millis(2);
/// No trace was announced yet; no physical address is this.
const NOWHERE: u64 = u64::MAX;

/// A run that is being recorded.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    reader: JoinHandle<Option<Read>>,
}

#[derive(Debug)]
struct Shared {
    ram: SharedRam,
    place: AtomicU64,
    has_ended: AtomicBool,
}

impl Recorder {
    /// Gets ready to record `machine`, which has not started yet.
    ///
    /// # Errors
    ///
    /// The host has no memory to share with it.
    pub fn new(machine: &mut Machine) -> Result<Self> {
        let shared = Arc::new(Shared {
            ram: SharedRam::new(machine)?,
            place: AtomicU64::new(NOWHERE),
            has_ended: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        Ok(Self { shared, reader: thread::spawn(move || read(&theirs)) })
    }

    /// Listens to the console for the place of the trace. The first line that tells one counts:
    /// EL2 prints it before any guest runs.
    pub fn hear(&self, line: &str) {
        if let Some(place) = announced(line) {
            let order = Ordering::Relaxed;
            let _ = self.shared.place.compare_exchange(NOWHERE, place, order, order);
        }
    }

    /// The machine has ended: what it wrote.
    ///
    /// # Errors
    ///
    /// There is no trace.
    pub fn finish(self) -> Result<Read> {
        self.shared.has_ended.store(true, Ordering::Release);
        let read = self.reader.join().map_err(|_| anyhow!("the reader of the trace failed"))?;
        match (read, self.shared.place.load(Ordering::Relaxed)) {
            (Some(read), _) => Ok(read),
            (None, NOWHERE) => bail!(
                "there is no trace: Postern never said `{ANNOUNCEMENT} ADDRESS`: it ended before it \
                 got that far"
            ),
            (None, place) => bail!(
                "the trace at {place:#x} is not in the memory that QEMU was given; leave \
                 `memory-backend` out of what follows `--`"
            ),
        }
    }
}

fn announced(line: &str) -> Option<u64> {
    let digits = line.trim().strip_prefix(ANNOUNCEMENT)?.strip_prefix(" 0x")?;
    u64::from_str_radix(digits, 16).ok()
}

fn read(shared: &Shared) -> Option<Read> {
    let mut reader = None;
    loop {
        // Before the look: what is written before the end is seen.
        let is_last = shared.has_ended.load(Ordering::Acquire);
        if reader.is_none() {
            let place = shared.place.load(Ordering::Relaxed);
            reader = shared.ram.find(place).and_then(|at| Reader::new(&shared.ram, at));
        }
        let any = reader.as_mut().is_some_and(|reader| reader.poll(&shared.ram));
        if is_last {
            return reader.map(Reader::finish);
        }
        if !any {
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_in_a_line_of_its_own() {
        assert_eq!(announced("POSTERN-TRACE 0x7fc00000\r"), Some(0x7fc0_0000));
        for other in
            ["POSTERN-TRACE", "POSTERN-TRACE 12", "x POSTERN-TRACE 0x1", "POSTERN-TRACE 0x"]
        {
            assert_eq!(announced(other), None, "{other}");
        }
    }
}
