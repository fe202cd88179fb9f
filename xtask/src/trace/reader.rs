//! Takes records out of the rings before EL2 overwrites them, and counts those it came too late for.

use hyp_abi::trace::{FREQUENCY, HEAD_STRIDE, HEADER_BYTES, HEADS, RECORD_WORDS, RINGS, SLOTS};

use super::memory::SharedRam;
use super::record::{Words, number};

/// Records that are kept at most; half a gibibyte of them.
const KEPT: usize = 8 << 20;

/// One CPU's ring.
#[derive(Debug)]
struct Ring {
    /// Records before this one are dealt with.
    tail: u64,
    records: Vec<Words>,
    lost: u64,
}

/// The rings of a machine.
#[derive(Debug)]
pub struct Reader {
    /// Bytes from the start of the memory to the trace.
    at: u64,
    frequency: u64,
    slots: u64,
    rings: Vec<Ring>,
    room: usize,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// Ticks in a second.
    pub frequency: u64,
    /// The records of each CPU.
    pub streams: Vec<Vec<Words>>,
    /// How many each CPU wrote that are not among them.
    pub lost: Vec<u64>,
    /// Whether some of them are missing because there are too many to keep.
    pub is_full: bool,
}

impl Reader {
    /// A reader of the trace at `at` bytes of `ram`. `None` where the header makes no sense.
    pub fn new(ram: &SharedRam, at: u64) -> Option<Self> {
        let header = ram.words(at, HEADS)?;
        let (slots, rings) = (header[SLOTS], usize::try_from(header[RINGS]).ok()?);
        if !slots.is_power_of_two() || slots > 1 << 24 || rings > 64 || header[FREQUENCY] == 0 {
            return None;
        }
        let ring = || Ring { tail: 0, records: Vec::new(), lost: 0 };
        Some(Self {
            at,
            frequency: header[FREQUENCY],
            slots,
            rings: std::iter::repeat_with(ring).take(rings).collect(),
            room: KEPT,
        })
    }

    /// Takes what is there; whether that was anything.
    pub fn poll(&mut self, ram: &SharedRam) -> bool {
        let mut any = false;
        for cpu in 0..self.rings.len() {
            any |= self.poll_ring(ram, cpu).unwrap_or(false);
        }
        any
    }

    fn poll_ring(&mut self, ram: &SharedRam, cpu: usize) -> Option<bool> {
        let place = |words: usize| self.at + 8 * words as u64;
        let head_at = place(HEADS + HEAD_STRIDE * cpu);
        let record_bytes = 8 * RECORD_WORDS as u64;
        let ring_at = self.at + HEADER_BYTES + self.slots * record_bytes * cpu as u64;
        let head = ram.words(head_at, 1)?[0];
        let ring = self.rings.get_mut(cpu)?;
        if head <= ring.tail {
            return Some(false);
        }
        let from = ring.tail.max(head.saturating_sub(self.slots));
        let mut read: Vec<Words> = Vec::new();
        let mut at = from;
        // In one piece up to the ring's end, and one from its start.
        while at < head {
            let slot = at % self.slots;
            let count = (head - at).min(self.slots - slot);
            let words = ram.words(
                ring_at + slot * record_bytes,
                usize::try_from(count).ok()? * RECORD_WORDS,
            )?;
            read.extend(words.as_chunks::<RECORD_WORDS>().0);
            at += count;
        }
        // Whoever writes now writes into the slot of the head.
        let now = ram.words(head_at, 1)?[0];
        let intact_from = (now + 1).saturating_sub(self.slots).max(from);
        let overwritten = usize::try_from(intact_from - from).ok()?.min(read.len());
        let intact = read.drain(overwritten..).zip(intact_from..);
        let before = ring.records.len();
        // Each says itself which one it is.
        let whole = intact.filter(|(words, at)| u64::from(number(words)) == at & 0xffff_ffff);
        ring.records.extend(whole.map(|(words, _)| words).take(self.room));
        let taken = ring.records.len() - before;
        self.room -= taken;
        ring.lost += head - ring.tail - taken as u64;
        ring.tail = head;
        Some(true)
    }

    /// What was read.
    pub fn finish(self) -> Read {
        Read {
            frequency: self.frequency,
            lost: self.rings.iter().map(|ring| ring.lost).collect(),
            streams: self.rings.into_iter().map(|ring| ring.records).collect(),
            is_full: self.room == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0x1000;

    /// A trace with two rings of four records.
    fn trace() -> SharedRam {
        let ram = SharedRam::alone(0x10000);
        ram.put(AT, &[hyp_abi::trace::MAGIC, AT, 1000, 4, 2]);
        ram
    }

    /// EL2 writes record `number` of `cpu`.
    fn write(ram: &SharedRam, cpu: u64, number: u64) {
        let slot = AT + 4096 + cpu * 4 * 64 + number % 4 * 64;
        ram.put(slot, &[number << 32, 100 + number, 0, 0, 0, 0, 0, 0]);
        ram.put(AT + 8 * (64 + 8 * cpu), &[number + 1]);
    }

    fn times(stream: &[Words]) -> Vec<u64> {
        stream.iter().map(|words| words[1]).collect()
    }

    #[test]
    fn records_are_read_once_and_in_order_around_the_end() {
        let ram = trace();
        let mut reader = Reader::new(&ram, AT).unwrap();
        assert!(!reader.poll(&ram));
        for number in 0..9 {
            write(&ram, 0, number);
            if number % 3 == 2 {
                assert!(reader.poll(&ram));
                assert!(!reader.poll(&ram));
            }
        }
        write(&ram, 1, 0);
        reader.poll(&ram);
        let read = reader.finish();
        assert_eq!(times(&read.streams[0]), [100, 101, 102, 103, 104, 105, 106, 107, 108]);
        assert_eq!(times(&read.streams[1]), [100]);
        assert_eq!((read.lost, read.frequency, read.is_full), (vec![0, 0], 1000, false));
    }

    #[test]
    fn what_was_overwritten_is_counted() {
        let ram = trace();
        let mut reader = Reader::new(&ram, AT).unwrap();
        for number in 0..10 {
            write(&ram, 0, number);
        }
        reader.poll(&ram);
        write(&ram, 0, 10);
        reader.poll(&ram);
        let read = reader.finish();
        // The slot of the oldest one might be written to by then.
        assert_eq!(times(&read.streams[0]), [107, 108, 109, 110]);
        assert_eq!(read.lost, [7, 0]);
    }

    /// A slot with another record than the head promises is not taken for it.
    #[test]
    fn a_torn_record_counts_as_lost() {
        let ram = trace();
        let mut reader = Reader::new(&ram, AT).unwrap();
        write(&ram, 0, 0);
        write(&ram, 0, 1);
        ram.put(AT + 4096 + 64, &[5 << 32]);
        reader.poll(&ram);
        let read = reader.finish();
        assert_eq!((times(&read.streams[0]), read.lost), (vec![100], vec![1, 0]));
    }

    #[test]
    fn a_header_without_sense_is_refused() {
        for header in [[1000, 3, 1], [1000, 0, 1], [0, 4, 1], [1000, 4, 65]] {
            let ram = trace();
            ram.put(AT + 16, &header);
            assert!(Reader::new(&ram, AT).is_none(), "{header:?}");
        }
    }

    /// A writer that never waits, and a reader that looks when it can.
    #[test]
    fn a_racing_writer_is_never_misread() {
        const RECORDS: u64 = 20_000;
        let ram = trace();
        let mut reader = Reader::new(&ram, AT).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..RECORDS).for_each(|number| write(&ram, 0, number)));
            while !writer.is_finished() {
                reader.poll(&ram);
            }
        });
        reader.poll(&ram);
        let read = reader.finish();
        for words in &read.streams[0] {
            assert_eq!(words[1], 100 + (words[0] >> 32));
        }
        assert!(times(&read.streams[0]).is_sorted());
        assert_eq!(read.streams[0].len() as u64 + read.lost[0], RECORDS);
        assert!(read.streams[0].len() >= 3);
    }
}
