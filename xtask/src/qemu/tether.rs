//! Programs that do not outlive this one, not even when it is killed without a word.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Sets what the kernel sends to a process when its parent ends (`setpriv(1)` of util-linux,
/// `PR_SET_PDEATHSIG` of `prctl(2)`), and then becomes the program that it is given.
const HOLDER: &str = "setpriv";
const HOLD: [&str; 3] = ["--pdeathsig", "KILL", "--"];

/// `command`, with streams as by default, killed by the kernel as soon as the thread that starts it
/// is gone. Where the machine cannot do that, it is `command` and no more.
pub(super) fn tethered(command: &Command) -> Command {
    let mut tethered = if can_hold() {
        let mut tethered = Command::new(HOLDER);
        tethered.args(HOLD).arg(command.get_program());
        tethered
    } else {
        Command::new(command.get_program())
    };
    tethered.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tethered.env(name, value),
            None => tethered.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        tethered.current_dir(folder);
    }
    tethered
}

/// Whether this machine's `setpriv` is one that can; those of small systems cannot.
fn can_hold() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let mut attempt = Command::new(HOLDER);
        attempt.args(HOLD).arg("true");
        attempt.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        attempt.status().is_ok_and(|status| status.success())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_program_dies_with_the_thread_that_started_it() {
        let begun = Instant::now();
        let mut child = thread::spawn(|| {
            let mut script = Command::new("sh");
            script.env("WORD", "held").args(["-c", "printf $WORD; exec sleep 60"]);
            let mut child = tethered(&script).stdout(Stdio::piped()).spawn().unwrap();
            // It is held before it says anything.
            let mut word = [0; 4];
            child.stdout.take().unwrap().read_exact(&mut word).unwrap();
            assert_eq!(&word, b"held");
            child
        })
        .join()
        .unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_was_said_of_a_program_still_holds() {
        let mut script = Command::new("sh");
        script.current_dir("/").env("ADDED", "1").env_remove("HOME");
        script.args(["-c", "echo $(pwd) $ADDED ${HOME-none} \"$0\"", "a  b"]);
        let output = tethered(&script).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "/ 1 none a  b\n");
        assert!(output.status.success());
    }
}
