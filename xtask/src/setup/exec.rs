//! Running other programs: time limits, captured output and error texts that say what was tried,
//! what came back and what to do next.

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::say;

/// How many of a failed program's last lines an error shows.
const TAIL_LINES: usize = 12;

/// How often [`output`] says that its program still runs.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a program that is told to end has for clearing up.
const GRACE: Duration = Duration::from_secs(2);

/// What a finished program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its last lines of output and error output, in the order of arrival, for error messages.
    pub(crate) tail: String,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// The command as a person would type it, environment included.
pub(crate) fn command_line(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            let _ = write!(line, "{}={} ", name.to_string_lossy(), value.to_string_lossy());
        }
    }
    line.push_str(&command.get_program().to_string_lossy());
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            let _ = write!(line, " '{argument}'");
        } else {
            let _ = write!(line, " {argument}");
        }
    }
    line
}

/// Runs `command` for at most `limit` and hands each line of its output to `on_line`; while the
/// program is silent `on_tick` is called about once a second with the time since the start.
///
/// # Errors
/// If the program cannot be started or is still running after `limit` (it is then killed). A
/// status other than zero is not an error here.
pub(crate) fn run(
    command: &mut Command,
    limit: Duration,
    mut on_line: impl FnMut(&str),
    mut on_tick: impl FnMut(Duration),
) -> Result<Finished> {
    let shown = command_line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let (sender, receiver) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        read_lines(out, Stream::Out, sender.clone());
    }
    if let Some(err) = child.stderr.take() {
        read_lines(err, Stream::Err, sender);
    }

    let start = Instant::now();
    let mut stdout = String::new();
    let mut tail: Vec<String> = Vec::new();
    let mut take = |stream: Stream, line: String| {
        on_line(&line);
        if stream == Stream::Out {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        if !line.trim().is_empty() {
            if tail.len() == TAIL_LINES {
                tail.remove(0);
            }
            tail.push(line);
        }
    };
    let status = loop {
        match receiver.recv_timeout(Duration::from_millis(200)) {
            Ok((stream, line)) => take(stream, line),
            // Both pipes are closed: only the exit status is left to come.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(20)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(status) = child.try_wait().with_context(|| format!("waiting for `{shown}`"))? {
            break status;
        }
        if start.elapsed() > limit {
            stop(&mut child);
            bail!(
                "tried: {shown}\ncame back: nothing within {} s; the program was stopped",
                limit.as_secs()
            );
        }
        on_tick(start.elapsed());
    };
    // A grandchild may hold a pipe open for ever: take what is there, then leave.
    while let Ok((stream, line)) = receiver.recv_timeout(Duration::from_millis(500)) {
        take(stream, line);
    }
    Ok(Finished { status, stdout, tail: tail.join("\n") })
}

/// Runs `command` and returns its standard output. The user hears of it only if it takes long.
///
/// # Errors
/// As [`run`]; also if the program reports failure. `remedy` is the part of the message that says
/// what to do next.
pub(crate) fn output(command: &mut Command, limit: Duration, remedy: &str) -> Result<String> {
    let shown = command_line(command);
    let mut next = HEARTBEAT;
    let finished = run(
        command,
        limit,
        |_| {},
        |elapsed| {
            if elapsed >= next {
                next = elapsed.saturating_add(HEARTBEAT);
                say(&format!("still at it, {} s", elapsed.as_secs()));
            }
        },
    )
    .or_else(|error| bail!("{error:#}\nto do: {remedy}"))?;
    check(&shown, &finished, remedy)?;
    Ok(finished.stdout)
}

/// For [`run`]: says once a minute that `what` is still at work.
pub(crate) fn every_minute(what: &str) -> impl FnMut(Duration) {
    let mut last = 0;
    move |elapsed| {
        let minutes = elapsed.as_secs() / 60;
        if minutes > last {
            last = minutes;
            say(&format!("{what}: {minutes} min"));
        }
    }
}

/// Turns a failed exit status into an error that shows the program's last lines.
///
/// # Errors
/// If the status is not success.
pub(crate) fn check(shown: &str, finished: &Finished, remedy: &str) -> Result<()> {
    if finished.status.success() {
        return Ok(());
    }
    let said = if finished.tail.is_empty() { "(no output)" } else { &finished.tail };
    bail!("tried: {shown}\ncame back: {}\n{said}\nto do: {remedy}", finished.status)
}

/// The first executable file called `program` in the directories of `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn read_lines(
    stream: impl Read + Send + 'static,
    which: Stream,
    sender: mpsc::Sender<(Stream, String)>,
) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut raw = Vec::new();
        while reader.read_until(b'\n', &mut raw).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&raw).trim_end().to_owned();
            raw.clear();
            if sender.send((which, line)).is_err() {
                break;
            }
        }
    });
}

/// Asks a program to end, then makes it, and what it has started: cargo leaves its tests running.
pub(crate) fn stop(child: &mut Child) {
    let started = started_by(child.id());
    end(child);
    for pid in started {
        signal(pid, Signal::KILL);
    }
}

/// Fails only when the process is gone already.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes that process `pid` has started, those that they have, and so on.
fn started_by(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name, in parentheses, may have both of them and spaces. State and parent follow.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&one) = found.get(next) {
        next += 1;
        found.extend(parents.iter().filter(|(_, parent)| *parent == one).map(|(pid, _)| pid));
    }
    found.remove(0);
    found
}

/// Asks a program to end, then makes it. Asked first, make and apt-get clear up.
fn end(child: &mut Child) {
    signal(child.id(), Signal::TERM);
    let patience = Instant::now() + GRACE;
    while Instant::now() < patience {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
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
    fn output_and_lines_arrive() {
        let mut lines = Vec::new();
        let finished = run(
            &mut shell("echo one; echo two >&2; echo three"),
            Duration::from_secs(10),
            |line| lines.push(line.to_owned()),
            |_| {},
        )
        .unwrap();
        assert!(finished.status.success());
        assert_eq!(finished.stdout, "one\nthree\n");
        lines.sort();
        assert_eq!(lines, ["one", "three", "two"]);
    }

    #[test]
    fn a_program_that_hangs_is_stopped_and_named() {
        let start = Instant::now();
        let error =
            output(&mut shell("exec sleep 30"), Duration::from_millis(300), "wait").unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10));
        assert!(format!("{error:#}").contains("sleep 30"));
    }

    #[test]
    fn what_a_stopped_program_has_started_is_stopped_too() {
        // A number that no other process sleeps for.
        let script = format!("sh -c 'sleep 30.{}; true'; true", std::process::id());
        let find = || {
            let mine = started_by(std::process::id());
            mine.into_iter().filter(|pid| {
                std::fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.starts_with(b"sleep\x0030."))
            })
        };
        let mut child = shell(&script).spawn().unwrap();
        let started = loop {
            if let Some(pid) = find().next() {
                break pid;
            }
            thread::sleep(Duration::from_millis(5));
        };
        stop(&mut child);
        // Its parent is gone, so it is nobody's here: it is gone or waits for init to see it off.
        let patience = Instant::now() + Duration::from_secs(10);
        while std::fs::read_to_string(format!("/proc/{started}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z"))
        {
            assert!(Instant::now() < patience, "process {started} still runs");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_failure_shows_status_output_and_remedy() {
        let error =
            output(&mut shell("echo broken >&2; exit 7"), Duration::from_secs(10), "mend it")
                .unwrap_err();
        let text = format!("{error:#}");
        for part in ["exit status: 7", "broken", "to do: mend it"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn programs_are_found_by_path_only() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-here").is_none());
    }
}
