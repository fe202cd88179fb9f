//! One run of QEMU: its output as it comes, a time limit, and an orderly end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::tether::tethered;
use crate::run::console::{Lines, Nonce};
use crate::setup::exec::{self, command_line};

/// Exit status after Ctrl-C or a kill, as shells have it: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

/// How often a quiet run looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// How long a machine that cannot switch itself off is listened to after its last line.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// QEMU ended by itself.
    Exited(ExitStatus),
    /// The time limit ran out and QEMU was stopped.
    TimeLimit,
    /// This program was told to stop, and QEMU with it.
    Interrupted,
}

/// Who types on the console. What a QEMU prints comes to us; with a person its error output goes on to
/// where ours does, else it is part of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typist {
    /// Whoever has our standard input.
    Person,
    /// Nobody.
    Nobody,
    /// The answers of what listens to the output.
    Script,
}

/// A QEMU at work. Dropping it ends it, and so does the end of the thread that started it.
#[derive(Debug)]
pub struct Session {
    child: Child,
    output: Receiver<Vec<u8>>,
    keyboard: Option<ChildStdin>,
    /// The last line of its error output, once that is closed.
    complaint: Option<JoinHandle<String>>,
    deadline: Option<Instant>,
    /// Stop when a line begins so.
    last_line: Option<String>,
    /// Stop at EL2's last line, which has this.
    nonce: Option<Nonce>,
}

impl Session {
    /// Starts `command`, of which program, arguments, folder and environment count; `limit` counts
    /// from now.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub fn start(command: &Command, typist: Typist, limit: Option<Duration>) -> Result<Self> {
        let input = match typist {
            Typist::Person => Stdio::inherit(),
            Typist::Nobody => Stdio::null(),
            Typist::Script => Stdio::piped(),
        };
        let mut child = tethered(command)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", command_line(command)))?;
        let complaint = match typist {
            Typist::Person => child.stderr.take().map(|stream| thread::spawn(|| pass_on(stream))),
            Typist::Nobody | Typist::Script => None,
        };
        let (sender, output) = mpsc::channel();
        for stream in [
            child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
            child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        ]
        .into_iter()
        .flatten()
        {
            let sender = sender.clone();
            thread::spawn(move || forward(stream, &sender));
        }
        let keyboard = child.stdin.take();
        // A limit too far away to be a point in time is none.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        Ok(Self { child, output, keyboard, complaint, deadline, last_line: None, nonce: None })
    }

    /// Stops QEMU, as if it had ended by itself, soon after a line that begins with `start`: for guests
    /// that hang.
    pub fn until_line(mut self, start: &str) -> Self {
        self.last_line = Some(start.to_owned());
        self
    }

    /// Stops QEMU, as if it had ended by itself, soon after EL2's last line, which has `nonce`: for
    /// machines that cannot switch themselves off. What is said in between must not be missed.
    pub fn until_last_line(mut self, nonce: &Nonce) -> Self {
        self.nonce = Some(nonce.clone());
        self
    }

    /// With a person at the console: what QEMU said last on its error output, for who waits until it
    /// has ended.
    pub fn complaint(&mut self) -> Option<JoinHandle<String>> {
        self.complaint.take()
    }

    /// Gives `sink` the output piece by piece until the run ends; `sink` answers with bytes to type
    /// on the console, usually none.
    ///
    /// # Errors
    ///
    /// What `sink` returns, or the child cannot be waited for.
    pub fn run(mut self, mut sink: impl FnMut(&[u8]) -> Result<Vec<u8>>) -> Result<Ending> {
        let mut lines = Lines::default();
        let mut end: Option<Instant> = None;
        loop {
            if stop_asked() {
                exec::stop(&mut self.child);
                return Ok(Ending::Interrupted);
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                exec::stop(&mut self.child);
                return Ok(Ending::Exited(self.child.wait().context("QEMU got lost")?));
            }
            let left =
                self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                exec::stop(&mut self.child);
                while let Ok(piece) = self.output.try_recv() {
                    sink(&piece)?;
                }
                return Ok(Ending::TimeLimit);
            }
            match self.output.recv_timeout(left.map_or(TICK, |left| left.min(TICK))) {
                Ok(piece) => {
                    let keys = sink(&piece)?;
                    self.type_in(&keys);
                    let is_last = |line: &String| {
                        self.nonce.as_ref().is_some_and(|nonce| nonce.code(line).is_some())
                            || self.last_line.as_ref().is_some_and(|start| line.starts_with(start))
                    };
                    if lines.feed(&piece).iter().any(is_last) {
                        end = Some(Instant::now() + LAST_WORDS);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Both streams are closed: QEMU is ending.
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Ending::Exited(self.child.wait().context("QEMU got lost")?));
                }
            }
        }
    }

    /// A guest that does not listen any more is no error of the run.
    fn type_in(&mut self, keys: &[u8]) {
        if let Some(keyboard) = &mut self.keyboard
            && !keys.is_empty()
        {
            let _ = keyboard.write_all(keys).and_then(|()| keyboard.flush());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            exec::stop(&mut self.child);
        }
    }
}

/// Copies `stream` to our error output; its last line that says something.
fn pass_on(stream: impl Read) -> String {
    let mut last = String::new();
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        eprintln!("{text}");
        if !text.is_empty() {
            last = text;
        }
        line.clear();
    }
    last
}

fn forward(mut stream: impl Read, sender: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn stop_flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// From now on Ctrl-C and a polite kill end running sessions before this program ends with
/// [`INTERRUPTED`], so that no emulator stays behind.
///
/// # Errors
///
/// The signals cannot be caught.
pub fn watch_for_stop() -> Result<()> {
    for signal in
        [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
    {
        // The second one kills at once.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            INTERRUPTED.into(),
            Arc::clone(stop_flag()),
        )
        .and_then(|_| signal_hook::flag::register(signal, Arc::clone(stop_flag())))
        .context("could not prepare for Ctrl-C")?;
    }
    Ok(())
}

/// This program was told to stop.
pub fn stop_asked() -> bool {
    stop_flag().load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_arrive() {
        let mut seen = Vec::new();
        let command = shell("echo one; echo two; exit 7");
        let session = Session::start(&command, Typist::Nobody, None).unwrap();
        let ending = session
            .run(|piece| {
                seen.extend_from_slice(piece);
                Ok(Vec::new())
            })
            .unwrap();
        assert!(matches!(ending, Ending::Exited(status) if status.code() == Some(7)));
        assert_eq!(seen, b"one\ntwo\n");
    }

    #[test]
    fn what_was_said_last_on_the_error_output_is_kept() {
        let command = shell("echo one; echo first >&2; echo last >&2; echo >&2");
        let mut session = Session::start(&command, Typist::Person, None).unwrap();
        let complaint = session.complaint().unwrap();
        session.run(|_| Ok(Vec::new())).unwrap();
        assert_eq!(complaint.join().unwrap(), "last");
    }

    #[test]
    fn answers_are_typed() {
        let command = shell("echo ready; read word; echo got $word");
        let mut seen = Vec::new();
        let session =
            Session::start(&command, Typist::Script, Some(Duration::from_secs(20))).unwrap();
        let ending = session
            .run(|piece| {
                seen.extend_from_slice(piece);
                Ok(if seen == b"ready\n" { b"word\n".to_vec() } else { Vec::new() })
            })
            .unwrap();
        assert!(matches!(ending, Ending::Exited(_)), "{ending:?}");
        assert_eq!(seen, b"ready\ngot word\n");
    }

    #[test]
    fn a_machine_that_stays_on_ends_at_its_last_line() {
        let begun = Instant::now();
        let command =
            shell("echo first; echo POSTERN-EXIT 2 5f; sleep 0.05; echo more; exec sleep 60");
        let nonce = Nonce::of("postern.nonce=5f").unwrap();
        let session = Session::start(&command, Typist::Nobody, None).unwrap();
        let mut seen = Vec::new();
        let ending = session.until_last_line(&nonce).run(|piece| {
            seen.extend_from_slice(piece);
            Ok(Vec::new())
        });
        assert!(matches!(ending, Ok(Ending::Exited(_))), "{ending:?}");
        assert_eq!(seen, b"first\nPOSTERN-EXIT 2 5f\nmore\n");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_hang_ends_at_the_limit_and_keeps_its_output() {
        let mut seen = Vec::new();
        let command = shell("echo begun; exec sleep 60");
        let session =
            Session::start(&command, Typist::Nobody, Some(Duration::from_millis(500))).unwrap();
        let begun = Instant::now();
        let ending = session
            .run(|piece| {
                seen.extend_from_slice(piece);
                Ok(Vec::new())
            })
            .unwrap();
        assert_eq!(ending, Ending::TimeLimit);
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!(seen, b"begun\n");
    }
}
