//! The terminal that guest and hypervisor share: nothing of the guest's is lost or moved, no line of
//! the hypervisor's is cut, and none waits for ever.

use hyp_core::console::Console;

use crate::bytes::Bytes;

const OUT: usize = 96;
const LOG: usize = 64;

/// What was put in and what came out.
#[derive(Default)]
struct Record {
    guest: Vec<u8>,
    logged: Vec<String>,
    out: Vec<u8>,
}

/// A guest that writes letters and ends its lines with a single `\n`; log lines are in brackets.
pub(super) fn check(bytes: &mut Bytes<'_>) {
    let mut console = Console::<OUT, LOG>::new();
    console.set_frequency(1_000_000);
    let mut record = Record::default();
    let mut now: u64 = 0;
    while !bytes.is_empty() {
        let form = bytes.u8();
        match form >> 6 {
            0 => {
                let byte = if form & 7 == 7 { b'\n' } else { b'a' + (form & 15) };
                for _ in 0..=form >> 4 & 3 {
                    let room = console.room(0);
                    let taken = console.guest_byte(0, byte);
                    assert_eq!(taken, room > 0);
                    if taken {
                        record.guest.push(byte);
                    }
                }
            }
            1 => {
                let line = format!("[{}]", "L".repeat(usize::from(form & 0x3f)));
                console.log_line(&line, now);
                record.logged.push(line);
            }
            2 => {
                for _ in 0..=form & 0x3f {
                    record.out.extend(console.pop());
                }
            }
            _ => {
                now = now.wrapping_add(u64::from(form & 0x3f) * 2_000);
                console.tick(now);
                // Else the timer would fire again at once.
                assert!(console.deadline().is_none_or(|at| at > now));
            }
        }
    }
    // Now everything comes out.
    for _ in 0..4 {
        console.flush();
        while let Some(byte) = console.pop() {
            record.out.push(byte);
        }
    }
    assert!(console.is_drained());
    record.check();
}

impl Record {
    fn check(&self) {
        let mut guest = Vec::new();
        let mut logged = self.logged.iter();
        let (mut shown, mut confessed) = (0, 0);
        let mut rest = &self.out[..];
        while let Some((first, tail)) = rest.split_first() {
            match first {
                b'[' => {
                    let end = rest.windows(2).position(|pair| pair == b"\r\n");
                    let end = end.unwrap_or_else(|| panic!("a log line is cut: {self}"));
                    let line = std::str::from_utf8(&rest[..end]).unwrap();
                    assert!(at_start(&self.out[..self.out.len() - rest.len()]), "{self}");
                    match line.strip_prefix("[postern] ") {
                        Some(words) => {
                            let count = words.split(' ').next().unwrap();
                            confessed += count.parse::<usize>().unwrap();
                        }
                        None => {
                            assert!(logged.any(|logged| logged == line), "{line}: {self}");
                            shown += 1;
                        }
                    }
                    rest = &rest[end + 2..];
                }
                // A line of the guest's that was interrupted.
                b'\r' => {
                    assert_eq!(tail.first(), Some(&b'\n'), "{self}");
                    rest = &tail[1..];
                }
                byte => {
                    guest.push(*byte);
                    rest = tail;
                }
            }
        }
        assert_eq!(guest, self.guest, "{self}");
        assert!(shown + confessed <= self.logged.len(), "{self}");
    }
}

/// Whether a line begins behind these bytes.
fn at_start(before: &[u8]) -> bool {
    before.last().is_none_or(|byte| *byte == b'\n')
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {:?}", String::from_utf8_lossy(&self.out), self.logged)
    }
}
