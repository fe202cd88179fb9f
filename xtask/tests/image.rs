//! `cargo xtask image` with words that cannot be: each is refused with status 2 before anything is
//! built, and the message names what is wrong.

use std::process::Command;

fn refused(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("image").args(words).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(output.stdout.is_empty() && !said.contains("Compiling"), "{words:?}: {said}");
    said
}

#[test]
fn impossible_words_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let no_tree = folder.path().join("notes.dtb");
    std::fs::write(&no_tree, "no tree").unwrap();
    let no_tree = no_tree.to_str().unwrap();
    let out = folder.path().join("card.img");
    let out = out.to_str().unwrap();
    for (words, reasons) in [
        (
            &["--board", "toaster"][..],
            &["toaster", "virt", "zcu102", "versal", "rpi4", "imx8mp", "generic"][..],
        ),
        (&[], &["--board"]),
        (&["--board", "zcu102", "--tree", "gone.dtb"], &["gone.dtb"]),
        (&["--board", "zcu102", "--tree", no_tree], &["notes.dtb", "no device tree"]),
        (&["--board", "generic"], &["--tree FILE"]),
        (&["--board", "generic", "--tree", "u-boot"], &["--tree FILE"]),
        (&["--board", "generic", "--tree", no_tree], &["--tree-addr", "fdt_addr_r"]),
        (
            &["--board", "generic", "--tree", no_tree, "--tree-addr", "0x43000000"],
            &["--image-addr", "kernel_addr_r"],
        ),
        (&["--board", "virt", "--u-boot", "u-boot.bin"], &["--u-boot", "rpi4"]),
        (&["--board", "rpi4", "--tree", "u-boot", "--u-boot", "gone.bin"], &["gone.bin"]),
        (&["--board", "rpi4", "--form", "fit-disk"], &["CONFIG_FIT", "--u-boot"]),
        (&["--board", "virt", "--boot-args", "a'b"], &["--boot-args", "quotes"]),
        (&["--board", "virt", "--form", "fit", "--boot-args", "a"], &["--boot-args", "FIT"]),
        (&["--board", "virt", "--kernel", "gone"], &["gone"]),
        (&["--board", "virt", "--bundle", no_tree], &["notes.dtb", "bundle"]),
        (&["--board", "virt", "--form", "tape"], &["tape", "fit-disk"]),
    ] {
        let words = [words, &["-o", out]].concat();
        let said = refused(&words);
        for reason in reasons {
            assert!(said.contains(reason), "{words:?}, {reason}: {said}");
        }
        assert!(!std::fs::exists(out).unwrap(), "{words:?}");
    }
    assert!(refused(&["--board", "virt"]).contains("--output"));
    for file in ["-", "card.iso", "card.QCOW2", "card.img.xz"] {
        let said = refused(&["--board", "virt", "-o", file]);
        assert!(said.contains("--output") && said.contains(file), "{said}");
    }
    let spaced = folder.path().join("my board.dtb");
    std::fs::write(&spaced, "").unwrap();
    let spaced = spaced.to_str().unwrap();
    let said = refused(&["--board", "virt", "--tree", spaced, "-o", out]);
    assert!(said.contains("my board.dtb"), "{said}");
    assert!(refused(&["--board", "virt", "-o", "no/such/folder/x"]).contains("no/such/folder"));
    assert!(
        refused(&["--board", "virt", "-o", folder.path().to_str().unwrap()]).contains("folder")
    );
}
