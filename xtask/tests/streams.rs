//! What becomes of the program where nothing can be written.

use std::fs::File;
use std::io::Write;
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
    assert_eq!((output.status.code(), complaint(&output).as_str()), (Some(0), ""));
}

/// A verdict is one whether anybody reads it or not.
#[test]
fn a_reader_who_has_read_enough_changes_no_verdict() {
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/../hyp/core/src/tree/testdata/virt-gicv3.dtb");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // Not in a memory bank: it will not boot.
    command.args(["board-check", tree, "--image-addr", "0x8000000", "--image"]);
    let mut image = tempfile::NamedTempFile::new().unwrap();
    let mut header = [0; 64];
    header[16..24].copy_from_slice(&4096_u64.to_le_bytes());
    header[24] = 0xa;
    header[56..60].copy_from_slice(b"ARM\x64");
    image.write_all(&header).unwrap();
    let mut child =
        command.arg(image.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), complaint(&output).as_str()), (Some(1), ""));
}

#[test]
fn an_error_that_nobody_hears_keeps_its_exit_status() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let status = command.args(["bundle", "--vm", "/no/such/file"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
