//! The exit status of `cargo xtask board-check`, and that people and programs can read it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A tree of QEMU 7.2's `virt` with 256 MiB of RAM or more, from hyp-core's own tests.
fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hyp/core/src/tree/testdata/virt-gicv3.dtb")
}

/// An arm64 `Image` header (Linux, Documentation/arch/arm64/booting.rst) for 1 MiB of memory.
fn image(folder: &Path) -> PathBuf {
    let mut bytes = vec![0; 4096];
    bytes[16..24].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    bytes[24..32].copy_from_slice(&0xa_u64.to_le_bytes());
    bytes[56..60].copy_from_slice(b"ARM\x64");
    let path = folder.join("postern.img");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn check(tree: &Path, words: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("board-check")
        .arg(tree)
        .arg("--image")
        .arg(image(folder.path()))
        .args(words)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_board_without_findings_is_status_0() {
    let output = check(&tree(), &["--board", "virt"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    for word in ["PSCI by smc", "version 3", "0x9000000", "0x40400000", "nothing found that stops"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_finding_that_stops_the_boot_is_status_1() {
    for (words, reason) in [
        (&["--bundle-addr", "0x40480000"][..], "overlap"),
        (&["--image-addr", "0x8000000"], "memory bank"),
        (&["--memory", "0:1G"], "0x8000000"),
    ] {
        let words = [&["--board", "virt"], words].concat();
        let output = check(&tree(), &words);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("STOPS") && said.contains(reason), "{words:?}: {said}");
    }
}

#[test]
fn bad_input_is_status_2_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut damaged = std::fs::read(tree()).unwrap();
    // The token before the first property of the root.
    let at = damaged.windows(4).position(|word| word == [0, 0, 0, 3]).unwrap();
    damaged[at + 3] = 8;
    let broken = folder.path().join("broken.dtb");
    std::fs::write(&broken, damaged).unwrap();
    let source = folder.path().join("board.dts");
    std::fs::write(&source, "/dts-v1/; / { };").unwrap();
    let sound = tree();
    for (tree, words, reasons) in [
        (broken.as_path(), &[][..], &["broken.dtb", "offset 0x"][..]),
        (&source, &[], &["board.dts", "no device tree"]),
        (Path::new("no-such.dtb"), &[], &["no-such.dtb"]),
        (&sound, &["--bundle", source.to_str().unwrap()], &["board.dts", "bundle"]),
        (&sound, &["--bundle", "no-such-bundle"], &["no-such-bundle"]),
        (&sound, &["--board", "toaster"], &["toaster", "rpi4"]),
        (&sound, &["--image-addr", "here"], &["address"]),
        (&sound, &["--board", "generic"], &["--tree-addr", "fdt_addr_r"]),
        (&sound, &["--memory", "0x0:1G", "--memory", "0x0:2G"], &["--memory", "overlap"]),
        (&sound, &["--save"], &["--census"]),
        (&sound, &["--memory", "1G"], &["512M"]),
    ] {
        let output = check(tree, words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?} printed a report");
        for reason in reasons {
            assert!(said.contains(reason), "{words:?}, {reason}: {said}");
        }
    }
}

#[test]
fn json_has_the_verdict_and_addresses_as_text() {
    let output = check(&tree(), &["--board", "virt", "--bundle-addr", "0x40480000", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["boots"], false);
    assert_eq!(report["board"], "virt");
    assert_eq!(report["machine"]["gic"]["version"], 3);
    assert_eq!(report["machine"]["memory"][0]["from"], "0x40000000");
    assert_eq!(report["findings"][0]["severity"], "stop");
}

#[test]
fn several_trees_get_a_line_each_and_a_list_in_json() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("qemu")).unwrap();
    std::fs::copy(tree(), folder.path().join("qemu/virt.dtb")).unwrap();
    std::fs::write(folder.path().join("broken.dtb"), "no tree").unwrap();
    let output = check(folder.path(), &[]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("STOPS") && lines[0].ends_with("broken.dtb: damaged"), "{said}");
    assert!(lines[1].starts_with("boots") && lines[1].ends_with("qemu/virt.dtb"), "{said}");
    assert!(said.contains("1 of 2 boot"), "{said}");
    std::fs::remove_file(folder.path().join("broken.dtb")).unwrap();
    let output = check(folder.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let reports: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports.as_array().map(Vec::len), Some(1));
    assert_eq!(reports[0]["boots"], true);
}
