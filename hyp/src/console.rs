//! The terminal: hypervisor log and guest output share one ring and one UART.
//!
//! Until [`go_live`] output is sent at once, by polling; from then on the transmit interrupt
//! drains the ring and nothing waits for the UART. A crash and the last line poll again.

use core::fmt::{self, Write};

use hyp_core::console::{Console, LONGEST_LINE, Line, shown};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::arch::cpu::Lock;
use crate::arch::once::Once;
use crate::arch::{cpu, timer};
use crate::drivers::uart::Uart;
use crate::injection;

/// Bytes on their way to the UART.
const OUT: usize = 4096;
/// Interrupts of the UART in a row that find nothing to do, after which their line is taken for stuck.
const MOST_IDLE: u32 = 1000;
/// How often in a second the UART is looked at then.
const POLLS: u64 = 100;
/// Bytes of log lines that wait for the guest to end its line.
const HELD: usize = 4096;

/// The UART. Last words go there even when whoever crashed holds the terminal's lock.
static UART: Once<Uart> = Once::new();

static TERMINAL: Lock<Terminal> = Lock::new(Terminal {
    console: Console::new(),
    live: false,
    listening: false,
    has_refused: false,
    idle: 0,
});

#[derive(Debug)]
struct Terminal {
    console: Console<OUT, HELD>,
    /// The interrupt sends what waits.
    live: bool,
    /// Somebody wants what is received.
    listening: bool,
    /// The guest had output for which there was no room.
    has_refused: bool,
    /// Interrupts in a row that found nothing to do; beyond [`MOST_IDLE`] the UART has none any more,
    /// and is looked at by EL2's timer.
    idle: u32,
}

impl Terminal {
    /// Moves what the FIFO takes; the rest follows by interrupt, or at once before [`go_live`].
    fn drain(&mut self) {
        let Some(uart) = UART.get() else { return self.forget() };
        uart.fill(|| self.console.pop());
        if self.live {
            // Whoever drains the last byte, the guest's rest is fetched by the interrupt.
            let more = self.has_refused || !self.console.is_drained();
            uart.set_interrupts(self.listening, more || injection::holds_console_line());
        } else {
            self.drain_polled();
        }
    }

    /// Without a UART nobody waits for the output, and the guest must not wait for somebody: only
    /// what came last is kept, for a debugger.
    fn forget(&mut self) {
        while self.console.room() < LONGEST_LINE {
            if self.console.pop().is_none() {
                return;
            }
        }
    }

    fn drain_polled(&mut self) {
        let Some(uart) = UART.get() else { return };
        while let Some(byte) = self.console.pop() {
            uart.put(byte);
        }
    }
}

/// Starts logging. Until there is a UART, what came last waits in memory.
pub(crate) fn init(level: LevelFilter) {
    TERMINAL.lock().console.set_frequency(timer::frequency());
    // Fails only if there is a logger already: this one.
    let _ = log::set_logger(&Logger);
    log::set_max_level(level);
}

/// Gives the terminal its UART.
pub(crate) fn attach(uart: Uart) {
    UART.set(uart);
}

/// Whether there is a UART.
pub(crate) fn is_attached() -> bool {
    UART.get().is_some()
}

/// Writes a line for programs that read along, whatever the log's level is. Names may be in it: see [`Line`].
pub(crate) fn announce(text: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // A line that is too long is cut.
    let _ = line.write_fmt(text);
    let mut terminal = TERMINAL.lock();
    terminal.console.log_line(line.as_str(), timer::now());
    terminal.drain();
}

/// From here on the UART's interrupt calls [`interrupt`]. Not where there is none: then output goes
/// on being polled.
pub(crate) fn go_live() {
    let mut terminal = TERMINAL.lock();
    terminal.live = true;
    terminal.listening = true;
    terminal.drain();
}

/// Sends guest output: takes bytes from `next` while there is room for them.
pub(crate) fn guest_output(next: &mut dyn FnMut() -> Option<u8>) {
    let mut terminal = TERMINAL.lock();
    loop {
        while terminal.console.room() > 0 {
            let Some(byte) = next() else {
                terminal.has_refused = false;
                terminal.drain();
                return;
            };
            terminal.console.guest_byte(byte);
        }
        terminal.has_refused = true;
        terminal.drain();
        if terminal.console.room() == 0 {
            // The transmit interrupt comes back for the rest.
            return;
        }
    }
}

/// Serves the UART: sends what waits, then hands `serve` a source of received bytes. `serve` tells
/// whether it can take more; while it cannot, bytes wait in the UART and its receive interrupt is off
/// until [`listen`].
///
/// Answers whether the UART has been served for nothing once too often: then its interrupt is to be
/// disabled; see [`is_polled`].
pub(crate) fn serve(serve: impl FnOnce(&mut dyn FnMut() -> Option<u8>) -> bool) -> bool {
    let mut terminal = TERMINAL.lock();
    let Some(uart) = UART.get() else { return false };
    if !injection::holds_console_line() {
        uart.acknowledge();
    }
    // Before `serve`, not after it: another CPU's `listen` in between must not be undone.
    terminal.listening = false;
    let room = terminal.console.room();
    terminal.drain();
    let mut is_idle = terminal.console.room() == room;
    // `serve` may send.
    drop(terminal);
    let mut receive = || uart.try_get().inspect(|_| is_idle = false);
    if serve(&mut receive) {
        listen();
    }
    let mut terminal = TERMINAL.lock();
    if terminal.idle > MOST_IDLE {
        return false;
    }
    terminal.idle = if is_idle { terminal.idle.saturating_add(1) } else { 0 };
    terminal.idle > MOST_IDLE
}

/// Whether [`serve`] has said that the UART's interrupt is to be disabled: then it is served where EL2's
/// timer fires on one CPU, and that timer is set here.
pub(crate) fn is_polled() -> bool {
    let is_polled = TERMINAL.lock().idle > MOST_IDLE;
    if is_polled {
        timer::fire_by(timer::now().saturating_add(timer::frequency() / POLLS));
    }
    is_polled
}

/// There is room for received bytes again.
pub(crate) fn listen() {
    let mut terminal = TERMINAL.lock();
    terminal.listening = true;
    terminal.drain();
}

/// Sets EL2's timer on this CPU for log lines that wait, if there are any.
pub(crate) fn arm_timer() {
    let deadline = TERMINAL.lock().console.deadline();
    if let Some(deadline) = deadline {
        timer::fire_by(deadline);
    }
}

/// EL2's timer fired and was stopped: lets log lines through that have waited long enough for the
/// guest.
pub(crate) fn timer_fired() {
    let mut terminal = TERMINAL.lock();
    terminal.console.tick(timer::now());
    terminal.drain();
    drop(terminal);
    arm_timer();
}

/// Sends all that waits and then `text` as lines of their own, polling. For the last words: works
/// with the lock held by whoever crashed, then without what waits in the ring.
pub(crate) fn last_words(text: fmt::Arguments<'_>) {
    let mut terminal = (0..1_000_000_u32).find_map(|_| {
        let terminal = TERMINAL.try_lock();
        if terminal.is_none() {
            cpu::yield_now();
        }
        terminal
    });
    if let Some(terminal) = &mut terminal {
        terminal.console.flush();
        terminal.drain_polled();
    }
    let Some(uart) = UART.get() else { return };
    // Writing cannot fail.
    let _ = Raw(*uart).write_fmt(text);
    uart.wait_idle();
}

/// Writes to the UART without the ring, `\n` as `\r\n`, all else as a [`Line`] would show it.
struct Raw(Uart);

impl Write for Raw {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.put(b'\r');
                self.0.put(byte);
            } else {
                shown(byte).for_each(|byte| self.0.put(byte));
            }
        }
        Ok(())
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let prefix = match record.level() {
            Level::Error => "[postern] ERROR: ",
            Level::Warn => "[postern] WARNING: ",
            _ => "[postern] ",
        };
        announce(format_args!("{prefix}{}", record.args()));
    }

    fn flush(&self) {}
}
