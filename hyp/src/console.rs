//! The terminal: hypervisor log and guest output share one ring and one UART.
//!
//! Until [`go_live`] output is sent at once, by polling; from then on the UART's interrupt drains the ring,
//! or EL2's timer where there is none that works, and nothing waits for the UART. A crash and the last line poll
//! again. Without a UART all of it goes to the log in memory, where nobody types.

use core::fmt::{self, Write};

use hyp_core::addr::Pa;
use hyp_core::console::{Console, Line, shown};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::arch::cpu::Lock;
use crate::arch::once::Once;
use crate::arch::{cpu, timer};
use crate::drivers::uart::Uart;
use crate::mm::memory_log;

/// Bytes on their way to the UART.
const OUT: usize = 4096;
/// Interrupts of the UART in a row that find nothing to do, after which their line is taken for stuck.
const MOST_IDLE: u32 = 1000;
/// How often in a second the UART is looked at then: while there is something to do, which is often enough
/// for 115200 bits a second and a FIFO of 16 bytes, and else.
const POLLS_BUSY: u64 = 1000;
const POLLS: u64 = 100;
/// Bytes of log lines that wait for the guest to end its line.
const HELD: usize = 4096;

/// The UART. Last words go there even when whoever crashed holds the terminal's lock.
static UART: Once<Uart> = Once::new();

static TERMINAL: Lock<Terminal> = Lock::new(Terminal {
    console: Console::new(),
    live: false,
    is_polled: false,
    listening: false,
    refused: 0,
    idle: 0,
});

#[derive(Debug)]
struct Terminal {
    console: Console<OUT, HELD>,
    /// The interrupt or the timer sends what waits.
    live: bool,
    /// The timer does: the UART has no interrupt that works.
    is_polled: bool,
    /// Somebody wants what is received.
    listening: bool,
    /// A bit for each VM that had output for which there was no room.
    refused: u8,
    /// How often in a row it was served for nothing; beyond [`MOST_IDLE`] its interrupt does not work.
    idle: u32,
}

impl Terminal {
    /// Moves what the FIFO takes; the rest follows by interrupt or timer, or at once before [`go_live`].
    fn drain(&mut self) {
        let uart = UART.get();
        match uart {
            Some(uart) => uart.fill(|| self.console.pop()),
            None => self.keep(),
        }
        // Wherever a line ended or was cut, who waited for that is asked.
        self.refused |= self.console.take_awaiting();
        let Some(uart) = uart else { return };
        if self.is_polled {
            // Nobody hears its interrupt.
        } else if self.live {
            // Whoever drains the last byte, the guest's rest is fetched by the interrupt.
            let more = self.refused != 0 || !self.console.is_drained();
            uart.set_interrupts(self.listening, more || injected!(holds_console_line(), false));
        } else {
            self.drain_polled();
        }
    }

    /// Without a UART nobody waits for the output, and the guest must not wait for somebody.
    fn keep(&mut self) {
        memory_log::write(|| self.console.pop());
    }

    fn drain_polled(&mut self) {
        let Some(uart) = UART.get() else { return self.keep() };
        while let Some(byte) = self.console.pop() {
            uart.put(byte);
        }
    }
}

/// Starts logging. The next is [`attach`] or [`keep_in_memory`].
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

/// Has all output kept in memory; returns where.
pub(crate) fn keep_in_memory() -> Pa {
    memory_log::start()
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

/// From here on nothing waits for the UART: its interrupt leads to [`serve`] if it has one, else the timer of
/// this CPU, which takes both.
pub(crate) fn go_live(has_interrupt: bool) {
    let mut terminal = TERMINAL.lock();
    terminal.live = true;
    // Without a UART there is nothing to look at but VMs that wait for each other.
    terminal.is_polled = !has_interrupt && (is_attached() || terminal.console.has_names());
    terminal.listening = true;
    terminal.drain();
    drop(terminal);
    look_again();
}

/// From here on each line of a guest begins with its VM's name.
pub(crate) fn set_names(names: &'static [&'static str]) {
    TERMINAL.lock().console.set_names(names);
}

/// Sends output of the VM with number `vm`: takes bytes from `next` while there is room for them.
pub(crate) fn guest_output(vm: u8, mut next: impl FnMut() -> Option<u8>) {
    let own = 1_u8.wrapping_shl(u32::from(vm));
    let mut terminal = TERMINAL.lock();
    loop {
        while terminal.console.room(vm) > 0 {
            let Some(byte) = next() else {
                terminal.refused &= !own;
                terminal.drain();
                if terminal.console.is_awaited()
                    && let Some(due) = terminal.console.spoke(timer::now())
                {
                    timer::fire_by(due);
                }
                return;
            };
            terminal.console.guest_byte(vm, byte);
        }
        if terminal.console.is_of_another(vm) {
            // Whoever ends the line, or the timer that does, has this VM come back.
            terminal.refused &= !own;
            terminal.drain();
            terminal.console.await_line(vm, timer::now());
            drop(terminal);
            return arm_timer();
        }
        terminal.refused |= own;
        terminal.drain();
        if terminal.console.room(vm) == 0 {
            // Whoever serves the UART comes back for the rest.
            return;
        }
    }
}

/// Serves the UART: sends what waits, then hands `serve` a source of received bytes. `serve` tells
/// whether it can take more; while it cannot, bytes wait in the UART and its receive interrupt is off
/// until [`listen`].
///
/// Answers whether the UART has been served for nothing once too often: then its interrupt is to be
/// disabled, and [`is_polled`] from now on.
pub(crate) fn serve(serve: impl FnOnce(&mut dyn FnMut() -> Option<u8>) -> bool) -> bool {
    let mut terminal = TERMINAL.lock();
    let uart = UART.get();
    if let Some(uart) = uart
        && !injected!(holds_console_line(), false)
    {
        uart.acknowledge();
    }
    // Before `serve`, not after it: another CPU's `listen` in between must not be undone.
    terminal.listening = false;
    // All VMs are asked now, and who has no room yet, or waits for a line to end, says so again.
    terminal.refused = 0;
    let room = terminal.console.free();
    terminal.drain();
    let mut is_idle = terminal.console.free() == room;
    // `serve` may send.
    drop(terminal);
    let mut receive = || uart?.try_get().inspect(|_| is_idle = false);
    if serve(&mut receive) {
        listen();
    }
    let mut terminal = TERMINAL.lock();
    let refused = terminal.refused;
    terminal.console.asked(refused);
    terminal.drain();
    terminal.idle = if is_idle { terminal.idle.saturating_add(1) } else { 0 };
    let is_stuck = terminal.idle > MOST_IDLE && !terminal.is_polled;
    terminal.is_polled |= is_stuck;
    is_stuck
}

/// Whether the UART is to be served where EL2's timer fires on the CPU that takes its interrupt.
pub(crate) fn is_polled() -> bool {
    TERMINAL.lock().is_polled
}

/// Sets the timer of this CPU for the next look at a UART that [`is_polled`].
pub(crate) fn look_again() {
    let terminal = TERMINAL.lock();
    if terminal.is_polled {
        let is_busy = terminal.idle == 0 || terminal.refused != 0 || !terminal.console.is_drained();
        let second = timer::frequency();
        let period = if is_busy { second / POLLS_BUSY } else { second / POLLS };
        timer::fire_by(timer::now().saturating_add(period));
    }
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
    // Writing cannot fail.
    let _ = Raw.write_fmt(text);
    if let Some(uart) = UART.get() {
        uart.wait_idle();
    }
}

/// Writes without the ring, `\n` as `\r\n`, all else as a [`Line`] would show it.
struct Raw;

impl Raw {
    fn put(byte: u8) {
        match UART.get() {
            Some(uart) => uart.put(byte),
            None => {
                let mut byte = Some(byte);
                memory_log::write(|| byte.take());
            }
        }
    }
}

impl Write for Raw {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                Self::put(b'\r');
                Self::put(byte);
            } else {
                shown(byte).for_each(Self::put);
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
