//! Hands the linker its script when the image is built for the bare-metal target.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

/// What the script includes, as it is for a plain `cargo build`: all stays, nothing is boot's alone.
/// `cargo xtask build` knows better (xtask/src/build/link).
const INCLUDED: [(&str, &str); 2] =
    [("resident-code.ld", "*(.text .text.*)\n"), ("boot-constants.ld", "")];

fn main() -> io::Result<()> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let script = package.join("../linker/hyp.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-arg-bins=-T{}", script.display());
        let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
        for (name, text) in INCLUDED {
            fs::write(out.join(name), text)?;
        }
        println!("cargo:rustc-link-arg-bins=-L{}", out.display());
        println!("cargo:rerun-if-changed={}", package.join("../xtask/src/build/link").display());
        // Sections are aligned to the 4 KiB granule; the default of 64 KiB would pad the file.
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
        // Some addresses that ADRP makes, Cortex-A53 may get wrong.
        println!("cargo:rustc-link-arg-bins=--fix-cortex-a53-843419");
    }
    Ok(())
}
