//! What becomes of the program where nothing can be written.

use std::fs::File;
use std::process::{Command, Output, Stdio};

/// A command that prints many lines and needs nothing.
fn list() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["qemu-test", "--list"]).stderr(Stdio::piped());
    command
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_is_an_error_and_no_panic() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = list().stdout(full).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).starts_with("error: cannot write to standard output: No space"));
}

#[test]
fn a_reader_who_has_read_enough_is_none() {
    let mut child = list().stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), complaint(&output).as_str()), (Some(141), ""));
}

#[test]
fn an_error_that_nobody_hears_keeps_its_exit_status() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let status = command.args(["bundle", "--vm", "/no/such/file"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
